//! Documents of other programs: newer ones are read and never changed, and what this one does not know survives a change.

use std::path::Path;

use async_nats::jetstream;
use jetreel::bus::names;
use jetreel_actors::ports::{DeadLetters as _, Queues, Store as _};
use jetreel_domain::delivery::message::Uploaded;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::OrderId;
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::state::Status;
use serde_json::{Value, json};

use crate::harness::media::{self, SHORT};
use crate::harness::site::Site;
use crate::reconcile::{HASTY, in_time, untold};

/// Writes a document as a foreign client would.
async fn put(site: &Site, subject: &str, document: &Value) -> u64 {
    let context = jetstream::new(site.client().await);
    let sent = context.publish(subject.to_owned(), document.to_string().into()).await.unwrap();
    sent.await.unwrap().sequence
}

async fn got(site: &Site, subject: &str) -> (Value, u64) {
    let context = jetstream::new(site.client().await);
    let stream = context.get_stream("KV_videos").await.unwrap();
    let found = stream.get_last_raw_message_by_subject(subject).await.unwrap();
    (serde_json::from_slice(&found.payload).unwrap(), found.sequence)
}

fn place(order: &OrderId) -> String {
    names::bucket_subject(names::VIDEOS_BUCKET, order.video.as_str())
}

/// A queued video whose state was edited since.
async fn edited(site: &Site, clip: &Path, bits: u128, edit: impl FnOnce(&mut Value)) -> OrderId {
    let order = untold(site, clip, bits, Status::Queued).await;
    let (mut state, _) = got(site, &place(&order)).await;
    edit(&mut state);
    put(site, &place(&order), &state).await;
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_state_is_read_and_nobody_changes_it() {
    let Some(clip) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let newer = edited(&site, &clip, 1, |state| {
        state["v"] = json!(99);
        state["mood"] = json!("good");
    })
    .await;
    let (state, revision) = got(&site, &place(&newer)).await;
    site.bus.announce_upload(&Uploaded::new(newer.video.clone(), 1, Lane::Normal)).await.unwrap();
    // Its own orphan: a newer program may name it in a field that this one does not know.
    let kept = format!("out/{}/1/main-0000/attempt/240p-00000.mp4", newer.video);
    site.put(&kept, b"x".to_vec()).await;
    let swept = "out/00000000000000000000000099/1/main-0000/attempt/240p-00000.mp4";
    site.put(swept, b"x".to_vec()).await;

    let node = site.node("one", &HASTY).await;
    node.logs("newer-document").await;
    let job = node.json(&format!("/v1/jobs/{newer}")).await;
    assert_eq!(job["status"], "QUEUED", "it is read");
    let cancel = node.command(&format!("/v1/jobs/{newer}/cancel")).await;
    assert!(!cancel.status().is_success(), "{cancel:?}");
    // The sweeper comes by, and others are served meanwhile.
    in_time("another orphan is gone", async || site.store().size(swept).await.unwrap().is_none())
        .await;
    let other = node.submit(&clip).await;
    site.facts(&other).await.until("completed").await;
    assert_eq!(got(&site, &place(&newer)).await, (state.clone(), revision));
    assert!(site.store().size(&kept).await.unwrap().is_some());
    assert_eq!(site.bus.letters(0, 10).await.unwrap(), [], "it costs no attempt");

    // A program that knows it takes it back to what this one knows.
    let mut known = state;
    known["v"] = json!(1);
    put(&site, &place(&newer), &known).await;
    site.facts(&newer).await.until("completed").await;
    let (after, _) = got(&site, &place(&newer)).await;
    assert_eq!(
        (&after["mood"], &after["orders"][0]["status"]),
        (&json!("good"), &json!("COMPLETED"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_survives_a_whole_job() {
    let Some(clip) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let order = edited(&site, &clip, 1, |state| {
        state["studio"] = json!({ "name": "somebody" });
        state["orders"][0]["priority"] = json!(7);
        state["source"]["parts"][0]["sha256"] = json!("of tomorrow");
    })
    .await;
    let node = site.node("one", &HASTY).await;
    site.facts(&order).await.until("completed").await;
    let (state, _) = got(&site, &place(&order)).await;
    assert_eq!(state["studio"]["name"], "somebody");
    assert_eq!(state["orders"][0]["priority"], 7);
    assert_eq!(state["source"]["parts"][0]["sha256"], "of tomorrow");
    assert_eq!(state["orders"][0]["status"], "COMPLETED");
    drop(node);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_a_newer_program_is_left_to_it() {
    let Some(clip) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let order = untold(&site, &clip, 1, Status::Queued).await;
    let key =
        names::bucket_subject(names::CLAIMS_BUCKET, &subject::claim_key(&order, &"ingest".into()));
    let claim = json!({
        "v": 2, "attempt_id": "a", "node": "newer", "sequence": 1, "attempts": 1, "mood": "good",
    });
    let revision = put(&site, &key, &claim).await;
    site.bus.announce_upload(&Uploaded::new(order.video.clone(), 1, Lane::Normal)).await.unwrap();
    let node = site.node("one", &[]).await;
    node.logs("newer-document").await;
    let context = jetstream::new(site.client().await);
    let stream = context.get_stream("KV_claims").await.unwrap();
    let found = stream.get_last_raw_message_by_subject(&key).await.unwrap();
    assert_eq!((found.sequence, found.payload), (revision, claim.to_string().into()));
    stream.purge().filter(&key).await.unwrap();
    site.facts(&order).await.until("completed").await;
    assert_eq!(site.bus.letters(0, 10).await.unwrap(), [], "it cost no attempt");
}
