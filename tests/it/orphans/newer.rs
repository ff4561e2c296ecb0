//! Messages of a newer program that the broker gives up: they wait on, as they are.

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{FromConsumer as _, pull};
use async_nats::jetstream::{self, stream::Stream};
use bytes::Bytes;
use futures::StreamExt as _;
use jetreel::bus::names;
use jetreel_actors::ports::{DeadLetters as _, Remains, Stored};
use jetreel_domain::delivery::message::{EncodeTask, Evaluate, Uploaded};
use jetreel_domain::delivery::subject;
use jetreel_domain::id::{Group, OrderId, TaskId, VideoId};
use jetreel_domain::order::lane::Lane;
use jetreel_domain::upkeep::relations::LEASE;
use serde::Serialize;

use super::WAIT;
use crate::harness::site::{Site, awaited};
use crate::reconcile::in_time;

/// A body that only a newer program reads.
#[derive(Serialize)]
struct OfTomorrow {
    v: u32,
    mood: &'static str,
}

/// A queue, and what is put there.
struct Queue {
    stream: &'static str,
    consumer: String,
    subject: String,
    bodies: [Vec<u8>; 2],
}

fn queues(order: &OrderId) -> [Queue; 3] {
    let encoded = |readable: Vec<u8>| {
        let tomorrow = OfTomorrow { v: 99, mood: "good" };
        [rmp_serde::to_vec_named(&tomorrow).unwrap(), readable]
    };
    let task = TaskId::new(Group::Main, 0);
    let released = EncodeTask {
        v: 99,
        order: order.clone(),
        task,
        lane: Lane::Normal,
        plan: format!("out/{}/1/plan-x.json", order.video),
        plan_sha256: "00".repeat(32),
    };
    let upload = Uploaded { v: 99, ..Uploaded::new(order.video.clone(), 1, Lane::Normal) };
    let evaluate = Evaluate { v: 99, order: order.clone() };
    [
        Queue {
            stream: names::UPLOADS,
            consumer: names::INGEST_CONSUMER.to_owned(),
            subject: subject::upload(&order.video),
            bodies: encoded(rmp_serde::to_vec_named(&upload).unwrap()),
        },
        Queue {
            stream: names::ENCODE,
            consumer: names::encode_consumer(Lane::Normal, Group::Main),
            subject: subject::encode(Lane::Normal, order, task),
            bodies: encoded(rmp_serde::to_vec_named(&released).unwrap()),
        },
        Queue {
            stream: names::PUBLISH,
            consumer: names::EVALUATE_CONSUMER.to_owned(),
            subject: subject::publish(order),
            bodies: encoded(rmp_serde::to_vec_named(&evaluate).unwrap()),
        },
    ]
}

/// Sets the limits of the consumer and returns it.
async fn allow(
    stream: &Stream,
    name: &str,
    deliveries: i64,
    ack_wait: std::time::Duration,
) -> jetstream::consumer::Consumer<pull::Config> {
    let config = stream.consumer_info(name).await.unwrap().config;
    let mut config = pull::Config::try_from_consumer_config(config).unwrap();
    (config.max_deliver, config.ack_wait) = (deliveries, ack_wait);
    stream.create_consumer(config).await.unwrap()
}

/// Publishes to the queue and lets the broker give the message up; gives it as it lies there.
async fn given_up(site: &Site, queue: &Queue, body: &[u8]) -> Stored {
    let client = site.client().await;
    let context = jetstream::new(client.clone());
    let stream = context.get_stream(queue.stream).await.unwrap();
    let given_up = subject::given_up(queue.stream, &queue.consumer);
    let mut heard = client.subscribe(given_up).await.unwrap();
    let moment = std::time::Duration::from_millis(200);
    let consumer = allow(&stream, &queue.consumer, 1, moment).await;
    let mut headers = HeaderMap::new();
    headers.insert(names::RELEASE_HEADER, "an id");
    headers.append("mood", "good");
    headers.append("mood", "better");
    let body = Bytes::copy_from_slice(body);
    let sent = context.publish_with_headers(queue.subject.clone(), headers, body).await;
    let sequence = sent.unwrap().await.unwrap().sequence;
    let before = site.bus.stored(queue.stream, sequence).await.unwrap().unwrap();
    let mut messages = consumer.batch().max_messages(1).expires(WAIT).messages().await.unwrap();
    awaited("the message", messages.next()).await.unwrap().unwrap();
    awaited("the broker's word", heard.next()).await.unwrap();
    allow(&stream, &queue.consumer, 1, LEASE.ack_wait_min()).await;
    before
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_program_wrote_waits_on_as_it_is() {
    let site = Site::start().await;
    let roles = [("NODE__ROLES", "gateway,deadletter"), ("RETRY__SWEEP_SECONDS", "1")];
    let _node = site.node("one", &roles).await;
    let mut bits = 0;
    for index in 0..3 {
        for form in 0..2 {
            bits += 1;
            let order = OrderId::new(VideoId::from_bits(bits), 1);
            let queue = &queues(&order)[index];
            let before = given_up(&site, queue, &queue.bodies[form]).await;
            let gone =
                async || site.bus.stored(queue.stream, before.sequence).await.unwrap().is_none();
            in_time(&format!("{} is queued anew", queue.stream), gone).await;
            let mut after = None;
            in_time("it is there", async || {
                let found = site.bus.stored(queue.stream, before.sequence + 1).await.unwrap();
                after = found;
                after.is_some()
            })
            .await;
            let sequence = before.sequence + 1;
            assert_eq!(after, Some(Stored { sequence, ..before }));
            // The next is the only one there.
            site.bus.remove(queue.stream, sequence).await.unwrap();
        }
    }
    assert_eq!(site.bus.letters(0, 10).await.unwrap(), []);
}
