//! A cancelled job ends at once, and nothing of it remains.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::time::{Duration, Instant};

use jetreel::bus::names;
use jetreel_actors::ports::{DeadLetters as _, Queues, Swap, Videos};
use jetreel_domain::delivery::message::Uploaded;
use jetreel_domain::id::{Group, OrderId, TaskId};
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::state::Status;
use reqwest::StatusCode;
use serde_json::Value;

use crate::clips::jetreel;
use crate::crash::claimed;
use crate::deadletters::BURY_REFUSED;
use crate::harness::media::{self, FILM, SHORT, SOUND_ALONE};
use crate::harness::node::Node;
use crate::harness::site::Site;
use crate::reconcile::{HASTY, in_time, untold};

/// A running codec ends well before the next heartbeat would have told.
const AT_ONCE: Duration = Duration::from_secs(3);

async fn cancel(node: &Node, id: &str) -> (StatusCode, Value) {
    let answer = node.command(&format!("/v1/jobs/{id}/cancel")).await;
    (answer.status(), answer.json().await.unwrap())
}

/// Nothing in the store, in the ledger, among claims and in the lanes.
async fn nothing_remains(site: &Site, order: &OrderId) {
    for prefix in [format!("raw/{}/", order.video), format!("out/{}/", order.video)] {
        let what = format!("nothing is left below {prefix}");
        in_time(&what, async || site.keys(&prefix).await.is_empty()).await;
        let folder = site.folder().join("media").join(&prefix);
        in_time("its folder is gone, too", async || !folder.exists()).await;
    }
    in_time("no records are left", async || {
        site.ledger(order).await.is_empty() && site.claim_keys(order).await.is_empty()
    })
    .await;
    in_time("no task is queued", async || site.subjects(names::ENCODE, ">").await.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_ends_at_once_and_leaves_nothing() {
    let Some(film) = media::made(FILM) else { return };
    let site = Site::start().await;
    let node = site.node("one", &HASTY).await;
    let mut claims = site.claims().await;
    let order = node.submit(&film).await;
    claimed(&mut claims, TaskId::new(Group::Main, 0), 1).await;
    let _held = node.freeze_codec().await;
    assert!(!site.keys(&format!("raw/{}/", order.video)).await.is_empty());

    let since = Instant::now();
    let (answer, job) = cancel(&node, &order.to_string()).await;
    assert_eq!((answer, job["status"].as_str()), (StatusCode::ACCEPTED, Some("CANCELLED")));
    in_time("the codec has ended", async || node.codecs().is_empty()).await;
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    site.facts(&order).await.until("cancelled").await;
    nothing_remains(&site, &order).await;

    let (answer, job) = cancel(&node, order.video.as_str()).await;
    assert_eq!((answer, job["status"].as_str()), (StatusCode::OK, Some("CANCELLED")), "again");
    let job = node.json(&format!("/v1/jobs/{order}")).await;
    assert_eq!((&job["playable"], &job["retry_available"]), (&false.into(), &false.into()));
    let playlist = node.get(&format!("/v/{}/master.m3u8", order.video)).await;
    assert_eq!(playlist.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_can_be_cancelled_and_a_completed_one_cannot() {
    let Some(short) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let front = site.node("front", &[("NODE__ROLES", "gateway")]).await;
    let waiting = front.submit(&short).await;
    let said = std::process::Command::new(jetreel())
        .args(["cancel", &waiting.to_string(), "--url", &front.url("")])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(
        (said.status.code(), text.trim()),
        (Some(0), format!("{waiting}  CANCELLED").as_str())
    );
    let mut settings = HASTY.to_vec();
    settings.push(("NODE__ROLES", "gateway,ingest,encode,publish,reconciler"));
    let node = site.node("one", &settings).await;
    nothing_remains(&site, &waiting).await;

    let done = node.submit(&short).await;
    site.facts(&done).await.until("completed").await;
    let (answer, problem) = cancel(&node, &done.to_string()).await;
    assert_eq!((answer, problem["code"].as_str()), (StatusCode::CONFLICT, Some("job-completed")));
    let state = site.bus.video(&done.video).await.unwrap().unwrap().value;
    assert_eq!(state.orders[0].status, Status::Completed);
    for id in ["x", "00000000000000000000000000-1", &format!("{}-9", done.video)] {
        let (answer, problem) = cancel(&node, id).await;
        assert_eq!(
            (answer, problem["code"].as_str()),
            (StatusCode::NOT_FOUND, Some("no-such-job"))
        );
    }
}

/// The node's metric of the depth of the dead letters.
async fn depth(node: &Node) -> Option<u64> {
    let numbers = String::from_utf8(node.bytes("/metrics").await).unwrap();
    let found = numbers.lines().find_map(|line| line.strip_prefix("jetreel_dlq_depth "));
    found.map(|number| number.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_to_review_what_was_cancelled() {
    let Some(sound) = media::made(SOUND_ALONE) else { return };
    let site = Site::start().await;
    let node = site.node("one", &[&HASTY[..], &[BURY_REFUSED]].concat()).await;
    let cancelled = node.submit(&sound).await;
    site.facts(&cancelled).await.until("failed-1").await;
    let kept = node.submit(&sound).await;
    site.facts(&kept).await.until("failed-1").await;
    in_time("both letters are counted", async || depth(&node).await == Some(2)).await;

    let (answer, _) = cancel(&node, &cancelled.to_string()).await;
    assert_eq!(answer, StatusCode::ACCEPTED);
    in_time("one of them is gone", async || depth(&node).await == Some(1)).await;
    let letters = site.bus.letters(0, 10).await.unwrap();
    let orders: Vec<_> = letters.into_iter().map(|found| found.letter.order).collect();
    assert_eq!(orders, [Some(kept)]);
    nothing_remains(&site, &cancelled).await;
    let job = node.json(&format!("/v1/jobs/{cancelled}")).await;
    assert_eq!((&job["status"], &job["error"]["code"]), (&"CANCELLED".into(), &"no-video".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_dies_in_the_middle_of_a_cancel_has_cancelled() {
    let Some(short) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let order = untold(&site, &short, 1, Status::Queued).await;
    site.bus.announce_upload(&Uploaded::new(order.video.clone(), 1, Lane::Normal)).await.unwrap();
    let found = site.bus.video(&order.video).await.unwrap().unwrap();
    let mut video = found.value;
    video.cancel(1, video.created).unwrap();
    let swapped = site.bus.swap_video(&video, found.revision).await.unwrap();
    assert!(matches!(swapped, Swap::Done(_)));

    let node = site.node("one", &HASTY).await;
    site.facts(&order).await.until("cancelled").await;
    nothing_remains(&site, &order).await;
    let state = site.bus.video(&order.video).await.unwrap().unwrap().value;
    assert!(!state.source.names_objects() && state.source.bytes > 0, "{state:?}");
    let job = node.json(&format!("/v1/jobs/{order}")).await;
    assert_eq!(job["status"], "CANCELLED");
}
