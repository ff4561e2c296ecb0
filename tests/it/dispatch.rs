//! What it costs to find tasks, and how many of them a node has in hand.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use async_nats::{Client, Subscriber};
use futures::future::join_all;
use futures::{FutureExt as _, StreamExt as _};
use humantime_serde::re::humantime;
use jetreel_actors::ports::{Queues as _, Survey as _, WriteOnce};
use jetreel_domain::delivery::message::EncodeTask;
use jetreel_domain::id::{Group, OrderId, TaskId, VideoId};
use jetreel_domain::order::lane::Lane;
use serde_json::Value;

use crate::command::said;
use crate::harness::media::{self, FILM};
use crate::harness::noop;
use crate::harness::site::{Site, awaited};

/// Pulls from the queues of tasks.
const PULLS: &str = "$JS.API.CONSUMER.MSG.NEXT.ENCODE.>";
/// Settlements of tasks.
const SETTLED: &str = "$JS.ACK.ENCODE.>";

async fn heard(client: &Client, subject: &'static str) -> Subscriber {
    let heard = client.subscribe(subject).await.unwrap();
    client.flush().await.unwrap();
    heard
}

/// Pulls that have arrived.
async fn so_far(client: &Client, pulls: &mut Subscriber) -> usize {
    let end = PULLS.replace('>', "end");
    client.publish(end, "end".into()).await.unwrap();
    let mut count = 0;
    while pulls.next().await.unwrap().payload != "end" {
        count += 1;
    }
    count
}

/// A task of an order that does not exist, so that a worker acknowledges it at once.
fn unwanted(index: u32) -> EncodeTask {
    let order = OrderId::new(VideoId::from_bits(7), 1);
    let plan = format!("out/{}/{}/plan-x.json", order.video, order.number);
    EncodeTask {
        v: 1,
        order,
        task: TaskId::new(Group::Main, index),
        lane: Lane::Normal,
        plan,
        plan_sha256: "0".repeat(64),
    }
}

/// Subscriptions that the server has added since its start.
async fn subscriptions(site: &Site) -> u64 {
    let answer = reqwest::get(format!("{}/subsz", site.nats().monitor_url())).await.unwrap();
    let document: Value = answer.json().await.unwrap();
    document["num_inserts"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_costs_one_pull_a_task_and_few_subscriptions() {
    const TASKS: u32 = 1000;
    let site = Site::start().await;
    let tasks: Vec<EncodeTask> = (0..TASKS).map(unwanted).collect();
    for some in tasks.chunks(100) {
        let released = join_all(some.iter().map(|task| site.bus.release(task))).await;
        assert!(released.into_iter().all(|released| released.unwrap() == WriteOnce::Mine));
    }
    let client = site.client().await;
    let (mut pulls, mut settled) = (heard(&client, PULLS).await, heard(&client, SETTLED).await);
    let before = subscriptions(&site).await;
    let _node = site.node("one", &[("NODE__ROLES", "encode"), ("NODE__SLOTS", "2")]).await;
    let all = settled.by_ref().take(TASKS as usize).collect::<Vec<_>>();
    awaited("every task is acknowledged", all).await;
    let added = subscriptions(&site).await - before;
    let letters = site.bus.dead_letters().await.unwrap().letters;
    assert_eq!(letters, 0);
    let asked = so_far(&client, &mut pulls).await;
    assert!((TASKS as usize..=TASKS as usize * 12 / 10).contains(&asked), "{asked} pulls");
    assert!(added < u64::from(TASKS) / 10, "{added} subscriptions");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_node_asks_a_few_times_a_second() {
    const PULLS_OF_IDLENESS: usize = 24;
    let site = Site::start().await;
    let client = site.client().await;
    let mut pulls = heard(&client, PULLS).await;
    let _node = site.node("one", &[("NODE__ROLES", "encode"), ("NODE__SLOTS", "8")]).await;
    let queues = Lane::ALL.len() * Group::ALL.len();
    awaited("each queue is asked", pulls.by_ref().take(queues).collect::<Vec<_>>()).await;
    let since = Instant::now();
    let idle = pulls.by_ref().take(PULLS_OF_IDLENESS).collect::<Vec<_>>();
    awaited("empty queues are asked again", idle).await;
    // Four a second; the first four may come together.
    assert!(since.elapsed() > Duration::from_secs(4), "{:?}", since.elapsed());

    // A hint wakes the queue that it names, long before its turn.
    let mut settled = heard(&client, SETTLED).await;
    let released = Instant::now();
    site.bus.release(&unwanted(0)).await.unwrap();
    awaited("the task is acknowledged", settled.next()).await.unwrap();
    assert!(released.elapsed() < Duration::from_secs(2), "{:?}", released.elapsed());
    let named = std::iter::from_fn(|| pulls.next().now_or_never().flatten());
    assert!(named.into_iter().any(|pull| pull.subject.ends_with(".encode-normal-main")));
}

/// Busy slots, and since when, as the log of a node tells.
fn busy_slots(log: &str) -> Vec<(SystemTime, u64)> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut busy = BTreeMap::<String, u64>::new();
    let said = lines.filter(|line| line["message"] == "slots busy").map(|line| {
        let at = humantime::parse_rfc3339(line["timestamp"].as_str().unwrap()).unwrap();
        busy.insert(line["group"].as_str().unwrap().to_owned(), line["busy"].as_u64().unwrap());
        (at, busy.values().sum())
    });
    said.collect()
}

/// Most slots that were busy at the same time.
fn most_busy(log: &str) -> u64 {
    busy_slots(log).into_iter().map(|(_, busy)| busy).max().unwrap_or(0)
}

/// Share of the time from the first to the last moment with all slots busy in which they were.
fn share_busy(log: &str, slots: u64) -> f64 {
    let said = busy_slots(log);
    let full = |(_, busy): &(SystemTime, u64)| *busy == slots;
    let first = said.iter().position(full).expect("all slots were busy once");
    let last = said.iter().rposition(full).unwrap();
    let spans = said[first..].windows(2).take(last - first + 1);
    let (mut all, mut whole) = (Duration::ZERO, Duration::ZERO);
    for pair in spans {
        let time = pair[1].0.duration_since(pair[0].0).unwrap_or_default();
        whole += time;
        all += if pair[0].1 == slots { time } else { Duration::ZERO };
    }
    all.as_secs_f64() / whole.as_secs_f64()
}

#[test]
fn transcode_keeps_every_slot_busy() {
    let Some(film) = media::made(FILM) else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut words = vec!["transcode", film.to_str().unwrap(), "--out", "out", "--verbose"];
    words.extend(["--preset", "ultrafast", "--set", "node.slots=4"]);
    words.extend(["--set", "log.filter=jetreel=debug", "--set", "log.format=json"]);
    let done = said(folder.path(), &words);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!(most_busy(&done.err), 4, "{}", done.err);
}

#[test]
fn transcode_keeps_four_codecs_busy_until_the_tasks_run_out() {
    let folder = tempfile::tempdir().unwrap();
    let film = folder.path().join("film.mp4");
    std::fs::write(&film, noop::source(600)).unwrap();
    let codec = format!("codec.path={}", noop::program(folder.path(), 10).display());
    let mut words = vec!["transcode", film.to_str().unwrap(), "--out", "out", "--verbose"];
    words.extend(["--set", "node.slots=4", "--set", &codec, "--set", "codec.confinement=none"]);
    words.extend(["--set", "plan.images=false", "--set", "plan.package=false"]);
    words.extend(["--set", "log.filter=jetreel=debug", "--set", "log.format=json"]);
    let done = said(folder.path(), &words);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!(most_busy(&done.err), 4);
    let share = share_busy(&done.err, 4);
    assert!(share > 0.8, "all slots were busy for {share:.2} of the time");
}
