//! The remains of a crash or a loss are repaired from the states. Orphans are deleted, and named objects stay.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod builds;
mod gaps;

use std::path::Path;
use std::time::Duration;

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::{self, stream};
use bytes::Bytes;
use jetreel::bus::names;
use jetreel_actors::ports::{
    Claims, Leases as _, Queues, Store as _, Survey as _, Videos, WriteOnce,
};
use jetreel_domain::delivery::claim;
use jetreel_domain::delivery::message::Uploaded;
use jetreel_domain::id::{OrderId, VideoId};
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::state::{Status, Video};
use jetreel_domain::upkeep::leadership::Office;

use crate::harness::media::{self, SHORT};
use crate::harness::node::Node;
use crate::harness::original;
use crate::harness::site::{Site, awaited};
use crate::upload_to_publish::manifest;

/// A reconciler with short patience, and a sweep that takes seconds for days. Running work must not suffer.
pub(crate) const HASTY: [(&str, &str); 7] = [
    ("RECONCILER__PASS_SECONDS", "1"),
    ("RECONCILER__LEASE_SECONDS", "3"),
    ("RECONCILER__PATIENCE_SECONDS", "2"),
    ("RECONCILER__CANCELLED_SECONDS", "1"),
    ("RECONCILER__ORPHAN_SECONDS", "1"),
    ("RECONCILER__SWEEP_SECONDS", "1"),
    ("RECONCILER__OBJECTS_PER_PASS", "50"),
];

async fn hasty(site: &Site, name: &str, own: &[(&str, &str)]) -> Node {
    let settings: Vec<(&str, &str)> = HASTY.iter().chain(own).copied().collect();
    site.node(name, &settings).await
}

/// Looks again and again until it holds.
pub(crate) async fn in_time(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(200));
    let looking = async {
        while !holds().await {
            looks.tick().await;
        }
    };
    awaited(what, looking).await;
}

pub(crate) async fn repairs(node: &Node, repair: &str) -> u64 {
    let numbers = String::from_utf8(node.bytes("/metrics").await).unwrap();
    let line = format!("jetreel_repairs_total{{repair=\"{repair}\"}} ");
    let found = numbers.lines().find_map(|text| text.strip_prefix(&line));
    found.map_or(0, |number| number.parse().unwrap())
}

/// A video of a gateway that dies right after `status` is written: nothing was announced. Its state is of a version without part lists.
pub(crate) async fn untold(site: &Site, file: &Path, bits: u128, status: Status) -> OrderId {
    let id = VideoId::from_bits(bits);
    let list = original::stored(site.store(), &id, std::fs::read(file).unwrap(), 1 << 16).await;
    let now = now();
    let mut video = Video::receiving(id, String::new(), Lane::Normal, now);
    video.v = 1;
    if status != Status::Receiving {
        video.source = original::inline(&list);
        video.advance(1, status, now).unwrap();
    }
    assert_eq!(site.bus.create_video(&video).await.unwrap(), WriteOnce::Mine);
    video.order_id(1)
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// Every frame is there, and so is every object that the manifest names, as it was written.
async fn is_whole(site: &Site, node: &Node, order: &OrderId) {
    let manifest = manifest(node, order).await;
    assert_eq!(manifest.source.frames, SHORT.frames);
    site.must_hold_all_of(&manifest).await;
}

async fn status(site: &Site, order: &OrderId) -> Status {
    let video = site.bus.video(&order.video).await.unwrap().unwrap().value;
    video.order(order.number).unwrap().status
}

async fn queued(site: &Site, order: &OrderId) -> usize {
    site.bus.queued_tasks(order).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_nobody_was_told_of_is_found() {
    let Some(short) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let lost = untold(&site, &short, 1, Status::Queued).await;
    let node = hasty(&site, "one", &[]).await;
    site.facts(&lost).await.until("completed").await;
    is_whole(&site, &node, &lost).await;
    assert_eq!(repairs(&node, "upload-announced").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_an_unknown_form_keep_nobody_from_the_others() {
    let Some(clip) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let context = async_nats::jetstream::new(site.client().await);
    let garbage = async |bucket: &str, key: &str| {
        let bucket = context.get_key_value(bucket).await.unwrap();
        bucket.put(key, "of another form".into()).await.unwrap();
    };
    garbage("nodes", "reconciler").await;
    garbage("nodes", "node.odd").await;
    garbage("videos", VideoId::from_bits(1).as_str()).await;
    let order = untold(&site, &clip, 2, Status::Queued).await;
    let node = hasty(&site, "one", &[]).await;
    site.facts(&order).await.until("completed").await;
    is_whole(&site, &node, &order).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_wait_are_not_announced_again() {
    let Some(short) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let order = untold(&site, &short, 1, Status::Queued).await;
    site.bus.announce_upload(&Uploaded::new(order.video.clone(), 1, Lane::Normal)).await.unwrap();
    // No node ingests. Another loss that is repaired shows that the reconciler has made a pass.
    let _node = hasty(&site, "one", &[("NODE__ROLES", "reconciler")]).await;
    let lost = untold(&site, &short, 2, Status::Queued).await;
    in_time("the lost one is announced", async || {
        site.bus.announced_upload(&lost).await.unwrap().is_some()
    })
    .await;
    let context = jetstream::new(site.client().await);
    let mut uploads = context.get_stream(names::UPLOADS).await.unwrap();
    assert_eq!(uploads.info().await.unwrap().state.messages, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_got_lost_is_queued_again() {
    let Some(short) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let front = site.node("front", &[("NODE__ROLES", "gateway,ingest,publish")]).await;
    let order = front.submit(&short).await;
    in_time("tasks are queued", async || queued(&site, &order).await > 1).await;
    // The publisher evaluates the order, and from then on holds that these tasks are released.
    site.bus.evaluate(&order).await.unwrap();
    in_time("it is evaluated", async || site.subjects(names::PUBLISH, ">").await.is_empty()).await;
    let context = jetstream::new(site.client().await);
    let encode = context.get_stream(names::ENCODE).await.unwrap();
    let first = encode.get_first_raw_message_by_subject(">", 1).await.unwrap();
    let before = queued(&site, &order).await;
    encode.delete_message(first.sequence).await.unwrap();
    assert_eq!(queued(&site, &order).await, before - 1);

    let worker = hasty(&site, "worker", &[("NODE__ROLES", "gateway,encode,reconciler")]).await;
    site.facts(&order).await.until("completed").await;
    is_whole(&site, &front, &order).await;
    assert_eq!(repairs(&worker, "task-queued").await, 1);
}

/// Makes a consumer anew that knows nothing of what was published before.
pub(crate) async fn forgets_everything(site: &Site, stream: &str, consumer: &str) {
    let context = jetstream::new(site.client().await);
    let stream: stream::Stream = context.get_stream(stream).await.unwrap();
    let consumer: jetstream::consumer::Consumer<pull::Config> =
        stream.get_consumer(consumer).await.unwrap();
    let info = consumer.cached_info();
    let name = info.name.clone();
    let config = pull::Config {
        durable_name: Some(name.clone()),
        deliver_policy: DeliverPolicy::New,
        ack_wait: info.config.ack_wait,
        max_ack_pending: -1,
        filter_subject: info.config.filter_subject.clone(),
        ..pull::Config::default()
    };
    stream.delete_consumer(&name).await.unwrap();
    stream.create_consumer(config).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_that_lost_their_place_lose_no_order() {
    let Some(short) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let front = site.node("front", &[("NODE__ROLES", "gateway")]).await;
    let order = front.submit(&short).await;
    forgets_everything(&site, names::UPLOADS, names::INGEST_CONSUMER).await;
    let worker = hasty(&site, "worker", &[("NODE__ROLES", "ingest,encode,reconciler")]).await;
    in_time("all that was released is done", async || {
        let finished = site.bus.finished_tasks(&order).await.unwrap();
        !finished.is_empty() && queued(&site, &order).await == 0
    })
    .await;
    drop(worker);
    forgets_everything(&site, names::LEDGER, names::PUBLISH_CONSUMER).await;
    assert_eq!(status(&site, &order).await, Status::Encoding);

    let back = hasty(&site, "back", &[]).await;
    site.facts(&order).await.until("completed").await;
    is_whole(&site, &back, &order).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_names_is_swept_and_what_a_manifest_names_stays() {
    let Some(short) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let node = hasty(&site, "one", &[]).await;
    let order = node.submit(&short).await;
    site.facts(&order).await.until("completed").await;
    let OrderId { video, number } = &order;
    let stranger = VideoId::from_bits(99);
    let orphans = [
        format!("out/{video}/{number}/main-0000/another-attempt/240p-00000.mp4"),
        format!("out/{video}/{number}/plan-of-a-rival.json"),
        format!("out/{video}/{number}/final-of-a-rival/master.m3u8"),
        format!("out/{video}/7/main-0000/attempt/240p-00000.mp4"),
        format!("out/{stranger}/1/main-0000/attempt/240p-00000.mp4"),
        format!("raw/{video}/00099"),
        format!("raw/{stranger}/00000"),
        "probe/01939c7e-0000-7000-8000-00000000000a".to_owned(),
    ];
    let others = ["raw/film.mp4", "out/notes.txt", "uploads/film.mp4", "probe/film.mp4"];
    for key in orphans.iter().map(String::as_str).chain(others) {
        site.store().write(key, Bytes::from_static(b"x")).await.unwrap();
    }
    let left = claim::take(None, "left".into(), "gone".into(), 1, 0);
    site.bus.swap_claim(&order, &"main-0000".into(), &left, 0).await.unwrap();

    in_time("every orphan is gone", async || {
        let mut there = 0;
        for key in &orphans {
            there += usize::from(site.store().size(key).await.unwrap().is_some());
        }
        there == 0
    })
    .await;
    in_time("no claim of a closed order is left", async || {
        site.claim_keys(&order).await.is_empty()
    })
    .await;
    is_whole(&site, &node, &order).await;
    let state = site.bus.video(video).await.unwrap().unwrap().value;
    let plan = &state.orders[0].plan.as_ref().unwrap().object.key;
    let list = state.source.list.as_ref().unwrap().key.as_str();
    let part = format!("raw/{video}/00000");
    let named = [list, part.as_str(), plan.as_str()].into_iter();
    for key in named.chain(others) {
        assert!(site.store().size(key).await.unwrap().is_some(), "{key}");
    }
    assert!(site.folder().join("media/.jetreel-store").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_stands_still_is_given_up() {
    let Some(short) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let order = untold(&site, &short, 1, Status::Receiving).await;
    let prefix = format!("raw/{}/", order.video);
    assert!(!site.keys(&prefix).await.is_empty());
    let limit = [("RECONCILER__RECEIVING_SECONDS_MAX", "3")];
    let node = hasty(&site, "one", &limit).await;
    site.facts(&order).await.until("cancelled").await;
    in_time("nothing of it is left", async || site.keys(&prefix).await.is_empty()).await;
    assert_eq!(status(&site, &order).await, Status::Cancelled);
    assert_eq!(repairs(&node, "upload-given-up").await, 1);
}

async fn leader(site: &Site) -> Option<String> {
    let found = site.bus.lease(Office::Reconciler).await.unwrap()?;
    (found.value.expires > now()).then_some(found.value.node)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_reconciles_and_another_takes_over() {
    let Some(short) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let mut first = hasty(&site, "first", &[]).await;
    in_time("the first leads", async || leader(&site).await.as_deref() == Some("first")).await;
    let second = hasty(&site, "second", &[]).await;
    let lost = untold(&site, &short, 1, Status::Queued).await;
    site.facts(&lost).await.until("completed").await;
    assert_eq!(leader(&site).await.as_deref(), Some("first"), "it kept its lease");
    assert_eq!(repairs(&second, "upload-announced").await, 0);
    first.kill();
    in_time("the second leads", async || leader(&site).await.as_deref() == Some("second")).await;
    let lost = untold(&site, &short, 2, Status::Queued).await;
    site.facts(&lost).await.until("completed").await;
    assert_eq!(repairs(&second, "upload-announced").await, 1);
}
