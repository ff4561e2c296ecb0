//! A paused queue holds its tasks back until it is resumed.

use async_nats::Subscriber;
use futures::StreamExt as _;
use jetreel_actors::ports::Gauges as _;
use jetreel_domain::scale::load::QueueLoad;

use super::*;
use crate::harness::media::{self, SHORT};
use crate::harness::site::awaited;
use crate::reconcile::in_time;

/// Pulls from a queue that hold nothing back if it is not paused.
const PULLS: usize = 3;

async fn queue(site: &Site, name: &str) -> QueueLoad {
    let read = site.bus.queues().await.unwrap().queues;
    read.into_iter().find(|queue| queue.queue().to_string() == name).unwrap()
}

async fn pulls(site: &Site, consumer: &str) -> Subscriber {
    let client = site.client().await;
    let heard = client.subscribe(format!("$JS.API.CONSUMER.MSG.NEXT.ENCODE.{consumer}")).await;
    client.flush().await.unwrap();
    heard.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_lane_holds_its_tasks_back_and_a_resumed_one_lets_them_go() {
    let Some(short) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let node = site.node("one", &[]).await;
    let paused = json(&site, &["queues", "pause", "normal", "--for", "1h", "--json"]).await;
    assert_eq!(paused["queues"].as_array().unwrap().len(), Group::ALL.len());
    let order = node.submit(&short).await;
    in_time("its tasks are queued", async || queue(&site, "normal/first").await.pending > 0).await;
    // The node asks again, and gets nothing.
    let asked = pulls(&site, "encode-normal-first").await.take(PULLS).collect::<Vec<_>>();
    awaited("the node pulls", asked).await;
    let held = queue(&site, "normal/first").await;
    assert!(held.pending > 0 && held.ack_pending == 0, "{held:?}");
    let load = json(&site, &["queues", "--json"]).await;
    assert_eq!(load["videos_waiting"]["normal"], 1);
    assert!(load["backlog_seconds"].as_f64().unwrap() > 0.0, "{load}");
    let until = held.paused_until.unwrap() - load["at"].as_i64().unwrap();
    assert!((3000..=3600).contains(&until), "{until}");
    let labels = ["encode", "normal", "first"];
    in_time("the pause is exported", async || {
        let read = metrics(&node).await;
        read.get(&name("jetreel_consumer_paused", labels)) == Some(&1.0)
            && read.get(&name("jetreel_consumer_paused", ["encode", "low", "first"])) == Some(&0.0)
            && read.get("jetreel_videos_waiting{lane=\"normal\"}") == Some(&1.0)
    })
    .await;
    let shown = jetreel(&site, &["queues"]).await;
    let line = shown.out.lines().find(|line| line.contains("normal/first")).unwrap();
    let end = paused["queues"][0]["paused_until"].as_str().unwrap();
    assert!(line.contains(&end[..13]), "{line}: {end}");

    let resumed = jetreel(&site, &["queues", "resume", "normal"]).await;
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    site.facts(&order).await.until("completed").await;
    assert_eq!(queue(&site, "normal/first").await.paused_until, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_group_of_a_lane_is_paused_alone() {
    let site = Site::start().await;
    let said = jetreel(&site, &["queues", "pause", "low/main", "--for", "30m"]).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.starts_with("low/main  paused until "), "{}", said.out);
    assert!(said.err.contains("resume"), "{}", said.err);
    let read = site.bus.queues().await.unwrap().queues;
    let paused = read.iter().filter(|queue| queue.paused_until.is_some());
    assert_eq!(paused.map(|q| q.consumer.as_str()).collect::<Vec<_>>(), ["encode-low-main"]);
    // Streams that are applied again keep the pause.
    let applied = jetreel(&site, &["streams", "apply"]).await;
    assert_eq!(applied.code, Some(0), "{}", applied.err);
    assert!(queue(&site, "low/main").await.paused_until.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_word_is_answered_with_what_to_do() {
    let site = Site::start().await;
    for (words, named) in [
        (&["pause", "lo", "--for", "1h"][..], &["\"lo\"", "high, normal, low", "low/main"][..]),
        (&["pause", "low/x", "--for", "1h"], &["\"x\" is no group", "first, audio"]),
        (&["pause", "low", "--for", "soon"], &["--for", "1h"]),
        (&["pause", "low", "--for", "0s"], &["between 1s and 1 year"]),
        (&["pause", "low"], &["--for"]),
        (&["resume"], &["QUEUE"]),
    ] {
        let all = [&["queues"], words].concat();
        let said = jetreel(&site, &all).await;
        assert_eq!(said.code, Some(2), "{words:?}: {}", said.err);
        assert!(named.iter().all(|name| said.err.contains(name)), "{words:?}: {}", said.err);
    }
    let away = said(site.folder(), &["queues"]);
    assert_eq!(away.code, Some(6), "{}", away.err);
    assert!(away.err.contains("nats.url") && away.err.contains("--data"), "{}", away.err);
}
