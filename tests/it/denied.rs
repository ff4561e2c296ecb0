//! One object that the store denies or fails at: only the work that needs it is at fault, and no other work waits.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::path::{Path, PathBuf};

use jetreel::bus::names;
use jetreel_actors::ports::{DeadLetters as _, Videos};
use jetreel_domain::delivery::deadletter::Buried;
use jetreel_domain::id::OrderId;

use crate::harness::eventually::eventually_so;
use crate::harness::media::{self, SHORT};
use crate::harness::node::Node;
use crate::harness::s3::S3Server;
use crate::harness::site::Site;
use crate::reconcile::{HASTY, in_time};

/// A schedule that is over in three seconds.
const RETRIES: [(&str, &str); 3] = [
    ("RETRY__INGEST", "1s, 1s, 1s"),
    ("RETRY__ENCODE", "1s, 1s, 1s"),
    ("RETRY__PUBLISH", "1s, 1s, 1s"),
];
/// Roles of a node that does not process uploads.
const FRONT: [(&str, &str); 1] = [("NODE__ROLES", "gateway")];
/// Log line of a node whose breaker opens.
const OPENED: &str = "the node pulls nothing until a probe succeeds";

/// Puts in its place what leads nowhere: not even the superuser can read or enter it.
fn loop_in_place_of(path: &Path) {
    if path.exists() {
        std::fs::remove_file(path).unwrap();
    }
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(path, path).unwrap();
}

fn place(site: &Site, key: &str) -> PathBuf {
    site.folder().join("media").join(key)
}

async fn letter(site: &Site, order: &OrderId) -> Buried {
    site.facts(order).await.until("failed-1").await;
    let letters = site.bus.letters(0, 10).await.unwrap();
    letters.into_iter().find(|buried| buried.letter.order.as_ref() == Some(order)).unwrap()
}

/// It was tried as often as the schedule says, and the letter names the object.
fn must_name(buried: &Buried, code: &str, key: &str) {
    let failure = &buried.letter.failure;
    assert_eq!(failure.code, code, "{failure:?}");
    assert!(failure.message.contains(key) && failure.detail.contains(key), "{failure:?}");
    let errors = buried.letter.attempts.iter().map(|attempt| attempt.error.as_deref());
    assert!(errors.eq([Some(code); RETRIES.len() + 1]), "{:?}", buried.letter.attempts);
}

fn must_have_gone_on(node: &Node) {
    assert!(!node.log().contains(OPENED), "{}", node.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_read_or_written_holds_up_nobody_else() {
    let Some(clip) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let front = site.node("front", &FRONT).await;
    let (unread, unwritten) = (front.submit(&clip).await, front.submit(&clip).await);
    let part = format!("raw/{}/00000", unread.video);
    let out = format!("out/{}", unwritten.video);
    let part = site.keys(&format!("raw/{}/", unread.video)).await.pop().unwrap_or(part);
    loop_in_place_of(&place(&site, &part));
    loop_in_place_of(&place(&site, &out));
    let good = [front.submit(&clip).await, front.submit(&clip).await];

    let node = site.node("one", &RETRIES).await;
    for order in &good {
        site.facts(order).await.until("completed").await;
    }
    must_name(&letter(&site, &unread).await, "object-failed", &part);
    must_name(&letter(&site, &unwritten).await, "object-failed", &out);
    must_have_gone_on(&node);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_a_bucket_denies_holds_up_nobody_else() {
    let Some(clip) = media::made(SHORT) else { return };
    let server = S3Server::start().await;
    let site = Site::start_on_s3(&server.options()).await;
    let front = site.node("front", &FRONT).await;
    let denied = front.submit(&clip).await;
    let part = site.keys(&format!("raw/{}/", denied.video)).await.pop().unwrap();
    server.deny(&part);
    let good = front.submit(&clip).await;

    let node = site.node("one", &RETRIES).await;
    site.facts(&good).await.until("completed").await;
    must_name(&letter(&site, &denied).await, "object-denied", &part);
    must_have_gone_on(&node);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_cannot_be_read_keeps_nobody_from_list_and_reconciler() {
    let Some(clip) = media::made(SHORT) else { return };
    let site = Site::start().await;
    // No node encodes, so planned orders stay planned.
    let front = site.node("front", &[("NODE__ROLES", "gateway,ingest")]).await;
    let (denied, whole) = (front.submit(&clip).await, front.submit(&clip).await);
    for order in [&denied, &whole] {
        eventually_so("planned", async || plan_of(&site, order).await.is_some()).await;
        let filter = format!("video.encode.*.*.{}.>", order.video);
        in_time("queued", async || !site.subjects(names::ENCODE, &filter).await.is_empty()).await;
    }
    drop(front);
    let plan = plan_of(&site, &denied).await.unwrap();
    loop_in_place_of(&place(&site, &plan));
    let context = async_nats::jetstream::new(site.client().await);
    context.get_stream(names::ENCODE).await.unwrap().purge().await.unwrap();

    let own = [&HASTY[..], &[("NODE__ROLES", "gateway,reconciler")]].concat();
    let other = site.node("other", &own).await;
    let listed = other.json("/v1/jobs").await;
    let of = |order: &OrderId| {
        let jobs = listed["jobs"].as_array().unwrap().iter();
        jobs.into_iter().find(|job| job["video"] == order.video.as_str()).unwrap().clone()
    };
    assert_eq!(of(&denied)["status"], "ENCODING");
    assert_eq!(of(&denied)["unreadable"]["code"], "storage-failed", "{listed}");
    assert_eq!(of(&whole)["unreadable"], serde_json::Value::Null, "{listed}");
    let filter = format!("video.encode.*.*.{}.>", whole.video);
    in_time("released anew", async || !site.subjects(names::ENCODE, &filter).await.is_empty())
        .await;
}

async fn plan_of(site: &Site, order: &OrderId) -> Option<String> {
    let video = site.bus.video(&order.video).await.unwrap().unwrap().value;
    let plan = video.order(order.number).unwrap().plan.clone();
    plan.map(|plan| plan.object.key)
}
