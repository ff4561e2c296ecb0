//! Streams, consumers and buckets that are deleted by hand: they are reported and created anew if that hides no loss, and no job is lost.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::process::{Output, Stdio};

use async_nats::jetstream::{self, kv};
use jetreel::bus::names;
use jetreel_domain::id::{Group, OrderId, TaskId};
use serde_json::Value;
use tokio::process::Command;

use crate::clips::jetreel;
use crate::crash::claimed;
use crate::harness::eventually::eventually_so;
use crate::harness::media::{self, FILM, SHORT};
use crate::harness::node::Node;
use crate::harness::site::Site;
use crate::reconcile::{HASTY, in_time};
use crate::upload_to_publish::{manifest, must_be_published};

/// An operator who looks for himself.
const BY_HAND: (&str, &str) = ("NATS__RECREATE", "false");
const TASK: TaskId = TaskId { group: Group::Main, index: 1 };

async fn context(site: &Site) -> jetstream::Context {
    jetstream::new(site.client().await)
}

async fn delete_consumers(site: &Site, consumers: &[(&str, &str)]) {
    let context = context(site).await;
    for (stream, consumer) in consumers {
        context.get_stream(*stream).await.unwrap().delete_consumer(consumer).await.unwrap();
    }
}

async fn has_stream(site: &Site, name: &str) -> bool {
    context(site).await.get_stream(name).await.is_ok()
}

/// The answer of `/readyz`, once it has this status.
async fn readiness(node: &Node, status: u16) -> Value {
    let mut said = Value::Null;
    let what = format!("/readyz answers {status}");
    eventually_so(&what, async || {
        let answer = node.get("/readyz").await;
        let found = answer.status().as_u16();
        said = answer.json().await.unwrap();
        found == status
    })
    .await;
    said
}

/// The node is not ready, and says that it is for want of these.
async fn lacks(node: &Node, missing: &[&str]) {
    // What cannot be read is noticed sooner than why.
    let mut said = Value::Null;
    eventually_so("the node says that something is missing", async || {
        said = readiness(node, 503).await;
        said["code"] == "topology-missing"
    })
    .await;
    let detail = said["detail"].as_str().unwrap();
    assert!(missing.iter().all(|name| detail.contains(name)), "{said}");
    assert!(detail.contains("jetreel streams apply"), "{said}");
    node.logs("the broker lacks declared streams").await;
}

async fn command(site: &Site, words: &[&str]) -> Output {
    let mut command = Command::new(jetreel());
    command.args(words).envs(site.settings().iter().cloned()).current_dir(site.folder());
    command.stdin(Stdio::null()).output().await.unwrap()
}

/// A job of which some tasks are done and some are not.
async fn begun(site: &Site, node: &Node) -> Option<OrderId> {
    let film = media::made(FILM)?;
    let mut claims = site.claims().await;
    let order = node.submit(&film).await;
    claimed(&mut claims, TASK, 1).await;
    Some(order)
}

/// Every queue that a job passes.
const QUEUES: [(&str, &str); 4] = [
    (names::ENCODE, "encode-normal-main"),
    (names::UPLOADS, names::INGEST_CONSUMER),
    (names::LEDGER, names::PUBLISH_CONSUMER),
    (names::PUBLISH, names::EVALUATE_CONSUMER),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_deleted_in_the_middle_of_a_job_is_made_anew() {
    let site = Site::start().await;
    let node = site.node("one", &HASTY).await;
    let Some(order) = begun(&site, &node).await else { return };
    delete_consumers(&site, &QUEUES).await;
    lacks(&node, &["consumer ENCODE/encode-normal-main", "consumer UPLOADS/ingest"]).await;
    readiness(&node, 200).await;
    site.facts(&order).await.until("completed").await;
    must_be_published(&site, &node, &order, FILM).await;
    let drift = jetreel::bus::topology::plan(&site.bus, &shipped()).await.unwrap();
    assert_eq!(drift, [], "as declared");
    // What comes later finds its way too.
    let next = node.submit(&media::made(SHORT).unwrap()).await;
    site.facts(&next).await.until("completed").await;
}

fn shipped() -> jetreel::bus::topology::Topology {
    use jetreel::bus::topology::{DEFAULT, Topology};
    Topology::parse(DEFAULT).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_who_looks_for_himself_is_told_what_to_do() {
    let site = Site::start().await;
    let node = site.node("one", &[&HASTY[..], &[BY_HAND]].concat()).await;
    let Some(order) = begun(&site, &node).await else { return };
    delete_consumers(&site, &QUEUES).await;
    lacks(&node, &["consumer ENCODE/encode-normal-main"]).await;
    let applied = command(&site, &["streams", "apply"]).await;
    assert!(applied.status.success(), "{applied:?}");
    readiness(&node, 200).await;
    site.facts(&order).await.until("completed").await;
    must_be_published(&site, &node, &order, FILM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_deleted_in_the_middle_of_a_job_lose_no_job() {
    let site = Site::start().await;
    let node = site.node("one", &HASTY).await;
    let Some(order) = begun(&site, &node).await else { return };
    let waiting = node.submit(&media::made(SHORT).unwrap()).await;
    let gone = [names::ENCODE, names::LEDGER, names::PUBLISH, names::UPLOADS, names::PROGRESS];
    let gone = gone.into_iter().map(ToOwned::to_owned);
    let context = context(&site).await;
    for name in gone.chain([names::CLAIMS_BUCKET, names::NODES_BUCKET].map(names::bucket_stream)) {
        context.delete_stream(&name).await.unwrap();
    }
    lacks(&node, &["stream LEDGER"]).await;
    readiness(&node, 200).await;
    site.facts(&order).await.until("completed").await;
    must_be_published(&site, &node, &order, FILM).await;
    site.facts(&waiting).await.until("completed").await;
    site.must_hold_all_of(&manifest(&node, &waiting).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn state_that_is_lost_is_not_replaced_by_an_empty_one() {
    let site = Site::start().await;
    let node = site.node("one", &HASTY).await;
    let Some(order) = begun(&site, &node).await else { return };
    let context = context(&site).await;
    let videos: kv::Store = context.get_key_value(names::VIDEOS_BUCKET).await.unwrap();
    let backup = videos.get(order.video.as_str()).await.unwrap().unwrap();
    context.delete_stream(names::bucket_stream(names::VIDEOS_BUCKET)).await.unwrap();
    lacks(&node, &["bucket videos: restore it from a backup"]).await;
    // What may be made is made meanwhile: the node has looked.
    delete_consumers(&site, &[(names::DLQ, names::HOOK_CONSUMER)]).await;
    let has_hook = async || {
        let stream = context.get_stream(names::DLQ).await.unwrap();
        stream.consumer_info(names::HOOK_CONSUMER).await.is_ok()
    };
    in_time("the consumer is made anew", has_hook).await;
    assert!(!has_stream(&site, &names::bucket_stream(names::VIDEOS_BUCKET)).await);
    readiness(&node, 503).await;

    // As a restored backup, a little old.
    let applied = command(&site, &["streams", "apply"]).await;
    assert!(applied.status.success(), "{applied:?}");
    let videos: kv::Store = context.get_key_value(names::VIDEOS_BUCKET).await.unwrap();
    videos.put(order.video.as_str(), backup).await.unwrap();
    readiness(&node, 200).await;
    site.facts(&order).await.until("completed").await;
    must_be_published(&site, &node, &order, FILM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_where_all_is_there_or_can_be_made() {
    let site = Site::start().await;
    delete_consumers(&site, &QUEUES).await;
    context(&site).await.delete_stream(names::DLQ).await.unwrap();
    let node = site.node("one", &[]).await;
    readiness(&node, 200).await;
    drop(node);
    let videos = names::bucket_stream(names::VIDEOS_BUCKET);
    context(&site).await.delete_stream(&videos).await.unwrap();
    let refused = command(&site, &["node"]).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("lacks bucket videos; restore it from a backup"), "{said}");
    assert!(!has_stream(&site, &videos).await);
    // A broker without any of the streams may be another cluster's.
    delete_all(&site).await;
    let refused = command(&site, &["node"]).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains("stream ENCODE"), "{said}");
    assert!(!has_stream(&site, names::ENCODE).await);
}

async fn delete_all(site: &Site) {
    let context = context(site).await;
    for stream in shipped().streams() {
        if context.get_stream(&stream.name).await.is_ok() {
            context.delete_stream(&stream.name).await.unwrap();
        }
    }
}
