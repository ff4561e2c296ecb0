//! Forked codec processes: they are children of the node like started ones, share nothing with their server but its libraries, and do not
//! need it any more.

use std::collections::BTreeSet;

use futures::poll;
use jetreel::sandbox::CodecProcesses;
use jetreel_actors::ports::CodecSession;
use jetreel_domain::codec::wire::{FromCodec, JobWork, Report};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::stage::{Stage, nothing};
use crate::harness::eventually::eventually;
use crate::harness::fake_codec::{exists, lives};
use crate::harness::media::{FILM, made};

/// Names of a server and of what it forks.
const SERVER: &str = "jetreel-forks";
const PROCESS: &str = "jetreel-codec";
/// More jobs than one server forks processes for.
const MANY: usize = 60;

fn only(pids: &[u32]) -> u32 {
    let [pid] = pids else { panic!("one process, not {pids:?}") };
    *pid
}

fn id(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed()).unwrap()
}

/// A process that has greeted and waits for its job.
async fn waiting(stage: &Stage, codec: &CodecProcesses) -> (Box<dyn CodecSession>, u32) {
    let before = stage.processes(PROCESS);
    let session = stage.start(codec, JobWork::Hello, nothing(), stage.budget()).await.unwrap();
    let mut found = Vec::new();
    eventually("the process is there", || {
        found = stage.processes(PROCESS);
        found.retain(|pid| !before.contains(pid));
        found.len() == 1
    })
    .await;
    (session, only(&found))
}

/// The end of a job.
async fn end(mut session: Box<dyn CodecSession>) -> Result<Report, (String, String)> {
    loop {
        match session.next().await {
            Ok(FromCodec::Done(report)) => return Ok(report),
            Ok(_) => {}
            Err(failure) => return Err((failure.code, failure.message)),
        }
    }
}

async fn hello(stage: &Stage, codec: &CodecProcesses) {
    let done = stage.run(codec, JobWork::Hello, nothing(), stage.budget()).await;
    assert_eq!(done, Ok(Report::Hello));
}

/// A number in a line of `/proc/<pid>/stat`, counted from the state.
fn stat(pid: u32, field: usize) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.split_ascii_whitespace().nth(field).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_process_is_a_child_of_the_node_in_a_group_of_its_own() {
    let stage = Stage::new();
    let codec = stage.direct();
    let (session, pid) = waiting(&stage, &codec).await;
    let server = only(&stage.processes(SERVER));
    let (parent, group) = (stat(pid, 1), stat(pid, 2));
    assert_eq!((parent, group), (std::process::id(), pid));
    // What ends the server's group does not end it.
    kill_process_group(id(server), Signal::KILL).unwrap();
    eventually("the server has ended", || !lives(server)).await;
    assert_eq!(end(session).await, Ok(Report::Hello));
    assert!(!exists(pid), "it is not reaped");
}

#[tokio::test]
async fn a_killed_server_costs_no_job() {
    let stage = Stage::new();
    let codec = stage.direct();
    hello(&stage, &codec).await;
    let mut servers = BTreeSet::new();
    for _ in 0..3 {
        let server = only(&stage.processes(SERVER));
        assert!(servers.insert(server), "the server was killed");
        kill_process(id(server), Signal::KILL).unwrap();
        hello(&stage, &codec).await;
        assert!(!exists(server), "it is not reaped");
    }
    assert_eq!(codec.trouble(), None);
}

#[tokio::test]
async fn a_crash_is_told_with_its_signal_and_ends_the_server() {
    let stage = Stage::new();
    let codec = stage.direct();
    hello(&stage, &codec).await;
    let server = only(&stage.processes(SERVER));
    hello(&stage, &codec).await;
    assert_eq!(stage.processes(SERVER), [server], "the server is kept after a good end");
    let (session, pid) = waiting(&stage, &codec).await;
    kill_process(id(pid), Signal::ILL).unwrap();
    let (code, message) = end(session).await.unwrap_err();
    assert_eq!(code, "codec-signal");
    assert!(message.contains("signal 4"), "{message}");
    assert!(!exists(pid), "it is not reaped");
    hello(&stage, &codec).await;
    assert_ne!(stage.processes(SERVER), [server], "an attacker can try one address after another");
}

#[tokio::test]
async fn processes_share_no_descriptor_with_their_server_or_each_other() {
    let stage = Stage::new();
    let codec = stage.direct();
    let (first, one) = waiting(&stage, &codec).await;
    let (second, other) = waiting(&stage, &codec).await;
    let server = only(&stage.processes(SERVER));
    let kept = descriptors(server).unwrap();
    assert_eq!(kept.len(), 3, "{kept:?}");
    // Only root may look into a confined process.
    for pid in [one, other].into_iter().filter(|_| rustix::process::getuid().is_root()) {
        let open = descriptors(pid).unwrap();
        assert_eq!(open.len(), 2, "a socket and a log: {open:?}");
        assert!(open.is_disjoint(&kept), "{open:?} {kept:?}");
    }
    for session in [first, second] {
        assert_eq!(end(session).await, Ok(Report::Hello));
    }
    let attempts = codec.trespass().await.unwrap();
    let open: Vec<_> = attempts.iter().filter(|attempt| !attempt.denied).collect();
    assert!(open.is_empty(), "{open:?}");
    assert_eq!(stage.processes(SERVER), [server], "all of them were forked");
    assert_eq!(descriptors(server), Some(kept), "the server keeps what it passes on");
}

/// What the descriptors of a process lead to; `None` if this user may not know.
fn descriptors(pid: u32) -> Option<BTreeSet<String>> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let led = entries.map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap());
    Some(led.map(|target| target.to_string_lossy().into_owned()).collect())
}

#[tokio::test]
async fn a_server_is_replaced_after_some_jobs_and_all_are_reaped() {
    let stage = Stage::new();
    let codec = stage.direct();
    let mut servers = BTreeSet::new();
    for _ in 0..MANY {
        hello(&stage, &codec).await;
        servers.insert(only(&stage.processes(SERVER)));
    }
    assert_eq!(servers.len(), 2, "{servers:?}");
    drop(codec);
    eventually("no server is left", || !servers.iter().any(|pid| exists(*pid))).await;
    assert_eq!(stage.processes(PROCESS), Vec::<u32>::new());
}

#[tokio::test]
async fn behind_a_script_that_waits_for_the_codec_each_process_is_started() {
    use std::os::unix::fs::PermissionsExt as _;

    let stage = Stage::new();
    let script = stage.program().with_file_name("wrapper");
    let text = format!("#!/bin/sh\n'{}' \"$@\"\nexit $?\n", stage.program().display());
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let codec = CodecProcesses::new(script, stage.store.clone());
    for _ in 0..3 {
        hello(&stage, &codec).await;
        assert_eq!(stage.processes(SERVER), Vec::<u32>::new());
    }
    drop(codec);
    eventually("no process is left", || stage.processes(PROCESS).is_empty()).await;
}

#[tokio::test]
async fn a_job_that_is_given_up_ends_the_server() {
    let stage = Stage::new();
    let codec = stage.direct();
    let (session, _) = waiting(&stage, &codec).await;
    let server = only(&stage.processes(SERVER));
    drop(session);
    hello(&stage, &codec).await;
    assert_ne!(only(&stage.processes(SERVER)), server);
}

#[tokio::test]
async fn a_start_that_is_given_up_leaves_no_process_and_confuses_no_other() {
    let stage = Stage::new();
    let codec = stage.direct();
    hello(&stage, &codec).await;
    for polls in 0..20 {
        let mut start = Box::pin(stage.start(&codec, JobWork::Hello, nothing(), stage.budget()));
        for _ in 0..polls {
            if poll!(&mut start).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(start);
        hello(&stage, &codec).await;
    }
    eventually("no process is left", || stage.processes(PROCESS).is_empty()).await;
}

#[tokio::test]
async fn a_job_is_charged_for_its_own_work() {
    let Some(film) = made(FILM) else { return };
    let stage = Stage::new();
    let codec = stage.direct();
    let film = stage.store_file(&film).await;
    let (mut session, _) = waiting(&stage, &codec).await;
    while !matches!(session.next().await.unwrap(), FromCodec::Done(_)) {}
    let loading = session.cpu_seconds();
    assert!(loading < 0.04, "an empty job is charged for what its server loads: {loading} s");
    let (work, enough) = stage.first_task(&codec, film.clone()).await;
    let mut session = stage.start(&codec, work, film, enough).await.unwrap();
    while !matches!(session.next().await.unwrap(), FromCodec::Done(_)) {}
    let working = session.cpu_seconds();
    assert!(working > loading + 0.05, "{working} s");
}
