//! `jetreel_lag` and `jetreel queues` equal what the `nats` command line says of every consumer.

use std::time::Duration;

use futures::future::join_all;
use jetreel_actors::ports::{Gauges as _, Ledger as _, Queues as _};
use jetreel_domain::delivery::dispatch::TaskQueue;
use jetreel_domain::delivery::message::Uploaded;
use jetreel_domain::scale::queue::Queue;
use tokio::process::Command;

use super::*;
use crate::clips::path;
use crate::harness::site::awaited;
use crate::harness::tools::there_is;
use crate::reconcile::in_time;

/// The time of a measurement, by the broker's clock in whole seconds.
const READ: &str = "jetreel_lag_read_timestamp_seconds";

/// Stream and consumer of a queue.
fn consumer(queue: &Queue) -> (&'static str, String) {
    match queue.labels() {
        ["encode", lane, group] => ("ENCODE", format!("encode-{lane}-{group}")),
        ["ingest", ..] => ("UPLOADS", "ingest".to_owned()),
        ["publish", ..] => ("PUBLISH", "evaluate".to_owned()),
        ["ledger", ..] => ("LEDGER", "publish".to_owned()),
        ["deadletter", ..] => ("ADVISORY", "deadletter".to_owned()),
        ["hook", ..] => ("DLQ", "hook".to_owned()),
        other => panic!("{other:?}"),
    }
}

/// A consumer as the `nats` command line sees it.
async fn info(site: &Site, queue: &Queue) -> Value {
    let (stream, consumer) = consumer(queue);
    let mut command = Command::new("nats");
    command.args(["consumer", "info", stream, consumer.as_str(), "--json"]);
    command.env("NATS_URL", site.nats().url()).env("PATH", path()).env("HOME", site.folder());
    let output = command.env_remove("XDG_CONFIG_HOME").output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn number(info: &Value, field: &str) -> u64 {
    info[field].as_u64().unwrap_or(0)
}

fn lag(info: &Value) -> u64 {
    number(info, "num_pending") + number(info, "num_ack_pending")
}

/// Every queue with its consumer.
async fn all(site: &Site) -> Vec<(Queue, Value)> {
    let queues = Queue::all();
    let infos = join_all(queues.iter().map(|queue| info(site, queue))).await;
    queues.into_iter().zip(infos).collect()
}

/// Metrics of a measurement that began after now.
async fn next_measurement(site: &Site, node: &Node) -> BTreeMap<String, f64> {
    let now = site.bus.queues().await.unwrap().at;
    let mut read = BTreeMap::new();
    in_time("the next measurement", async || {
        read = metrics(node).await;
        read.get(READ).is_some_and(|at| *at > now as f64)
    })
    .await;
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn every_consumer_at_rest_has_the_lag_that_the_nats_command_line_says() {
    if !there_is("nats") {
        return;
    }
    let site = Site::start().await;
    for (index, TaskQueue { lane, group }) in (1..).zip(TaskQueue::all()) {
        release(&site, lane, group, 0..index).await;
    }
    // Two of them are in hand, one is handed back for its next attempt, one is done.
    let queue = TaskQueue::new(Lane::Low, Group::Main);
    let take = || async { site.bus.next_task(queue, Duration::ZERO).await.unwrap().unwrap() };
    let in_hand = (take().await, take().await);
    take().await.hand_back(Duration::from_secs(600)).await.unwrap();
    take().await.ack().await.unwrap();
    let order = task(Lane::Low, Group::Main, 0).order;
    site.bus.announce_upload(&Uploaded::new(order.video.clone(), 1, Lane::High)).await.unwrap();
    site.bus.evaluate(&order).await.unwrap();
    site.bus.write_entry(&crate::bus::entry(&order, 0, None, "w")).await.unwrap();

    let node = site.node("one", &MEASURES).await;
    let exported = next_measurement(&site, &node).await;
    let shown = json(&site, &["queues", "--json"]).await;
    let mut sum = 0;
    for (queue, info) in all(&site).await {
        let [stage, lane, group] = queue.labels();
        let is_it = |line: &&Value| {
            let word = |field: &str| line[field].as_str().unwrap_or("").to_owned();
            [word("stage"), word("lane"), word("group")] == [stage, lane, group]
        };
        let line = shown["queues"].as_array().unwrap().iter().find(is_it).unwrap();
        assert_eq!(line["lag"].as_u64(), Some(lag(&info)), "{queue}");
        assert_eq!(line["redelivered"].as_u64(), Some(number(&info, "num_redelivered")), "{queue}");
        assert_eq!(exported[&name("jetreel_lag", queue.labels())] as u64, lag(&info), "{queue}");
        let oldest = line["oldest_seconds"].as_f64();
        assert_eq!(oldest.is_some(), number(&info, "num_pending") > 0, "{queue}: {oldest:?}");
        sum += lag(&info);
    }
    assert_eq!(sum, (1..=18).sum::<u64>() - 1 + 3);
    assert_eq!(shown["orphans"]["encode"], 0);
    drop(in_hand);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_the_lag_is_that_of_the_time_of_its_measurement() {
    if !there_is("nats") {
        return;
    }
    const MEASUREMENTS: usize = 2;
    let (grows, shrinks) = (Group::Main, Group::Top);
    let site = Site::start().await;
    release(&site, Lane::Normal, shrinks, 0..3000).await;
    let node = site.node("one", &MEASURES).await;
    let [grown, shrunk] = [grows, shrinks].map(|group| Queue::of_tasks(Lane::Normal, group));

    let load = async {
        let queue = TaskQueue::new(Lane::Normal, shrinks);
        for index in 0.. {
            release(&site, Lane::Normal, grows, index..index + 1).await;
            if let Some(taken) = site.bus.next_task(queue, Duration::ZERO).await.unwrap() {
                taken.ack().await.unwrap();
            }
        }
    };
    let comparing = async {
        for _ in 0..MEASUREMENTS {
            let before = [info(&site, &grown).await, info(&site, &shrunk).await];
            let read = next_measurement(&site, &node).await;
            let after = [info(&site, &grown).await, info(&site, &shrunk).await];
            let [grown, shrunk] =
                [&grown, &shrunk].map(|queue| read[&name("jetreel_lag", queue.labels())] as u64);
            let bounds = [lag(&before[0])..=lag(&after[0]), lag(&after[1])..=lag(&before[1])];
            assert!(lag(&before[0]) < lag(&after[0]), "there was no load");
            assert!(bounds[0].contains(&grown), "{grown} is not in {:?}", bounds[0]);
            assert!(bounds[1].contains(&shrunk), "{shrunk} is not in {:?}", bounds[1]);
        }
    };
    awaited("the measurements", async {
        tokio::select! {
            () = load => {}
            () = comparing => {}
        }
    })
    .await;

    // The load has ended, perhaps with a task in hand: one measurement later both say the same.
    let read = next_measurement(&site, &node).await;
    for (queue, info) in all(&site).await {
        assert_eq!(read[&name("jetreel_lag", queue.labels())] as u64, lag(&info), "{queue}");
    }
}
