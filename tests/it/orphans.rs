//! Messages that the broker gives up, found with and without its advisory: they are queued anew, or buried with their reason.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod newer;

use async_nats::jetstream::consumer::{Consumer, FromConsumer as _, pull};
use async_nats::jetstream::stream::Stream;
use futures::StreamExt as _;
use jetreel::bus::names;
use jetreel_actors::ports::{Claims, DeadLetters as _, Survey as _, Swap, Videos};
use jetreel_domain::delivery::claim;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::{Group, OrderId, TaskId};
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::state::{Dead, Status};
use jetreel_domain::upkeep::relations::LEASE;
use jetreel_domain::words::failure::Failure;

use crate::harness::media::{self, SHORT};
use crate::harness::node::Node;
use crate::harness::site::{Site, awaited};
use crate::reconcile::in_time;

const FRONT: [(&str, &str); 3] = [
    ("NODE__ROLES", "gateway,ingest,publish"),
    ("PLAN__IMAGES", "false"),
    ("PLAN__PACKAGE", "false"),
];
const WORKER: [(&str, &str); 2] =
    [("NODE__ROLES", "encode,deadletter"), ("RETRY__SWEEP_SECONDS", "1")];

/// A consumer of the first tasks that gives each out once, for a moment, and then gives it up.
async fn impatient(stream: &Stream) -> Consumer<pull::Config> {
    let name = names::encode_consumer(Lane::Normal, Group::First);
    let config = stream.consumer_info(&name).await.unwrap().config;
    let mut config = pull::Config::try_from_consumer_config(config).unwrap();
    config.max_deliver = 1;
    config.ack_wait = std::time::Duration::from_millis(200);
    stream.create_consumer(config).await.unwrap()
}

/// The lease as it was, without which no node starts. What was given up stays so.
async fn patient(stream: &Stream) {
    let name = names::encode_consumer(Lane::Normal, Group::First);
    let config = stream.consumer_info(&name).await.unwrap().config;
    let mut config = pull::Config::try_from_consumer_config(config).unwrap();
    config.ack_wait = LEASE.ack_wait_min();
    stream.create_consumer(config).await.unwrap();
}

/// A video whose first tasks were delivered once to a worker that vanished, with no further delivery allowed and no subscriber for the
/// advisory.
struct GivenUp {
    site: Site,
    front: Node,
    order: OrderId,
    tasks: Vec<TaskId>,
}

async fn given_up() -> Option<GivenUp> {
    let clip = media::made(SHORT)?;
    let site = Site::start().await;
    let front = site.node("front", &FRONT).await;
    let client = site.client().await;
    let context = async_nats::jetstream::new(client.clone());
    let stream = context.get_stream(names::ENCODE).await.unwrap();
    let consumer = impatient(&stream).await;
    let mut heard = client.subscribe(subject_of_advisories()).await.unwrap();
    let order = front.submit(&clip).await;
    let mut tasks = Vec::new();
    // Both are released in one go, once the video is planned.
    let mut messages = consumer.batch().max_messages(2).expires(WAIT).messages().await.unwrap();
    while let Some(message) = messages.next().await {
        let word = message.unwrap().subject.rsplit('.').next().unwrap().to_owned();
        tasks.push(word.parse::<TaskId>().unwrap());
    }
    for _ in &tasks {
        awaited("the broker's word", heard.next()).await.unwrap();
    }
    assert!(!tasks.is_empty());
    patient(&stream).await;
    Some(GivenUp { site, front, order, tasks })
}

const WAIT: std::time::Duration = std::time::Duration::from_secs(20);

fn subject_of_advisories() -> String {
    let consumer = names::encode_consumer(Lane::Normal, Group::First);
    format!("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{}.{consumer}", names::ENCODE)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_gave_up_is_queued_anew() {
    let Some(GivenUp { site, front: _front, order, .. }) = given_up().await else { return };
    let worker = site.node("worker", &WORKER).await;
    site.facts(&order).await.until("completed").await;
    assert!(worker.log().contains("queued-anew"), "{}", worker.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_found_by_counting_where_the_brokers_word_is_lost() {
    let Some(GivenUp { site, front: _front, order, .. }) = given_up().await else { return };
    let context = async_nats::jetstream::new(site.client().await);
    context.get_stream(names::ADVISORY).await.unwrap().purge().await.unwrap();
    let worker = site.node("worker", &WORKER).await;
    site.facts(&order).await.until("completed").await;
    assert!(worker.log().contains("queued-anew"), "{}", worker.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_attempts_left_is_a_dead_letter_though_nobody_was_there() {
    let Some(GivenUp { site, order, tasks, .. }) = given_up().await else { return };
    let task = tasks[0];
    let failure = Failure::task("codec-signal", "the decoder crashed on this video (signal 11)");
    let mut spent = claim::take(None, "a".into(), "gone".into(), 1, 7);
    for _ in 0..3 {
        spent = spent.given_up(Some(&failure), true);
        spent = claim::take(Some(spent), "a".into(), "gone".into(), 1, 7);
    }
    let spent = spent.given_up(Some(&failure), true);
    let written = site.bus.swap_claim(&order, &task.into(), &spent, 0).await.unwrap();
    assert!(matches!(written, Swap::Done(_)));

    let _worker = site.node("worker", &WORKER).await;
    let told = site.facts(&order).await.until("failed-1").await;
    assert_eq!(told.last().unwrap().body.error.as_ref().unwrap().code, "codec-signal");
    let original = subject::encode(Lane::Normal, &order, task);
    let letters = site.bus.letters(0, 100).await.unwrap();
    let letter = letters.into_iter().map(|found| found.letter).find(|it| it.subject == original);
    let letter = letter.unwrap();
    assert_eq!((letter.failure.code.as_str(), letter.task), ("codec-signal", task.into()));
    assert_eq!(letter.attempts.len(), 4, "{:?}", letter.attempts);
    assert!(letter.attempts.iter().all(|attempt| attempt.node == "gone"));
}

/// Lets a task die, and sends its message again as a person would; that replay is given up by the broker too.
async fn replayed_in_vain(site: &Site, order: &OrderId, task: TaskId) {
    let context = async_nats::jetstream::new(site.client().await);
    let stream = context.get_stream(names::ENCODE).await.unwrap();
    let subject = subject::encode(Lane::Normal, order, task);
    let original = stream.get_last_raw_message_by_subject(&subject).await.unwrap();
    stream.delete_message(original.sequence).await.unwrap();
    let found = site.bus.video(&order.video).await.unwrap().unwrap();
    let mut video = found.value;
    let failure = Failure::task("codec-signal", "the decoder crashed on this video (signal 11)");
    let death = Dead { sequence: original.sequence, failure, letter: 0 };
    video.bury(order.number, &task.into(), death, 7).unwrap();
    let swapped = site.bus.swap_video(&video, found.revision).await.unwrap();
    assert!(matches!(swapped, Swap::Done(_)));

    let mut heard = context.client().subscribe(subject_of_advisories()).await.unwrap();
    context.publish(subject, original.payload).await.unwrap().await.unwrap();
    let consumer = impatient(&stream).await;
    let mut messages = consumer.batch().max_messages(1).expires(WAIT).messages().await.unwrap();
    awaited("the replay", messages.next()).await.unwrap().unwrap();
    awaited("the broker's word", heard.next()).await.unwrap();
    patient(&stream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_the_broker_gave_up_still_brings_the_dead_back() {
    let Some(GivenUp { site, front: _front, order, tasks }) = given_up().await else { return };
    replayed_in_vain(&site, &order, tasks[0]).await;
    let failed = site.bus.video(&order.video).await.unwrap().unwrap().value;
    assert_eq!(failed.order(order.number).unwrap().status, Status::Failed);
    let _worker = site.node("worker", &WORKER).await;
    let mut facts = site.facts(&order).await;
    facts.until("failed-1").await;
    facts.until("completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_nobody_can_read_is_nobodys() {
    let Some(clip) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let front = site.node("front", &FRONT).await;
    let order = front.submit(&clip).await;
    let queued = async || site.bus.queued_tasks(&order).await.unwrap();
    in_time("tasks are queued", async || !queued().await.is_empty()).await;
    let context = async_nats::jetstream::new(site.client().await);
    for (task, claim) in
        queued().await.iter().zip(["{\"of\":\"tomorrow\"}", "nonsense"].iter().cycle())
    {
        let key = subject::claim_key(&order, &(*task).into());
        let place = names::bucket_subject(names::CLAIMS_BUCKET, &key);
        context.publish(place, (*claim).into()).await.unwrap().await.unwrap();
    }
    let worker = site.node("worker", &WORKER).await;
    site.facts(&order).await.until("completed").await;
    let log = worker.log();
    assert!(!log.contains("until a probe succeeds"), "no dependency is to blame: {log}");
}
