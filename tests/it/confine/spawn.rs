//! Starting and ending confined processes: they go with their parent, and confinement costs little.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jetreel_actors::ports::Codec as _;
use jetreel_domain::codec::wire::JobWork;
use rustix::process::{Pid, Signal, kill_process};

use super::stage::{Stage, nothing};
use crate::clips::{jetreel, path};
use crate::harness::eventually::eventually;
use crate::harness::fake_codec::lives;
use crate::harness::media::{FILM, made};
use crate::harness::node::is_confined;

/// Processes whose parent is `parent`, by name.
fn children(parent: u32, name: &str) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let Some((head, rest)) = stat.rsplit_once(") ") else { return false };
        let owner = rest.split_ascii_whitespace().nth(1).and_then(|parent| parent.parse().ok());
        head.contains(name) && owner == Some(parent)
    })
    .collect()
}

fn send(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

#[tokio::test]
async fn a_process_that_hangs_ends_with_its_parent_all_the_same() {
    let Some(film) = made(FILM) else { return };
    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new(jetreel());
    command.arg("transcode").arg(film).arg("--out").arg(place.path().join("out"));
    command.env("PATH", path()).env("TMPDIR", place.path()).current_dir(place.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut parent = command.spawn().unwrap();
    let mut codec = None;
    eventually("a codec process is at work", || {
        let all = children(parent.id(), "jetreel-codec");
        codec = all.into_iter().find(|pid| is_confined(*pid));
        codec.is_some()
    })
    .await;
    let codec = codec.unwrap();
    // It stands still, so it cannot notice the end of its socket.
    send(codec, Signal::STOP);
    parent.kill().unwrap();
    parent.wait().unwrap();
    eventually("the codec process is gone", || !lives(codec)).await;
}

/// Median and slowest of starts up to the end of an empty job.
async fn cost(stage: &Stage, machine: &str) -> (Duration, Duration) {
    const STARTS: usize = 200;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let codec = stage.codec(machine);
        let start = Instant::now();
        codec.build().await.unwrap();
        times.push(start.elapsed());
    }
    times.sort();
    (times[STARTS / 2], times[STARTS - 1])
}

/// A measurement: `cargo test --test it confine::spawn::cost -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement, for a quiet machine"]
async fn cost_of_confinement() {
    let stage = Stage::new();
    for machine in ["unconfined", "plain", "unconfined", "plain", "no-namespaces"] {
        let (median, slowest) = cost(&stage, machine).await;
        println!("{machine}: median {median:?}, slowest {slowest:?}");
    }
}

/// CPU time of this process and of all children that it reaped.
fn cpu_so_far() -> Duration {
    const UTIME_AFTER_NAME: usize = 11;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let times = fields.split_ascii_whitespace().skip(UTIME_AFTER_NAME).take(4);
    let ticks: u64 = times.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// A measurement: `cargo test --test it confine::spawn::cpu -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement"]
async fn cpu_of_a_start() {
    const STARTS: u32 = 200;
    let stage = Stage::new();
    for machine in ["plain", "no-forks", "plain", "no-forks", "plain"] {
        let before = cpu_so_far();
        let codec = stage.codec(machine);
        for _ in 0..STARTS {
            stage.run(&codec, JobWork::Hello, nothing(), stage.budget()).await.unwrap();
        }
        drop(codec);
        eventually("all are reaped", || children(std::process::id(), "jetreel-").is_empty()).await;
        println!(
            "{machine}: {:?} a process, of this one and its children",
            (cpu_so_far() - before) / STARTS
        );
    }
}
