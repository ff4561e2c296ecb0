//! Documents under compare-and-set.

use async_nats::HeaderMap;
use async_nats::jetstream;
use jetreel_actors::ports::{Claims, Swap, Videos, WriteOnce};
use jetreel_domain::delivery::claim;
use jetreel_domain::delivery::stage::Unit;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::{Group, TaskId, VideoId};
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::state::Video;

use super::order;
use crate::harness::nats::Nats;

fn video(bits: u128, title: &str) -> Video {
    Video::receiving(VideoId::from_bits(bits), title.to_owned(), Lane::Normal, 0)
}

#[tokio::test]
async fn who_is_late_has_a_conflict_and_changes_nothing() {
    let (_nats, bus) = Nats::start_with_streams().await;
    let mut video = video(1, "first");
    assert_eq!(bus.create_video(&video).await.unwrap(), WriteOnce::Mine);
    let read = bus.video(&video.id).await.unwrap().unwrap();
    assert_eq!(read.value, video);
    video.title = "second".to_owned();
    let Swap::Done(revision) = bus.swap_video(&video, read.revision).await.unwrap() else {
        panic!("the revision was right")
    };
    let late = Video { title: "late".to_owned(), ..video.clone() };
    assert_eq!(bus.swap_video(&late, read.revision).await.unwrap(), Swap::Conflict);
    assert_eq!(bus.create_video(&late).await.unwrap(), WriteOnce::Taken);
    let read = bus.video(&video.id).await.unwrap().unwrap();
    assert_eq!((read.value, read.revision), (video, revision));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_claimants_exactly_one_holds_the_task() {
    let (nats, _bus) = Nats::start_with_streams().await;
    let mut nodes = Vec::new();
    for _ in 0..6 {
        nodes.push(nats.bus().await);
    }
    let order = order(2);
    for index in 0..20 {
        let task = &Unit::from(TaskId::new(Group::Main, index));
        let tries = nodes.iter().enumerate().map(|(node, bus)| {
            let claim = claim::take(None, format!("attempt-{node}"), format!("node-{node}"), 1, 0);
            let order = order.clone();
            async move { (node, bus.swap_claim(&order, task, &claim, 0).await.unwrap()) }
        });
        let results = futures::future::join_all(tries).await;
        let won: Vec<_> =
            results.iter().filter(|(_, swap)| matches!(swap, Swap::Done(_))).collect();
        let [(node, Swap::Done(revision))] = won.as_slice() else { panic!("{results:?}") };
        let held = nodes[0].claim(&order, task).await.unwrap().unwrap();
        assert_eq!((held.value.node, held.revision), (format!("node-{node}"), *revision));
    }
}

#[tokio::test]
async fn a_deleted_document_is_absent_and_can_be_made_again() {
    let (nats, bus) = Nats::start_with_streams().await;
    let (order, task) = (order(3), &Unit::from("main-0000"));
    let claim = claim::take(None, "a".into(), "node".into(), 1, 0);
    assert!(matches!(bus.swap_claim(&order, task, &claim, 0).await.unwrap(), Swap::Done(_)));
    let mut headers = HeaderMap::new();
    headers.insert("KV-Operation", "DEL");
    let key = format!("$KV.claims.{}", subject::claim_key(&order, task));
    let context = jetstream::new(nats.client().await);
    context.publish_with_headers(key, headers, "".into()).await.unwrap().await.unwrap();
    assert!(bus.claim(&order, task).await.unwrap().is_none());
    assert!(matches!(bus.swap_claim(&order, task, &claim, 0).await.unwrap(), Swap::Done(_)));
    assert_eq!(bus.swap_claim(&order, task, &claim, 0).await.unwrap(), Swap::Conflict);
}

#[tokio::test]
async fn all_videos_are_listed_in_order() {
    let (_nats, bus) = Nats::start_with_streams().await;
    assert!(bus.videos().await.unwrap().is_empty());
    for bits in [30, 10, 20] {
        bus.create_video(&video(bits, "")).await.unwrap();
    }
    let ids = [10, 20, 30].map(VideoId::from_bits);
    assert_eq!(bus.videos().await.unwrap(), ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compare_and_set_outlasts_a_broker_that_dies_under_it() {
    let (mut nats, bus) = Nats::start_with_streams().await;
    let mut video = video(5, "before");
    bus.create_video(&video).await.unwrap();
    let revision = bus.video(&video.id).await.unwrap().unwrap().revision;
    nats.kill();
    video.title = "after".to_owned();
    let written = tokio::spawn({
        let (bus, video) = (bus.clone(), video.clone());
        async move { bus.swap_video(&video, revision).await }
    });
    nats.restart().await;
    let Swap::Done(revision) = written.await.unwrap().unwrap() else { panic!("nobody else wrote") };
    let read = bus.video(&video.id).await.unwrap().unwrap();
    assert_eq!((read.value.title.as_str(), read.revision), ("after", revision));
}
