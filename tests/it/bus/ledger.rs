//! Write-once entries, and facts.

use std::collections::BTreeMap;

use async_nats::jetstream;
use jetreel_actors::ports::{Claims, Facts, Ledger, Remains, Survey, Swap, Videos, WriteOnce};
use jetreel_domain::delivery::announcement::Announcement;
use jetreel_domain::delivery::claim;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::{Group, TaskId, VideoId};
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::state::{Fact, Video};

use super::{entry, order};
use crate::harness::nats::Nats;

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_exactly_one_has_the_entry() {
    let (nats, one) = Nats::start_with_streams().await;
    let other = nats.bus().await;
    let order = order(1);
    for index in 0..40 {
        let (mine, theirs) =
            (entry(&order, index, None, "one"), entry(&order, index, None, "other"));
        let (first, second) = tokio::join!(one.write_entry(&mine), other.write_entry(&theirs));
        let winner = match (first.unwrap(), second.unwrap()) {
            (WriteOnce::Mine, WriteOnce::Taken) => "one",
            (WriteOnce::Taken, WriteOnce::Mine) => "other",
            both => panic!("{both:?}"),
        };
        let stored = one.entry(&order, TaskId::new(Group::Main, index)).await.unwrap().unwrap();
        assert_eq!(stored.writer, winner);
    }
}

#[tokio::test]
async fn a_writer_knows_its_own_entry_again() {
    let (_nats, bus) = Nats::start_with_streams().await;
    let order = order(2);
    let (mine, theirs) = (entry(&order, 0, None, "me"), entry(&order, 0, None, "you"));
    assert_eq!(bus.write_entry(&mine).await.unwrap(), WriteOnce::Mine);
    assert_eq!(bus.write_entry(&mine).await.unwrap(), WriteOnce::Mine, "after a lost answer");
    assert_eq!(bus.write_entry(&theirs).await.unwrap(), WriteOnce::Taken);
    assert_eq!(bus.entry(&order, TaskId::new(Group::Main, 0)).await.unwrap(), Some(mine));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_outlasts_a_broker_that_dies_under_it() {
    let (mut nats, bus) = Nats::start_with_streams().await;
    let order = order(3);
    nats.kill();
    let written = tokio::spawn({
        let (bus, entry) = (bus.clone(), entry(&order, 0, None, "me"));
        async move { bus.write_entry(&entry).await }
    });
    nats.restart().await;
    assert_eq!(written.await.unwrap().unwrap(), WriteOnce::Mine);
}

#[tokio::test]
async fn entries_are_read_from_where_one_left_off() {
    let (_nats, bus) = Nats::start_with_streams().await;
    let (order, other) = (order(4), order(5));
    for (index, part) in [(0, Some(0)), (0, Some(1)), (0, None)] {
        bus.write_entry(&entry(&order, index, part, "w")).await.unwrap();
        bus.write_entry(&entry(&other, index, part, "w")).await.unwrap();
    }
    let (all, highest) = bus.entries(&order, 0).await.unwrap();
    assert_eq!(all.iter().map(|e| e.part).collect::<Vec<_>>(), [Some(0), Some(1), None]);
    assert!(all.iter().all(|e| e.order == order));
    bus.write_entry(&entry(&order, 1, None, "w")).await.unwrap();
    let (fresh, last) = bus.entries(&order, highest).await.unwrap();
    assert_eq!((fresh.len(), fresh[0].task.index), (1, 1));
    assert_eq!(bus.entries(&order, last).await.unwrap(), (Vec::new(), last));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_entries_and_states_are_read_by_few_requests() {
    let (nats, bus) = Nats::start_with_streams().await;
    let order = order(11);
    for index in 0..600 {
        bus.write_entry(&entry(&order, index, None, "w")).await.unwrap();
        let id = VideoId::from_bits(u128::from(index));
        bus.create_video(&Video::receiving(id, String::new(), Lane::Normal, 0)).await.unwrap();
    }
    let asked = || async { messages_taken(&nats).await };

    let before = asked().await;
    let (entries, highest) = bus.entries(&order, 0).await.unwrap();
    let taken = asked().await - before;
    let indices: Vec<u32> = entries.iter().map(|entry| entry.task.index).collect();
    assert_eq!(indices, (0..600).collect::<Vec<_>>());
    assert!(taken < 40, "{taken} messages to the server for 600 entries");
    assert_eq!(bus.entries(&order, highest).await.unwrap(), (Vec::new(), highest));

    let before = asked().await;
    let states = bus.states(0, 1000).await.unwrap();
    let taken = asked().await - before;
    assert_eq!((states.videos.len(), states.more), (600, false));
    assert!(taken < 40, "{taken} messages to the server for 600 states");

    // An entry that was removed, and one that came since.
    bus.forget_entry(&order, TaskId::new(Group::Main, 7)).await.unwrap();
    bus.write_entry(&entry(&order, 600, None, "w")).await.unwrap();
    let (entries, _) = bus.entries(&order, 0).await.unwrap();
    assert!(entries.len() == 600 && entries.iter().all(|entry| entry.task.index != 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_up_to_a_known_one_are_read_by_one_request() {
    let (nats, bus) = Nats::start_with_streams().await;
    let (order, other) = (order(12), order(13));
    for index in 0..20 {
        bus.write_entry(&entry(&order, index, None, "w")).await.unwrap();
        bus.write_entry(&entry(&other, index, None, "w")).await.unwrap();
    }
    let read = async |after, newest| {
        let before = messages_taken(&nats).await;
        let (entries, highest) = bus.entries_to(&order, after, newest).await.unwrap();
        assert!(entries.iter().all(|entry| entry.order == order));
        (entries.len(), highest, messages_taken(&nats).await - before)
    };
    assert_eq!(read(0, 39).await, (20, 39, 1));
    assert_eq!(read(35, 39).await, (2, 39, 1));
    // The newest one was removed: the leader has the last word.
    bus.forget_entry(&order, TaskId::new(Group::Main, 19)).await.unwrap();
    let (count, highest, _) = read(0, 39).await;
    assert_eq!((count, highest), (19, 37));
}

/// Messages that the server took from its clients so far.
async fn messages_taken(nats: &Nats) -> u64 {
    let address = format!("{}/varz", nats.monitor_url().trim_end_matches('/'));
    let varz: serde_json::Value = reqwest::get(address).await.unwrap().json().await.unwrap();
    varz["in_msgs"].as_u64().unwrap()
}

#[tokio::test]
async fn what_does_not_belong_on_its_subject_is_no_entry_and_can_be_removed() {
    let (nats, bus) = Nats::start_with_streams().await;
    let (order, other) = (order(9), order(10));
    let task = TaskId::new(Group::Main, 0);
    let sound = entry(&order, 1, None, "w");
    bus.write_entry(&sound).await.unwrap();
    let context = jetstream::new(nats.client().await);
    let put = async |subject: String, body: Vec<u8>| {
        context.publish(subject, body.into()).await.unwrap().await.unwrap().sequence
    };
    let encoded = |entry| rmp_serde::to_vec_named(entry).unwrap();
    let theirs = entry(&other, 0, None, "w");
    let forged = put(subject::ledger(&order, task), encoded(&theirs)).await;
    let garbage = put(subject::ledger_part(&order, task, 3), b"garbage".to_vec()).await;
    let mut newer = entry(&other, 5, None, "w");
    newer.v = 99;
    // A newer version does not change whose entry a readable entry is.
    let theirs_of_tomorrow =
        put(subject::ledger(&order, TaskId::new(Group::Top, 0)), encoded(&newer)).await;
    // An entry that only a newer program can read stays.
    let tomorrow = rmp_serde::to_vec_named(&std::collections::BTreeMap::from([("v", 99)])).unwrap();
    put(subject::ledger(&other, TaskId::new(Group::Top, 0)), tomorrow).await;

    assert_eq!(bus.entry(&order, task).await.unwrap(), None);
    assert_eq!(bus.entries(&order, 0).await.unwrap().0, [sound]);
    let mine = entry(&order, 0, None, "me");
    let failure = bus.write_entry(&mine).await.unwrap_err();
    assert_eq!(failure.code, "entry-contradicts", "the attempt is not lost in silence");
    let found = bus.forged(&order).await.unwrap();
    let sequences: Vec<u64> = found.iter().map(|forged| forged.sequence).collect();
    assert_eq!(sequences, [forged, garbage, theirs_of_tomorrow]);
    assert_eq!(bus.forged(&other).await.unwrap(), []);
    for forged in found {
        bus.remove(&forged.stream, forged.sequence).await.unwrap();
    }
    assert_eq!(bus.write_entry(&mine).await.unwrap(), WriteOnce::Mine);
    assert_eq!(bus.entry(&order, task).await.unwrap(), Some(mine));
}

#[tokio::test]
async fn forgetting_an_order_removes_its_entries_and_claims_and_no_others() {
    let (nats, bus) = Nats::start_with_streams().await;
    let (gone, kept) = (order(6), order(7));
    let task = TaskId::new(Group::Main, 0);
    for order in [&gone, &kept] {
        bus.write_entry(&entry(order, 0, Some(0), "w")).await.unwrap();
        bus.write_entry(&entry(order, 0, None, "w")).await.unwrap();
        let claim = claim::take(None, "a".into(), "node".into(), 1, 0);
        assert!(matches!(
            bus.swap_claim(order, &task.into(), &claim, 0).await.unwrap(),
            Swap::Done(_)
        ));
    }
    bus.forget(&gone).await.unwrap();
    assert_eq!(bus.entry(&gone, task).await.unwrap(), None);
    assert!(bus.claim(&gone, &task.into()).await.unwrap().is_none());
    assert!(bus.entry(&kept, task).await.unwrap().is_some());
    assert!(bus.claim(&kept, &task.into()).await.unwrap().is_some());
    let context = jetstream::new(nats.client().await);
    for (stream, messages) in [("LEDGER", 2), ("KV_claims", 1)] {
        let info = context.get_stream(stream).await.unwrap().cached_info().clone();
        assert_eq!(info.state.messages, messages, "{stream}: no marker is left");
    }
    let again = entry(&gone, 0, None, "later");
    assert_eq!(bus.write_entry(&again).await.unwrap(), WriteOnce::Mine);
}

#[tokio::test]
async fn a_fact_is_told_once_and_says_everything() {
    let (nats, bus) = Nats::start_with_streams().await;
    let order = order(8);
    let mut video = Video::receiving(order.video.clone(), "Holiday".into(), Lane::Normal, 0);
    video.learn(1, Fact::Playable, 1_700_000_000);
    let known = video.orders[0].facts[0].clone();
    let announce = || bus.announce(&order, &known, &video);
    assert_eq!(announce().await.unwrap(), WriteOnce::Mine);
    assert_eq!(announce().await.unwrap(), WriteOnce::Taken);

    let stream = jetstream::new(nats.client().await).get_stream("PROGRESS").await.unwrap();
    let subject = subject::progress(&order, &Fact::Playable);
    let stored = stream.get_last_raw_message_by_subject(&subject).await.unwrap();
    let headers: BTreeMap<String, String> = stored
        .headers
        .iter()
        .map(|(name, values)| (name.to_string(), values[0].as_str().to_owned()))
        .collect();
    assert_eq!(headers["ce-id"], format!("{order}/playable"));
    assert_eq!(headers["ce-time"], "2023-11-14T22:13:20Z");
    assert!(!headers.contains_key("Nats-Msg-Id"));
    let told: Announcement = rmp_serde::from_slice(&stored.payload).unwrap();
    assert_eq!((told.order, told.title.as_str()), (order.to_string(), "Holiday"));
    assert_eq!(told.playlist, Some(format!("/v/{}/master.m3u8", order.video)));
}
