//! Queues: once queued, once settled, again when handed back.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream;
use futures::{FutureExt as _, StreamExt as _};
use jetreel::bus::topology::{DEFAULT, Topology};
use jetreel_actors::ports::{Delivered, Gauges as _, Ledger, Queues, WriteOnce};
use jetreel_domain::delivery::dispatch::TaskQueue;
use jetreel_domain::delivery::message::{EncodeTask, Evaluate, Uploaded};
use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::id::Group;
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::ledger::Entry;
use tokio::sync::mpsc;

use super::{entry, order, task};
use crate::harness::nats::Nats;

const SOON: Duration = Duration::from_secs(10);
const AT_ONCE: Duration = Duration::from_millis(50);

async fn next(bus: &jetreel::bus::Bus) -> Option<Delivered> {
    bus.next_task(TaskQueue::new(Lane::Normal, Group::Main), Duration::ZERO).await.unwrap()
}

/// The next task, once there is one.
async fn awaited(bus: &jetreel::bus::Bus) -> Delivered {
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let looking = async {
        loop {
            looks.tick().await;
            if let Some(delivery) = next(bus).await {
                return delivery;
            }
        }
    };
    tokio::time::timeout(SOON, looking).await.expect("a delivery")
}

#[tokio::test]
async fn a_task_is_queued_once_until_it_is_settled() {
    let (_nats, bus) = Nats::start_with_streams().await;
    let order = order(1);
    let normal = task(&order, Lane::Normal, Group::Main, 0);
    assert_eq!(bus.release(&normal).await.unwrap(), WriteOnce::Mine);
    assert_eq!(bus.release(&normal).await.unwrap(), WriteOnce::Taken);
    let high = task(&order, Lane::High, Group::Main, 0);
    assert_eq!(bus.release(&high).await.unwrap(), WriteOnce::Mine, "another lane");

    assert!(
        bus.next_task(TaskQueue::new(Lane::Normal, Group::Audio), Duration::ZERO)
            .await
            .unwrap()
            .is_none()
    );
    let delivery = next(&bus).await.unwrap();
    let body: EncodeTask = rmp_serde::from_slice(delivery.body()).unwrap();
    assert_eq!((body, delivery.delivered()), (normal.clone(), 1));
    assert_eq!(bus.release(&normal).await.unwrap(), WriteOnce::Taken, "in hand is queued");
    assert!(bus.is_queued(delivery.sequence()).await.unwrap());
    delivery.ack().await.unwrap();
    assert!(!bus.is_queued(delivery.sequence()).await.unwrap());
    assert!(next(&bus).await.is_none());
    assert_eq!(bus.release(&normal).await.unwrap(), WriteOnce::Mine, "after it was settled");
}

#[tokio::test]
async fn a_task_handed_back_comes_again_and_a_terminated_one_does_not() {
    let (_nats, bus) = Nats::start_with_streams().await;
    bus.release(&task(&order(2), Lane::Normal, Group::Main, 0)).await.unwrap();
    let first = next(&bus).await.unwrap();
    first.hand_back(Duration::ZERO).await.unwrap();
    let second = awaited(&bus).await;
    assert_eq!((second.sequence(), second.delivered()), (first.sequence(), 2));
    second.hand_back(Duration::from_secs(3600)).await.unwrap();
    assert!(next(&bus).await.is_none(), "it waits for its delay");

    bus.release(&task(&order(2), Lane::Normal, Group::Main, 1)).await.unwrap();
    let other = next(&bus).await.unwrap();
    other.terminate("bad media\nreally").await.unwrap();
    assert!(!bus.is_queued(other.sequence()).await.unwrap());
}

#[tokio::test]
async fn a_renewed_task_stays_and_an_abandoned_one_comes_again() {
    let short =
        Topology::parse(&DEFAULT.replace("ack_wait = \"25s\"", "ack_wait = \"3s\"")).unwrap();
    let (_nats, bus) = Nats::start_with(&short).await;
    bus.release(&task(&order(3), Lane::Normal, Group::Main, 0)).await.unwrap();
    let held = next(&bus).await.unwrap();
    let mut heartbeat = tokio::time::interval(Duration::from_millis(500));
    for _ in 0..9 {
        heartbeat.tick().await;
        held.renew().await.unwrap();
        assert!(next(&bus).await.is_none(), "renewed within its lease");
    }
    let again = awaited(&bus).await;
    assert_eq!((again.sequence(), again.delivered()), (held.sequence(), 2));
}

#[tokio::test]
async fn settling_what_nobody_keeps_is_an_error() {
    let (nats, bus) = Nats::start_with_streams().await;
    bus.release(&task(&order(4), Lane::Normal, Group::Main, 0)).await.unwrap();
    let held = next(&bus).await.unwrap();
    let stream = jetstream::new(nats.client().await).get_stream("ENCODE").await.unwrap();
    stream.delete_consumer("encode-normal-main").await.unwrap();
    let failure = held.renew().await.unwrap_err();
    assert_eq!(failure.code, "broker-unavailable");
}

#[tokio::test]
async fn a_full_queue_is_told_from_a_task_that_is_queued() {
    let small = DEFAULT.replacen("max_bytes = 1_073_741_824", "max_bytes = 4096", 1);
    let (_nats, bus) = Nats::start_with(&Topology::parse(&small).unwrap()).await;
    let order = order(5);
    let mut index = 0;
    let failure = loop {
        match bus.release(&task(&order, Lane::Normal, Group::Main, index)).await {
            Ok(done) => assert_eq!(done, WriteOnce::Mine),
            Err(failure) => break failure,
        }
        index += 1;
    };
    assert!(index > 3, "{index}");
    assert_eq!(failure.code, "stream-full");
    let queued = bus.release(&task(&order, Lane::Normal, Group::Main, 0)).await.unwrap();
    assert_eq!(queued, WriteOnce::Taken);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_stage_is_woken() {
    let (_nats, bus) = Nats::start_with_streams().await;
    let order = order(6);
    assert!(bus.next(Stage::Ingest, AT_ONCE).await.unwrap().is_none(), "waits no longer than told");
    let waiting = tokio::spawn({
        let bus = bus.clone();
        async move { bus.next(Stage::Ingest, SOON).await }
    });
    bus.announce_upload(&Uploaded::new(order.video.clone(), 1, Lane::High)).await.unwrap();
    let upload = waiting.await.unwrap().unwrap().unwrap();
    let body: Uploaded = rmp_serde::from_slice(upload.body()).unwrap();
    assert_eq!((body.video, body.lane, body.source), (order.video.clone(), Lane::High, None));
    upload.ack().await.unwrap();

    assert_eq!(bus.evaluate(&order).await.unwrap(), WriteOnce::Mine);
    assert_eq!(bus.evaluate(&order).await.unwrap(), WriteOnce::Taken);
    let evaluation = bus.next(Stage::Publish, SOON).await.unwrap().unwrap();
    let body: Evaluate = rmp_serde::from_slice(evaluation.body()).unwrap();
    assert_eq!(body.order, order);
    evaluation.ack().await.unwrap();

    bus.write_entry(&entry(&order, 0, None, "w")).await.unwrap();
    let (into, mut received) = mpsc::unbounded_channel();
    bus.receive_entries(1, SOON, &into).await.unwrap();
    received.recv().await.unwrap().ack().await.unwrap();
    bus.receive_entries(1, AT_ONCE, &into).await.unwrap();
    assert!(received.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_entries_are_received_by_one_request_each_as_it_arrives() {
    let (nats, bus) = Nats::start_with_streams().await;
    let client = nats.client().await;
    let mut pulls = client.subscribe("$JS.API.CONSUMER.MSG.NEXT.LEDGER.>").await.unwrap();
    client.flush().await.unwrap();
    let order = order(9);
    let (into, mut received) = mpsc::unbounded_channel();
    let receiving = tokio::spawn({
        let bus = bus.clone();
        async move { bus.receive_entries(3, SOON, &into).await }
    });
    for index in 0..3 {
        bus.write_entry(&entry(&order, index, None, "w")).await.unwrap();
        // The request is still open.
        let delivery = received.recv().await.unwrap();
        let body: Entry = rmp_serde::from_slice(delivery.body()).unwrap();
        assert_eq!((body.task.index, delivery.sequence()), (index, u64::from(index) + 1));
        delivery.ack().await.unwrap();
    }
    receiving.await.unwrap().unwrap();
    assert!(pulls.next().await.is_some());
    assert!(pulls.next().now_or_never().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_release_is_heard() {
    let (nats, bus) = Nats::start_with_streams().await;
    let (other, order) = (nats.bus().await, order(14));
    let (into, mut heard) = mpsc::unbounded_channel();
    let hearing = tokio::spawn(async move { other.hear_releases(&into).await });
    let released = task(&order, Lane::Low, Group::Audio, 3);
    // The subscription may come after the first one.
    let told = loop {
        bus.release(&released).await.unwrap();
        if let Ok(told) = tokio::time::timeout(AT_ONCE, heard.recv()).await {
            break told;
        }
    };
    assert_eq!(told, Some((order, released.task)));
    hearing.abort();
}

#[tokio::test]
async fn a_task_that_is_queued_is_not_looked_for() {
    let (nats, bus) = Nats::start_with_streams().await;
    let client = nats.client().await;
    let mut reads = client.subscribe("$JS.API.STREAM.MSG.GET.ENCODE").await.unwrap();
    client.flush().await.unwrap();
    let task = task(&order(10), Lane::Normal, Group::Main, 0);
    assert_eq!(bus.release(&task).await.unwrap(), WriteOnce::Mine);
    assert_eq!(bus.release(&task).await.unwrap(), WriteOnce::Taken);
    client.flush().await.unwrap();
    assert!(reads.next().now_or_never().is_none());
}

#[tokio::test]
async fn lag_is_what_waits_and_what_is_in_hand() {
    let (_nats, bus) = Nats::start_with_streams().await;
    let order = order(8);
    let lag = async || {
        let mut lag = BTreeMap::<&str, u64>::new();
        for queue in bus.queues().await.unwrap().queues.iter().filter(|queue| queue.lag > 0) {
            *lag.entry(queue.stage.as_str()).or_default() += queue.lag;
        }
        lag.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(lag().await, []);
    for index in 0..2 {
        bus.release(&task(&order, Lane::Normal, Group::Main, index)).await.unwrap();
    }
    bus.release(&task(&order, Lane::High, Group::Audio, 0)).await.unwrap();
    bus.announce_upload(&Uploaded::new(order.video.clone(), 1, Lane::High)).await.unwrap();
    let waiting = [("encode", 3), ("ingest", 1)];
    assert_eq!(lag().await, waiting);
    let delivery = next(&bus).await.unwrap();
    let upload = bus.next(Stage::Ingest, SOON).await.unwrap().unwrap();
    assert_eq!(lag().await, waiting, "in hand");
    delivery.ack().await.unwrap();
    upload.ack().await.unwrap();
    assert_eq!(lag().await, [("encode", 2)], "a log keeps what is settled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_names_its_queue() {
    let (_nats, bus) = Nats::start_with_streams().await;
    let mut wanted = bus.heard();
    for (lane, group) in [(Lane::Low, Group::Images), (Lane::Normal, Group::Main)] {
        let (waiting, before) = (bus.clone(), bus.heard());
        assert_eq!(before, wanted);
        let hinted = tokio::spawn(async move { waiting.task_hint(&before).await });
        bus.release(&task(&order(7), lane, group, 0)).await.unwrap();
        tokio::time::timeout(SOON, hinted).await.expect("woken by the release").unwrap();
        wanted.note(TaskQueue::new(lane, group));
        assert_eq!(bus.heard(), wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_waits_for_a_task_as_long_as_it_is_told() {
    let (_nats, bus) = Nats::start_with_streams().await;
    let queue = TaskQueue::new(Lane::Normal, Group::Main);
    assert!(bus.next_task(queue, AT_ONCE).await.unwrap().is_none());
    let waiting = tokio::spawn({
        let bus = bus.clone();
        async move { bus.next_task(queue, SOON).await }
    });
    bus.release(&task(&order(9), Lane::Normal, Group::Main, 0)).await.unwrap();
    let delivery = waiting.await.unwrap().unwrap().expect("the task");
    assert_eq!((delivery.delivered(), delivery.pending()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_is_given_up_takes_no_message_with_it() {
    let (_nats, bus) = Nats::start_with_streams().await;
    for round in 0..10 {
        let given_up = tokio::time::timeout(AT_ONCE, bus.next(Stage::Ingest, SOON)).await;
        assert!(given_up.is_err());
        bus.announce_upload(&Uploaded::new(order(100 + round).video, 1, Lane::Normal))
            .await
            .unwrap();
        let upload = bus.next(Stage::Ingest, Duration::from_secs(5)).await.unwrap();
        let upload = upload.expect("not sent to the pull that is gone");
        assert_eq!(upload.delivered(), 1);
        upload.ack().await.unwrap();
    }
}
