//! Dead letters of other messages than tasks: evaluations, and messages of videos that cannot be read.

use jetreel::bus::names;
use jetreel_actors::ports::{DeadLetters as _, Queues, Videos, WriteOnce};
use jetreel_domain::delivery::deadletter::Buried;
use jetreel_domain::delivery::message::Uploaded;
use jetreel_domain::delivery::stage::{Stage, Unit};
use jetreel_domain::order::state::Status;

use super::letter_of;
use crate::harness::media::{self, SHORT};
use crate::harness::site::{Site, awaited};
use crate::reconcile::{in_time, untold};

const QUICK: &str = "100ms, 200ms, 300ms";
const ENCODERS: [(&str, &str); 3] = [
    ("NODE__ROLES", "gateway,ingest,encode"),
    ("PLAN__IMAGES", "false"),
    ("PLAN__PACKAGE", "false"),
];
const PUBLISHER: [(&str, &str); 2] = [("NODE__ROLES", "publish"), ("RETRY__PUBLISH", QUICK)];

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_cannot_be_published_is_brought_back_where_it_stopped() {
    let Some(short) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let node = site.node("one", &ENCODERS).await;
    let order = node.submit(&short).await;
    let mut plan = None;
    in_time("everything is encoded", async || {
        let video = site.bus.video(&order.video).await.unwrap().unwrap().value;
        plan = video.order(order.number).unwrap().plan.clone();
        let Some(plan) = &plan else { return false };
        let entries = site.ledger(&order).await;
        entries.iter().filter(|entry| entry.part.is_none()).count() == plan.tasks as usize
    })
    .await;
    let key = plan.unwrap().object.key;
    let place = site.folder().join("media").join(&key);
    let sound = std::fs::read(&place).unwrap();
    std::fs::write(&place, "{}").unwrap();

    let publisher = site.node("two", &PUBLISHER).await;
    site.facts(&order).await.until("failed-1").await;
    let buried = letter_of(&site, &order).await;
    let letter = &buried.letter;
    assert_eq!((&letter.task, letter.stage.as_str()), (&Unit::Stage(Stage::Publish), "publish"));
    assert_eq!((letter.failure.code.as_str(), letter.attempts.len()), ("plan-changed", 4));
    drop(publisher);

    std::fs::write(&place, sound).unwrap();
    let _publisher = site.node("two", &PUBLISHER).await;
    let mut written = site.written().await;
    // The process that buried it may have died before it removed the message.
    let replayed = async || site.bus.replay(&buried).await.unwrap() == WriteOnce::Mine;
    in_time("its place is free", replayed).await;
    let mut facts = site.facts(&order).await;
    facts.until("failed-1").await;
    facts.until("completed").await;
    let video = site.bus.video(&order.video).await.unwrap().unwrap().value;
    assert_eq!(video.order(order.number).unwrap().status, Status::Completed);
    assert!(written.so_far().await.is_empty(), "nothing is encoded again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_state_nobody_can_read_is_a_letter_and_not_an_endless_try() {
    let Some(short) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let order = untold(&site, &short, 1, Status::Queued).await;
    let subject = names::bucket_subject(names::VIDEOS_BUCKET, order.video.as_str());
    let context = async_nats::jetstream::new(site.client().await);
    let stream = context.get_stream(names::bucket_stream(names::VIDEOS_BUCKET)).await.unwrap();
    let sound = stream.get_last_raw_message_by_subject(&subject).await.unwrap();
    let write = async |body: bytes::Bytes| {
        context.publish(subject.clone(), body).await.unwrap().await.unwrap();
    };
    write("{\"v\":".into()).await;
    site.bus
        .announce_upload(&Uploaded::new(order.video.clone(), order.number, Default::default()))
        .await
        .unwrap();

    // Without a reconciler, which would announce it by itself.
    let roles = ("NODE__ROLES", "gateway,ingest,encode,publish,deadletter");
    let _node = site.node("one", &[roles, ("RETRY__INGEST", QUICK)]).await;
    let letters = async || site.bus.letters(0, 10).await.unwrap();
    in_time("a letter", async || !letters().await.is_empty()).await;
    let buried: Buried = letters().await.remove(0);
    assert_eq!(buried.letter.failure.code, "unreadable-document");
    assert_eq!((buried.letter.stage.as_str(), &buried.letter.order), ("ingest", &None));

    write(sound.payload).await;
    site.bus.replay(&buried).await.unwrap();
    awaited("it is done after all", site.facts(&order).await.until("completed")).await;
    assert_eq!(letters().await.len(), 1, "one letter for all of it");
}
