//! Dead letters on the broker: buried once, byte for byte, and replayed only to where a stage reads.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream;
use jetreel::bus::{Bus, names};
use jetreel_actors::deadletter::{Action, DlqService, Fate};
use jetreel_actors::ports::{DeadLetters, Queues, Survey, Videos, WriteOnce};
use jetreel_domain::delivery::deadletter::DeadLetter;
use jetreel_domain::delivery::dispatch::TaskQueue;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::Group;
use jetreel_domain::order::lane::Lane;
use jetreel_domain::words::failure::Failure;

use super::{order, task};
use crate::harness::nats::Nats;

/// Bytes that shells, templates and text protocols would change.
const BODY: &[u8] = b"\x00\xff{{ID}}\r\n$(x)'\"\n";

fn letter(sequence: u64, subject: String) -> DeadLetter {
    let order = order(7);
    DeadLetter {
        stream: names::ENCODE.into(),
        sequence,
        order: Some(order),
        task: "main-0000".into(),
        stage: "encode".into(),
        failure: Failure::task("codec-signal", "it crashed").with_detail("line 1\nline 2"),
        headers: vec![("traceparent".into(), "00-1-2-01".into())],
        ..DeadLetter::from_parts(subject, BODY.to_vec(), Vec::new())
    }
}

fn main_subject() -> String {
    subject::encode(Lane::Normal, &order(7), task(&order(7), Lane::Normal, Group::Main, 0).task)
}

async fn message(nats: &Nats, stream: &str, subject: &str) -> jetstream::message::StreamMessage {
    let context = jetstream::new(nats.client().await);
    let stream = context.get_stream(stream).await.unwrap();
    stream.get_last_raw_message_by_subject(subject).await.unwrap()
}

#[tokio::test]
async fn a_letter_is_buried_once_and_read_as_it_was() {
    let (nats, bus) = Nats::start_with_streams().await;
    let mut first = letter(17, main_subject());
    first.headers.push(("Nats-Msg-Id".into(), "of-the-original".into()));
    first.headers.push((names::RELEASE_HEADER.into(), "of-the-original".into()));
    let sequence = bus.bury(&first).await.unwrap();
    assert_eq!(bus.bury(&first).await.unwrap(), sequence, "the same again");
    let second = bus.bury(&letter(18, main_subject())).await.unwrap();
    assert!(second > sequence, "it died once more");

    let there = message(&nats, names::DLQ, &subject::dead_letter(&main_subject())).await;
    assert_eq!(there.payload.as_ref(), BODY);
    let found = bus.letter(sequence).await.unwrap().unwrap();
    assert_eq!(found.letter, letter(17, main_subject()), "without what spoke to the broker");
    assert!(found.at > 1_700_000_000);
    let all = bus.letters(0, 10).await.unwrap();
    let sequences: Vec<u64> = all.iter().map(|letter| letter.sequence).collect();
    assert_eq!(sequences, [sequence, second]);
    assert_eq!(bus.letters(sequence, 10).await.unwrap(), all[1..]);

    assert!(bus.discard(sequence).await.unwrap());
    assert!(!bus.discard(sequence).await.unwrap(), "it is gone");
    assert_eq!(bus.letter(sequence).await.unwrap(), None);
}

#[tokio::test]
async fn a_letter_whose_job_has_no_state_stays_until_it_is_discarded() {
    let (_nats, bus) = Nats::start_with_streams().await;
    let found = buried(&bus, &letter(17, main_subject())).await;
    let service = DlqService { broker: bus.clone(), letters: bus.clone(), store: None };
    for _ in 0..2 {
        let handled = service.handle(Action::Replay, &found, false).await.unwrap();
        assert_eq!((handled.outcome, handled.outcome.is_good()), (Fate::Unknown, false));
        assert_eq!(bus.dead_letters().await.unwrap().letters, 1);
    }
    assert!(
        bus.next_task(TaskQueue::new(Lane::Normal, Group::Main), Duration::ZERO)
            .await
            .unwrap()
            .is_none()
    );
    let handled = service.handle(Action::Discard, &found, false).await.unwrap();
    assert_eq!(handled.outcome, Fate::Discarded);
    assert_eq!(bus.dead_letters().await.unwrap().letters, 0);
}

async fn buried(bus: &Bus, letter: &DeadLetter) -> jetreel_domain::delivery::deadletter::Buried {
    let sequence = bus.bury(letter).await.unwrap();
    bus.letter(sequence).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_replayed_task_is_queued_once_and_does_not_look_released() {
    let (nats, bus) = Nats::start_with_streams().await;
    let found = buried(&bus, &letter(17, main_subject())).await;
    assert_eq!(bus.replay(&found).await.unwrap(), WriteOnce::Mine);
    assert_eq!(bus.replay(&found).await.unwrap(), WriteOnce::Mine, "the first one still waits");
    assert!(bus.letter(found.sequence).await.unwrap().is_some(), "a replay leaves the letter");
    let there = message(&nats, names::ENCODE, &main_subject()).await;
    assert_eq!((there.sequence, there.payload.as_ref()), (1, BODY));
    assert!(there.headers.get("traceparent").is_some());
    let again = buried(&bus, &letter(there.sequence, main_subject())).await;
    let replayed = bus.replay(&again).await.unwrap();
    assert_eq!(replayed, WriteOnce::Taken, "the replay died too, and is about to be removed");
    let queue = TaskQueue::new(Lane::Normal, Group::Main);
    let delivery = bus.next_task(queue, Duration::ZERO).await.unwrap().unwrap();
    assert!(!delivery.is_released());
    delivery.ack().await.unwrap();

    let released = task(&order(7), Lane::Normal, Group::Main, 0);
    bus.release(&released).await.unwrap();
    assert_eq!(bus.replay(&found).await.unwrap(), WriteOnce::Taken, "Jetreel's own is there");
    let delivery = bus
        .next_task(TaskQueue::new(Lane::Normal, Group::Main), Duration::ZERO)
        .await
        .unwrap()
        .unwrap();
    assert!(delivery.is_released() && !delivery.headers().is_empty());
}

#[tokio::test]
async fn a_replayed_upload_is_announced_once() {
    let (nats, bus) = Nats::start_with_streams().await;
    let upload = subject::upload(&order(7).video);
    let found = buried(&bus, &letter(3, upload.clone())).await;
    for _ in 0..2 {
        assert_eq!(bus.replay(&found).await.unwrap(), WriteOnce::Mine);
    }
    assert_eq!(message(&nats, names::UPLOADS, &upload).await.sequence, 1);
}

#[tokio::test]
async fn a_letter_put_there_by_hand_is_shown_but_writes_no_state() {
    let (nats, bus) = Nats::start_with_streams().await;
    let state = names::bucket_subject(names::VIDEOS_BUCKET, order(7).video.as_str());
    let context = jetstream::new(nats.client().await);
    let headers = HeaderMap::new();
    let sent = context.publish_with_headers(subject::dead_letter(&state), headers, BODY.into());
    let sequence = sent.await.unwrap().await.unwrap().sequence;
    let found = bus.letter(sequence).await.unwrap().unwrap();
    assert_eq!(
        (found.letter.subject.as_str(), found.letter.order.as_ref()),
        (state.as_str(), None)
    );
    assert_eq!(bus.replay(&found).await.unwrap_err().code, "bad-subject");
    assert!(bus.video(&order(7).video).await.unwrap().is_none());
}
