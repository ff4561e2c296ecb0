//! One node measures, and another takes over. The gauges of a node vanish when it stops.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::*;
use crate::clips::{jetreel as program, path};
use crate::harness::media::{self, SHORT};
use crate::harness::site::awaited;
use crate::harness::tools::there_is;
use crate::reconcile::in_time;

async fn leads(node: &Node) -> bool {
    metrics(node).await["jetreel_lag_leader"] == 1.0
}

/// Gauges of the load that a node exports.
async fn exported(node: &Node) -> usize {
    metrics(node).await.keys().filter(|name| name.starts_with("jetreel_lag{")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_takes_over_and_the_gauges_of_the_former_one_vanish() {
    let site = Site::start().await;
    let first = site.node("first", &MEASURES).await;
    in_time("the first measures", async || exported(&first).await > 0).await;
    let mut second = site.node("second", &MEASURES).await;
    assert_eq!((leads(&second).await, exported(&second).await), (false, 0));

    first.stop();
    in_time("the second measures", async || exported(&second).await > 0).await;
    first.go_on();
    in_time("the first notices", async || exported(&first).await == 0).await;
    assert!(!leads(&first).await && leads(&second).await);

    // A node that is stopped hands the lease over at once.
    let asked = std::time::Instant::now();
    second.terminate();
    in_time("the first measures again", async || exported(&first).await > 0).await;
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
    assert_eq!(second.ended().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_slots_and_work_are_counted() {
    let Some(short) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let node = site.node("one", &[("NODE__SLOTS", "3")]).await;
    in_time("its slots are counted", async || {
        let read = metrics(&node).await;
        read.get("jetreel_slots{state=\"free\"}") == Some(&3.0)
            && read.get("jetreel_nodes{role=\"encode\"}") == Some(&1.0)
    })
    .await;
    let order = node.submit(&short).await;
    site.facts(&order).await.until("completed").await;
    let load = json(&site, &["queues", "--json"]).await;
    assert_eq!((load["slots"].as_u64(), load["nodes"][0]["name"].as_str()), (Some(3), Some("one")));
    assert_eq!(load["videos_waiting"]["normal"], 0);
    assert_eq!(load["backlog_seconds"].as_f64(), Some(0.0));
    let read = metrics(&node).await;
    let tiers = read.keys().filter(|name| name.starts_with("jetreel_realtime_factor_count{"));
    assert!(tiers.count() > 0, "{:?}", read.keys());
}

#[tokio::test(flavor = "multi_thread")]
async fn top_prints_one_frame_where_there_is_no_terminal() {
    let site = Site::start().await;
    release(&site, Lane::Low, Group::Main, 0..12).await;
    let _node = site.node("encoder-of-frames", &[("NODE__ROLES", "publish")]).await;
    let refused = jetreel(&site, &["top"]).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("--once"), "{}", refused.err);
    let frame = jetreel(&site, &["top", "--once"]).await;
    assert_eq!(frame.code, Some(0), "{}", frame.err);
    let line = frame.out.lines().find(|line| line.contains("low/main")).unwrap();
    assert!(line.split_whitespace().any(|word| word == "12"), "{line}");
    for part in ["encoder-of-frames", "slots", "backlog", "videos waiting", "queues are empty"] {
        assert!(frame.out.contains(part), "{part} is not in\n{}", frame.out);
    }
    assert!(!frame.out.contains('\x1b'), "a script reads it");
}

#[tokio::test(flavor = "multi_thread")]
async fn top_shows_new_frames_in_a_terminal_until_q_is_pressed() {
    if !there_is("script") {
        return;
    }
    let site = Site::start().await;
    release(&site, Lane::Low, Group::Main, 0..12).await;
    // It runs a command in a terminal of its own.
    let mut command = Command::new("script");
    let (program, url) = (program(), site.nats().url());
    let line = format!("{} top --every 1 --set nats.url={url}", program.display());
    command.args(["-qec", line.as_str(), "/dev/null"]).env("PATH", path());
    command.current_dir(site.folder()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut terminal = command.kill_on_drop(true).spawn().unwrap();
    let mut keys = terminal.stdin.take().unwrap();
    let mut output = terminal.stdout.take().unwrap();
    let mut seen = String::new();
    let mut until = async |text: &str| {
        let mut piece = [0; 4096];
        while !seen.contains(text) {
            let length = output.read(&mut piece).await.unwrap();
            assert!(length > 0, "it ended: {seen}");
            seen.push_str(&String::from_utf8_lossy(&piece[..length]));
        }
        std::mem::take(&mut seen)
    };
    let first = awaited("a frame", until("q quits")).await;
    assert!(first.contains("\x1b[?1049h") && first.contains("low/main"), "{first}");
    release(&site, Lane::High, Group::Top, 0..5).await;
    awaited("a newer frame", until("high/top")).await;
    keys.write_all(b"xq").await.unwrap();
    awaited("the screen of before", until("\x1b[?1049l")).await;
    assert!(awaited("its end", terminal.wait()).await.unwrap().success());
}
