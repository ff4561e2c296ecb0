//! The sandbox against codec processes that misbehave: each gives its typed failure in time, and nothing is left of it.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jetreel::sandbox::Confinement;
use jetreel_actors::ports::{Codec, ProcessBudget, Readable};
use jetreel_domain::codec::wire::{FromCodec, Report};
use jetreel_domain::order::parts::PartList;
use jetreel_domain::words::failure::Severity;
use sha2::{Digest, Sha256};

use crate::harness::eventually::eventually;
use crate::harness::fake_codec::{BUDGET, Outcome, Stage, exists, lives, pid_in, run, start};

/// No job here may take longer, whatever the codec does.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs `script` on `objects` to its end, which must leave no process.
async fn outcome_on(
    stage: &Stage,
    script: &str,
    objects: Vec<Readable>,
    budget: ProcessBudget,
) -> Outcome {
    let codec = stage.codec(script);
    let outcome = tokio::time::timeout(LIMIT, run(&codec, objects, budget)).await.unwrap();
    assert!(!exists(outcome.pid), "{script} left a process");
    outcome
}

async fn outcome(script: &str, budget: ProcessBudget) -> Outcome {
    let stage = Stage::new();
    let object = stage.object(&[Bytes::from_static(b"0123456789")]).await;
    outcome_on(&stage, script, vec![object], budget).await
}

/// Code and severity of the failure that `script` ends with.
async fn failure(script: &str, budget: ProcessBudget) -> (String, Severity) {
    let failure = outcome(script, budget).await.end.unwrap_err();
    (failure.code, failure.severity)
}

fn fault(code: &str) -> (String, Severity) {
    (code.to_owned(), Severity::TaskFault)
}

#[tokio::test]
async fn reads_span_pieces_and_blocks() {
    let stage = Stage::new();
    let content: Vec<u8> = (0..20_000_003_u32).map(|index| (index / 7) as u8).collect();
    let cuts = [0, 1, 1_048_576, 1_048_577, 9_000_000, content.len()];
    let pieces: Vec<Bytes> =
        cuts.windows(2).map(|cut| Bytes::copy_from_slice(&content[cut[0]..cut[1]])).collect();
    let object = stage.object(&pieces).await;
    let outcome = outcome_on(&stage, "hash", vec![object], BUDGET).await;
    assert!(matches!(outcome.end.unwrap(), FromCodec::Done(Report::Package { .. })));
    let mut hasher = Sha256::new();
    hasher.update(&content);
    hasher.update(&content[..10]);
    let [FromCodec::Output { bytes, .. }] = outcome.frames.as_slice() else { panic!("no hash") };
    assert_eq!(bytes.as_slice(), hasher.finalize().as_slice());
    assert!(outcome.cpu_seconds > 0.0);
}

#[tokio::test]
async fn a_process_sees_a_socket_a_log_and_nothing_else() {
    let outcome = outcome("look", BUDGET).await;
    let [FromCodec::Output { bytes, .. }] = outcome.frames.as_slice() else { panic!("no sight") };
    let sight = String::from_utf8_lossy(bytes).into_owned();
    let (descriptors, rest) = sight.split_once(' ').unwrap();
    assert_eq!(rest, "LANG /");
    // 4 is the listing itself. Descriptors that the test's parent left open for its children are not the sandbox's.
    let inherited = descriptors_left_open();
    let unexpected = descriptors.split(',').filter(|number| {
        !["0", "1", "2", "3", "4"].contains(number) && !inherited.contains(&(*number).to_owned())
    });
    assert_eq!(unexpected.collect::<Vec<_>>(), Vec::<&str>::new());
}

/// Descriptors of this process that every child gets.
fn descriptors_left_open() -> Vec<String> {
    const CLOSED_ON_EXEC: u32 = 0o2_000_000;
    let stays_open = |name: &String| {
        let facts =
            std::fs::read_to_string(format!("/proc/self/fdinfo/{name}")).unwrap_or_default();
        let flags = facts.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
        flags.is_some_and(|flags| flags & CLOSED_ON_EXEC == 0)
    };
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(stays_open).collect()
}

#[tokio::test]
async fn a_hanging_process_is_ended_for_its_silence() {
    let budget = ProcessBudget { silence: Duration::from_millis(300), ..BUDGET };
    assert_eq!(failure("hang", budget).await, fault("codec-no-progress"));
}

#[tokio::test]
async fn signs_of_life_that_tell_of_no_progress_are_none() {
    let budget = ProcessBudget { silence: Duration::from_millis(300), ..BUDGET };
    for script in ["idle", "trickle"] {
        assert_eq!(failure(script, budget).await, fault("codec-no-progress"), "{script}");
    }
    // More than the socket's buffer holds.
    let stage = Stage::new();
    let object = stage.object(&[Bytes::from(vec![7; 4 << 20])]).await;
    let failure = outcome_on(&stage, "deaf", vec![object], budget).await.end.unwrap_err();
    assert_eq!((failure.code, failure.severity), fault("codec-no-progress"));
}

#[tokio::test]
async fn a_process_that_gets_on_for_ever_is_ended_by_the_wall_clock() {
    let budget = ProcessBudget { wall: Duration::from_millis(500), ..BUDGET };
    assert_eq!(failure("climb", budget).await, fault("codec-wall-clock"));
}

#[tokio::test]
async fn a_process_that_reads_for_ever_is_ended_by_its_reads() {
    assert_eq!(failure("chatter", BUDGET).await, fault("codec-read-budget"));
    // Far more than is kept of an object: each read makes the store deliver a block.
    let stage = Stage::new();
    let object = stage.object(&vec![Bytes::from(vec![7; 1 << 20]); 40]).await;
    let failure = outcome_on(&stage, "jumpy", vec![object], BUDGET).await.end.unwrap_err();
    assert_eq!((failure.code, failure.severity), fault("codec-read-budget"));
}

#[tokio::test]
async fn a_process_that_ends_is_missed_at_once_whoever_holds_its_socket() {
    let outcome = tokio::time::timeout(Duration::from_secs(10), outcome("widow", BUDGET)).await;
    assert_eq!(outcome.unwrap().end.unwrap_err().code, "codec-exit");
}

#[tokio::test]
async fn a_spinning_process_is_ended_by_its_cpu_budget() {
    let budget = ProcessBudget { cpu: Duration::from_secs(1), ..BUDGET };
    let outcome = outcome("spin", budget).await;
    assert_eq!(outcome.end.unwrap_err().code, "codec-cpu-budget");
    assert!((0.8..2.5).contains(&outcome.cpu_seconds), "{}", outcome.cpu_seconds);
}

#[tokio::test]
async fn a_flood_of_results_is_cut_off() {
    let budget = ProcessBudget { output_bytes: 5 << 20, ..BUDGET };
    let outcome = outcome("flood", budget).await;
    assert_eq!(outcome.end.unwrap_err().code, "codec-output-budget");
    // Each is charged a little more than it holds.
    assert_eq!(outcome.frames.len(), 4);
}

#[tokio::test]
async fn a_process_that_takes_too_much_memory_fails_alone() {
    let budget = ProcessBudget { memory_bytes: 256 << 20, ..BUDGET };
    let outcome = outcome("hog", budget).await;
    assert_eq!(outcome.end.unwrap_err().code, "codec-signal");
    assert!((1..16).contains(&outcome.frames.len()), "{} × 16 MiB", outcome.frames.len());
}

#[tokio::test]
async fn a_crash_is_told_with_its_signal() {
    let failure = outcome("abort", BUDGET).await.end.unwrap_err();
    assert_eq!(failure.code, "codec-signal");
    assert!(failure.message.contains("signal 6"), "{}", failure.message);
}

#[tokio::test]
async fn an_exit_without_a_last_word_is_told_with_its_status() {
    let failure = outcome("exit", BUDGET).await.end.unwrap_err();
    assert_eq!(failure.code, "codec-exit");
    assert!(failure.message.contains("status 3"), "{}", failure.message);
}

#[tokio::test]
async fn the_tail_of_the_log_explains_a_failure() {
    let failure = outcome("noise", BUDGET).await.end.unwrap_err();
    assert_eq!(failure.code, "codec-exit");
    assert!(failure.detail.ends_with("x[2J last words"), "{:?}", failure.detail.get(..99));
    assert!((60 << 10..=64 << 10).contains(&failure.detail.len()));
}

#[tokio::test]
async fn no_file_can_be_written() {
    let outcome = outcome("write", BUDGET).await;
    assert!(outcome.end.is_err());
    let [FromCodec::Output { bytes, .. }] = outcome.frames.as_slice() else { panic!("no place") };
    let place = std::path::PathBuf::from(String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(place.metadata().map_or(0, |facts| facts.len()), 0);
    drop(std::fs::remove_file(place));
}

#[tokio::test]
async fn nonsense_ends_a_process() {
    for script in ["garbage", "giant", "greedy", "leave", "nested"] {
        assert_eq!(failure(script, BUDGET).await, fault("codec-protocol"), "{script}");
    }
}

#[tokio::test]
async fn a_process_that_does_not_greet_properly_gets_no_job() {
    for script in ["stranger", "eager"] {
        let stage = Stage::new();
        let codec = stage.codec(script);
        let mut session = start(&codec, vec![], BUDGET).await;
        let failure = session.next().await.unwrap_err();
        // It knew no video yet.
        let found = (failure.code.as_str(), failure.severity);
        assert_eq!(found, ("codec-unusable", Severity::DependencyFault), "{script}");
        assert!(failure.message.contains(script), "{failure}");
        assert_eq!(codec.trouble(), Some(failure));
    }
}

#[tokio::test]
async fn a_process_that_is_confined_too_weakly_gets_no_job() {
    let stage = Stage::new();
    let codec = stage.codec("hash").demand(Confinement::Full);
    let failure = start(&codec, vec![], BUDGET).await.next().await.unwrap_err();
    assert_eq!(
        (failure.code.as_str(), failure.severity),
        ("sandbox-weak", Severity::DependencyFault)
    );
}

#[tokio::test]
async fn the_store_is_blamed_for_what_it_could_not_deliver() {
    let stage = Stage::new();
    let gone = Readable { parts: Arc::new(PartList::one("raw/video/gone", 100)) };
    let failure = outcome_on(&stage, "hash", vec![gone], BUDGET).await.end.unwrap_err();
    assert_eq!((failure.code, failure.severity), fault("object-missing"));
    let stage = Stage::new();
    let short = stage.object(&[Bytes::from_static(b"0123456789")]).await;
    let key = short.parts.get(0).unwrap().key();
    let short = Readable { parts: Arc::new(PartList::one(&key, 11)) };
    let failure = outcome_on(&stage, "hash", vec![short], BUDGET).await.end.unwrap_err();
    assert_eq!((failure.code, failure.severity), fault("object-short"));
}

#[tokio::test]
async fn a_part_that_is_not_what_was_stored_is_found_when_it_is_read() {
    let stage = Stage::new();
    let content = vec![7_u8; 3 << 20];
    let part = || Bytes::copy_from_slice(&content);
    let object = stage.object(&[part(), part()]).await;
    let mut list = PartList::default();
    for found in object.parts.iter() {
        let sha256 = found.sha256.map(|hash| if found.start == 0 { hash } else { [0; 32] });
        list.push(&found.key(), found.bytes, sha256);
    }
    let broken = Readable { parts: Arc::new(list) };
    let failure = outcome_on(&stage, "hash", vec![broken], BUDGET).await.end.unwrap_err();
    assert_eq!((failure.code.clone(), failure.severity), fault("part-changed"));
    assert!(failure.detail.ends_with("00001"), "{failure:?}");
}

#[tokio::test]
async fn children_of_a_process_end_with_it() {
    let outcome = outcome("parent", BUDGET).await;
    assert_eq!(outcome.end.unwrap_err().code, "codec-signal");
    let [FromCodec::Progress { frames: child, .. }] = outcome.frames.as_slice() else {
        panic!("no child")
    };
    let child = u32::try_from(*child).unwrap();
    eventually("the grandchild is dead", || !lives(child)).await;
}

#[tokio::test]
async fn a_dropped_session_leaves_no_process() {
    let stage = Stage::new();
    let codec = stage.codec("hang");
    let mut session = start(&codec, vec![], BUDGET).await;
    let FromCodec::Hello { build, .. } = session.next().await.unwrap() else { panic!("no hello") };
    let pid = pid_in(&build);
    assert!(lives(pid));
    drop(session);
    eventually("the process is reaped", || !exists(pid)).await;
}

#[tokio::test]
async fn next_can_be_dropped_at_any_time() {
    let stage = Stage::new();
    let content = Bytes::from(vec![7; 5_000_000]);
    let object = stage.object(std::slice::from_ref(&content)).await;
    let codec = stage.codec("hash");
    let mut session = start(&codec, vec![object], BUDGET).await;
    let mut hash = Vec::new();
    let last = tokio::time::timeout(LIMIT, async {
        loop {
            // Polled once and dropped repeatedly: only the state kept in the session makes progress.
            match futures::poll!(session.next()) {
                std::task::Poll::Ready(Ok(FromCodec::Output { bytes, .. })) => {
                    hash = bytes.into_vec()
                }
                std::task::Poll::Ready(Ok(done @ FromCodec::Done(_))) => break done,
                std::task::Poll::Ready(Ok(_)) => {}
                std::task::Poll::Ready(Err(failure)) => panic!("{failure:?}"),
                std::task::Poll::Pending => tokio::task::yield_now().await,
            }
        }
    });
    assert!(matches!(last.await.unwrap(), FromCodec::Done(Report::Package { .. })));
    let mut hasher = Sha256::new();
    hasher.update(&content);
    hasher.update(&content[..10]);
    assert_eq!(hash, hasher.finalize().to_vec());
}

#[tokio::test]
async fn the_build_is_asked_once() {
    let stage = Stage::new();
    let codec = stage.codec("hash");
    let build = codec.build().await.unwrap();
    assert!(build.starts_with("fake "));
    assert_eq!(codec.build().await.unwrap(), build);
    assert_eq!(codec.confinement().await.unwrap(), "SECCOMP");
    assert!(!exists(pid_in(&build)));
}

#[tokio::test]
async fn the_build_is_learned_from_a_job_that_runs_anyway() {
    let stage = Stage::new();
    let codec = stage.codec("hash").patient(LIMIT);
    let object = stage.object(&[Bytes::from_static(b"0123456789")]).await;
    let (build, outcome) = tokio::join!(codec.build(), run(&codec, vec![object], BUDGET));
    assert_eq!(pid_in(&build.unwrap()), outcome.pid);
    assert_eq!(codec.confinement().await.unwrap(), "SECCOMP");
}

#[tokio::test]
async fn without_a_job_a_process_is_started_to_ask() {
    let stage = Stage::new();
    let codec = stage.codec("hash").patient(Duration::from_millis(10));
    let asked = tokio::join!(codec.build(), codec.build());
    assert_eq!(asked.0.unwrap(), asked.1.unwrap());
}

#[tokio::test]
async fn a_process_that_was_started_ahead_gets_the_first_job() {
    let stage = Stage::new();
    let object = stage.object(&[Bytes::from_static(b"0123456789")]).await;
    let codec = stage.codec("hash");
    codec.prepare();
    eventually("a process waits", || stage.processes("hash").len() == 1).await;
    let waiting = stage.processes("hash");
    for first in [true, false] {
        let outcome = run(&codec, vec![object.clone()], BUDGET).await;
        assert!(matches!(outcome.end.unwrap(), FromCodec::Done(Report::Package { .. })));
        assert_eq!(waiting == [outcome.pid], first);
        assert_eq!(stage.processes("hash"), Vec::<u32>::new());
    }
}

#[tokio::test]
async fn a_process_that_was_started_ahead_has_the_budget_of_its_job() {
    let stage = Stage::new();
    let codec = stage.codec("hog");
    codec.prepare();
    eventually("a process waits", || stage.processes("hog").len() == 1).await;
    let budget = ProcessBudget { memory_bytes: 256 << 20, ..BUDGET };
    let outcome = run(&codec, vec![], budget).await;
    assert_eq!(outcome.end.unwrap_err().code, "codec-signal");
    assert!((1..16).contains(&outcome.frames.len()), "{} × 16 MiB", outcome.frames.len());
}

#[tokio::test]
async fn a_process_without_a_job_ends_with_its_node() {
    let stage = Stage::new();
    let codec = stage.codec("hash");
    codec.prepare();
    eventually("a process waits", || stage.processes("hash").len() == 1).await;
    let waiting = stage.processes("hash");
    drop(codec);
    eventually("the process is reaped", || !exists(waiting[0])).await;
}

#[tokio::test]
async fn a_codec_that_is_not_there_is_this_nodes_fault() {
    let stage = Stage::new();
    let codec = jetreel::sandbox::CodecProcesses::new("/nowhere/codec".into(), stage.store.clone());
    let failure = codec.build().await.unwrap_err();
    assert_eq!(
        (failure.code.as_str(), failure.severity),
        ("codec-missing", Severity::DependencyFault)
    );
}
