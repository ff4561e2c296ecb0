//! A job that failed for its source is given another one, by publishing its upload again with the key of a better object.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use jetreel_actors::ports::{DeadLetters as _, Videos};
use jetreel_domain::delivery::message::Uploaded;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::{OrderId, VideoId};
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::state::Status;

use crate::harness::media::{self, SHORT, SOUND_ALONE};
use crate::harness::site::Site;
use crate::reconcile::in_time;

async fn publish(site: &Site, message: &Uploaded) {
    let context = async_nats::jetstream::new(site.client().await);
    let body = rmp_serde::to_vec_named(message).unwrap();
    let sent = context.publish(subject::upload(&message.video), body.into()).await.unwrap();
    sent.await.unwrap();
}

/// The message that has a video made once more, from the object under a key.
fn made_from(video: &VideoId, source: &str) -> Uploaded {
    Uploaded { source: Some(source.to_owned()), ..Uploaded::new(video.clone(), 1, Lane::Normal) }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_source_opens_the_next_order_once() {
    let (Some(bad), Some(good)) = (media::made(SOUND_ALONE), media::made(SHORT)) else { return };
    let site = Site::start().await;
    let node = site.node("one", &[("STORE__SOURCES", "incoming/")]).await;
    let first = node.submit(&bad).await;
    let mut facts = site.facts(&first).await;
    facts.until("failed-1").await;
    let key = "incoming/better.mp4";
    site.put(key, std::fs::read(&good).unwrap()).await;

    let video = first.video.clone();
    let message = |source: &str| made_from(&video, source);
    publish(&site, &message(key)).await;
    let second = OrderId::new(video.clone(), 2);
    facts.until("completed").await;
    let job = node.json(&format!("/v1/jobs/{second}")).await;
    assert_eq!(
        (&job["status"], job["id"].as_str()),
        (&"COMPLETED".into(), Some(&*second.to_string()))
    );

    publish(&site, &message(key)).await;
    publish(&site, &message("../../etc/passwd")).await;
    node.logs("source-denied").await;
    let state = site.bus.video(&video).await.unwrap().unwrap().value;
    let orders: Vec<(u32, Status)> = state.orders.iter().map(|o| (o.number, o.status)).collect();
    assert_eq!(orders, [(1, Status::Failed), (2, Status::Completed)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_setting_only_the_original_can_be_made_once_more() {
    let Some(good) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let node = site.node("one", &[]).await;
    let (first, other) = (node.submit(&good).await, node.submit(&good).await);
    site.facts(&first).await.until("completed").await;
    site.facts(&other).await.until("completed").await;
    site.put("incoming/better.mp4", std::fs::read(&good).unwrap()).await;

    let video = first.video.clone();
    let message = |source: &str| made_from(&video, source);
    for source in ["incoming/better.mp4", &format!("raw/{}/00000", other.video)] {
        publish(&site, &message(source)).await;
    }
    in_time("both are dead letters", async || {
        let letters = site.bus.letters(0, 10).await.unwrap();
        letters.iter().filter(|found| found.letter.failure.code == "source-denied").count() == 2
    })
    .await;
    let letters = site.bus.letters(0, 10).await.unwrap();
    let failure = &letters[0].letter.failure;
    assert!(failure.message.contains("store.sources"), "{failure:?}");

    for _ in 0..2 {
        publish(&site, &message(&format!("raw/{video}/00000"))).await;
    }
    let state = async || site.bus.video(&video).await.unwrap().unwrap().value;
    // The facts of the first order are there already.
    in_time("it is made once more", async || {
        state().await.order(2).is_some_and(|order| order.status == Status::Completed)
    })
    .await;
    let state = state().await;
    assert_eq!(state.orders.len(), 2, "once");
    assert_eq!(state.orders[1].source, None, "the original");
}
