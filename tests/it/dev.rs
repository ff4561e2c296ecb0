//! Private brokers that are killed: they are restarted, or the command ends with a sentence.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::clips::{jetreel, path};
use crate::harness::eventually::eventually;
use crate::harness::media::{self, FILM};
use crate::harness::site::awaited;
use crate::reconcile::in_time;

fn command(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(jetreel());
    command.args(words).current_dir(folder).env("PATH", path());
    command.env("JETREEL__PLAN__PRESET", "ultrafast").env("JETREEL__NODE__SLOTS", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// The nats-server that a process started.
fn broker_of(parent: u32) -> Option<i32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.find(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let Some((head, rest)) = stat.rsplit_once(") ") else { return false };
        let mut fields = rest.split_ascii_whitespace();
        let (state, of) = (fields.next(), fields.next());
        head.ends_with("(nats-server") && state != Some("Z") && of == Some(&parent.to_string())
    })
}

/// Kills the private broker unexpectedly. Returns its process id.
async fn kill_broker(parent: u32) -> i32 {
    let mut found = None;
    eventually("a nats-server runs", || {
        found = broker_of(parent);
        found.is_some()
    })
    .await;
    kill_process(Pid::from_raw(found.unwrap()).unwrap(), Signal::KILL).unwrap();
    found.unwrap()
}

/// A `jetreel dev` that answers at an address, and what it logs.
async fn dev(folder: &Path) -> (Child, String, Arc<Mutex<String>>) {
    let words = ["dev", "--data", "data", "--listen", "127.0.0.1:0"];
    let mut dev = command(folder, &words).spawn().unwrap();
    let mut errors = BufReader::new(dev.stderr.take().unwrap()).lines();
    let log = Arc::<Mutex<String>>::default();
    let kept = Arc::clone(&log);
    tokio::spawn(async move {
        while let Ok(Some(line)) = errors.next_line().await {
            kept.lock().unwrap().push_str(&format!("{line}\n"));
        }
    });
    let mut lines = BufReader::new(dev.stdout.take().unwrap()).lines();
    let address = awaited("the address of dev", lines.next_line()).await.unwrap();
    let Some(address) = address else { panic!("no dev: {}", log.lock().unwrap()) };
    (dev, address, log)
}

async fn status(address: &str, job: &str) -> Option<String> {
    let answer = reqwest::get(format!("{address}v1/jobs/{job}")).await.ok()?;
    let document: Value = answer.json().await.ok()?;
    document["status"].as_str().map(ToOwned::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_of_dev_that_is_killed_in_the_middle_of_a_job_comes_back() {
    let Some(film) = media::made(FILM) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (dev, address, _log) = dev(folder.path()).await;
    let body = std::fs::read(film).unwrap();
    let client = reqwest::Client::new();
    let posted = client.post(format!("{address}v1/videos")).header("content-type", "video/mp4");
    let answer: Value = posted.body(body).send().await.unwrap().json().await.unwrap();
    let job = answer["id"].as_str().unwrap().to_owned();
    in_time("it is encoded", async || status(&address, &job).await.as_deref() == Some("ENCODING"))
        .await;
    let first = kill_broker(dev.id().unwrap()).await;
    in_time("it is completed", async || {
        let status = status(&address, &job).await;
        assert_ne!(status.as_deref(), Some("FAILED"));
        status.as_deref() == Some("COMPLETED")
    })
    .await;
    let second = broker_of(dev.id().unwrap()).unwrap();
    assert_ne!(first, second);
    let ready = reqwest::get(format!("{address}readyz")).await.unwrap();
    assert_eq!(ready.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_of_dev_that_cannot_be_kept_alive_ends_the_command_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let (mut dev, _, log) = dev(folder.path()).await;
    let pid = dev.id().unwrap();
    let mut ended = None;
    in_time("the command ends", async || {
        if let Some(broker) = broker_of(pid) {
            // One that has gone meanwhile is as good as killed.
            kill_process(Pid::from_raw(broker).unwrap(), Signal::KILL).ok();
        }
        ended = dev.try_wait().unwrap();
        ended.is_some()
    })
    .await;
    assert_eq!(ended.unwrap().code(), Some(1));
    const SENTENCE: &str = "The private broker does not stay alive";
    in_time("it says why", async || log.lock().unwrap().contains(SENTENCE)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_of_transcode_that_is_killed_costs_nothing_but_time() {
    let Some(film) = media::made(FILM) else { return };
    let folder = tempfile::tempdir().unwrap();
    let film = film.to_str().unwrap();
    let words = ["transcode", film, "--out", "out", "--tiers", "360p,240p", "--json"];
    let transcode = command(folder.path(), &words).spawn().unwrap();
    let pid = transcode.id().unwrap();
    let at_work = |name: &str| {
        walkdir::WalkDir::new(folder.path())
            .into_iter()
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with(name))
    };
    in_time("something is encoded", async || at_work("240p-00000")).await;
    kill_broker(pid).await;
    let output = awaited("its end", transcode.wait_with_output()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(folder.path().join("out/master.m3u8").is_file(), "{made}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scratch_of_a_transcode_that_is_killed_goes_with_the_next() {
    let Some(film) = media::made(FILM) else { return };
    let folder = tempfile::tempdir().unwrap();
    let words = ["transcode", film.to_str().unwrap(), "--out", "out", "--tiers", "240p"];
    let scratches = || {
        let entries = std::fs::read_dir(folder.path()).unwrap().flatten();
        entries.filter(|e| e.file_name().to_string_lossy().starts_with(".jetreel-")).count()
    };
    let mut killed = command(folder.path(), &words).spawn().unwrap();
    let pid = killed.id().unwrap();
    in_time("its broker runs", async || broker_of(pid).is_some()).await;
    killed.kill().await.unwrap();
    assert_eq!(scratches(), 1);
    let next = command(folder.path(), &words).output();
    let next = awaited("the next", next).await.unwrap();
    assert!(next.status.success(), "{}", String::from_utf8_lossy(&next.stderr));
    assert_eq!(scratches(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_his_machine_examined_finds_it_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let output = command(folder.path(), &["doctor", "--json"]).output().await.unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let store = found["findings"].as_array().unwrap().iter().find(|f| f["check"] == "store");
    assert_eq!(store.unwrap()["verdict"], "OK", "{found}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
