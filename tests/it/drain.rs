//! Nodes that are stopped: work in hand is finished or handed back, and no attempt is charged.

use std::time::{Duration, Instant};

use jetreel_domain::delivery::claim::Claim;
use jetreel_domain::id::{Group, OrderId, TaskId};
use reqwest::StatusCode;

use crate::crash::claimed;
use crate::harness::media::{self, FILM};
use crate::harness::node::{Frozen, Node};
use crate::harness::site::{Site, Watched};
use crate::reconcile::in_time;
use crate::upload_to_publish::{manifest, must_be_published};

/// Time enough to finish a task, and what remains of it to put one down.
const GRACE: (&str, &str) = ("NODE__DRAIN_SECONDS", "16");
const PUT_DOWN_AFTER: Duration = Duration::from_secs(11);

const TASK: TaskId = TaskId { group: Group::Main, index: 1 };

/// A node whose codec is frozen in the middle of [`TASK`].
struct Held {
    site: Site,
    node: Node,
    claims: Watched<Claim>,
    order: OrderId,
    codec: Frozen,
}

async fn held(own: &[(&str, &str)]) -> Option<Held> {
    let film = media::made(FILM)?;
    let site = Site::start().await;
    let settings: Vec<(&str, &str)> = own.iter().copied().chain([GRACE]).collect();
    let node = site.node("first", &settings).await;
    let mut claims = site.claims().await;
    let order = node.submit(&film).await;
    claimed(&mut claims, TASK, 1).await;
    let codec = node.freeze_codec().await;
    Some(Held { site, node, claims, order, codec })
}

async fn not_ready(node: &Node) {
    in_time("the node says that it is not ready", async || {
        node.get("/readyz").await.status() == StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
}

/// The task was handed back and costs nothing: another node's first attempt is the first.
async fn another_takes_over(mut held: Held) {
    let back =
        |subject: &str, claim: &Claim| subject.ends_with(&format!(".{TASK}")) && claim.released;
    let back = held.claims.next("the task is handed back", back).await;
    assert_eq!(back.attempts, 0, "uncharged");
    let since = Instant::now();
    let second = held.site.node("second", &[]).await;
    let again = claimed(&mut held.claims, TASK, 1).await;
    assert_eq!((again.node.as_str(), again.sequence), ("second", back.sequence));
    assert!(since.elapsed() < Duration::from_secs(20), "not when a lease ends: at once");
    held.site.facts(&held.order).await.until("completed").await;
    must_be_published(&held.site, &second, &held.order, FILM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_finished_within_the_grace_is_finished() {
    let Some(mut held) = held(&[]).await else { return };
    held.node.terminate();
    not_ready(&held.node).await;
    // The codec continues and has enough time.
    drop(held.codec);
    assert_eq!(held.node.ended().await, Some(0), "{}", held.node.log());
    assert!(held.node.log().contains("the drain begins"), "{}", held.node.log());
    let entries = held.site.ledger(&held.order).await;
    let entry = entries.iter().find(|entry| entry.task == TASK).unwrap();
    assert_eq!((entry.node.as_str(), entry.attempt), ("first", 1));

    let second = held.site.node("second", &[]).await;
    held.site.facts(&held.order).await.until("completed").await;
    must_be_published(&held.site, &second, &held.order, FILM).await;
    let tasks = manifest(&second, &held.order).await.tasks;
    assert!(tasks.iter().all(|task| task.attempt == 1), "nothing was done twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_finished_is_handed_back_before_the_grace_ends() {
    let Some(mut held) = held(&[]).await else { return };
    let since = Instant::now();
    held.node.terminate();
    assert_eq!(held.node.ended().await, Some(0), "{}", held.node.log());
    let took = since.elapsed();
    assert!((PUT_DOWN_AFTER..Duration::from_secs(16)).contains(&took), "{took:?}");
    another_takes_over(held).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_puts_everything_down_at_once() {
    let Some(mut held) = held(&[]).await else { return };
    held.node.terminate();
    not_ready(&held.node).await;
    let since = Instant::now();
    held.node.terminate();
    assert_eq!(held.node.ended().await, Some(0), "{}", held.node.log());
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    another_takes_over(held).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_gives_notice_as_a_signal_does() {
    let poll = ("NODE__DRAIN_POLL_SECONDS", "1");
    let Some(mut held) = held(&[("NODE__DRAIN_FILE", "taken-away"), poll]).await else { return };
    std::fs::write(held.site.folder().join("taken-away"), b"").unwrap();
    not_ready(&held.node).await;
    held.node.terminate();
    assert_eq!(held.node.ended().await, Some(0), "{}", held.node.log());
    another_takes_over(held).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_arrives_is_taken_to_its_end() {
    let Some(film) = media::made(FILM) else { return };
    let site = Site::start().await;
    let mut node = site.node("first", &[GRACE]).await;
    let bytes = std::fs::read(&film).unwrap();
    let (send, body) = futures::channel::mpsc::unbounded::<Result<Vec<u8>, std::io::Error>>();
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    send.unbounded_send(Ok(first.to_vec())).unwrap();
    let request = reqwest::Client::new().post(node.url("/v1/videos"));
    let upload = tokio::spawn(request.body(reqwest::Body::wrap_stream(body)).send());
    let mut states = site.states().await;
    in_time("it arrives", async || !site.keys("raw/").await.is_empty()).await;

    node.terminate();
    in_time("the node takes no other", async || {
        let another = reqwest::Client::new().post(node.url("/v1/videos")).body("x").send().await;
        another.is_err_and(|error| error.is_connect())
    })
    .await;
    send.unbounded_send(Ok(rest.to_vec())).unwrap();
    drop(send);
    assert_eq!(upload.await.unwrap().unwrap().status(), StatusCode::ACCEPTED);
    let taken = states.next("it is queued", |_, video| video.source.bytes > 0).await;
    assert_eq!(taken.source.bytes, bytes.len() as u64);
    assert_eq!(node.ended().await, Some(0), "{}", node.log());
    let second = site.node("second", &[]).await;
    let order = taken.order_id(1);
    site.facts(&order).await.until("completed").await;
    must_be_published(&site, &second, &order, FILM).await;
}
