//! Streams as declared, applied to a real server.

use jetreel::bus::doctor;
use jetreel::bus::topology::{self, Action, DEFAULT, Topology};
use std::time::Duration;

use jetreel_actors::ports::{Queues, Remains};
use jetreel_domain::delivery::dispatch::TaskQueue;
use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::id::Group;
use jetreel_domain::order::lane::Lane;

use super::{order, task};
use crate::harness::eventually::eventually_so;
use crate::harness::nats::Nats;

fn shipped() -> Topology {
    Topology::parse(DEFAULT).unwrap()
}

#[tokio::test]
async fn applying_twice_changes_nothing_the_second_time() {
    let nats = Nats::start().await;
    let bus = nats.bus().await;
    let all: usize = shipped().streams().iter().map(|stream| 1 + stream.consumers.len()).sum();
    assert_eq!(topology::missing(&bus, &shipped()).await.unwrap().len(), all);
    assert_eq!(topology::mend(&bus, &shipped()).await.unwrap(), [], "it may be another's");
    let first = topology::apply(&bus, &shipped(), false).await.unwrap();
    assert!(first.iter().all(|change| change.action == Action::Create));
    assert_eq!(topology::apply(&bus, &shipped(), false).await.unwrap(), []);
    assert_eq!(topology::plan(&bus, &shipped()).await.unwrap(), []);
    assert!(topology::missing(&bus, &shipped()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_harmless_change_is_made_in_place() {
    let (_nats, bus) = Nats::start_with_streams().await;
    let text = DEFAULT.replace("max_deliver = 50", "max_deliver = 60");
    let text = text.replacen("max_bytes = 1_073_741_824", "max_bytes = 2_147_483_648", 1);
    let changed = Topology::parse(&text).unwrap();
    let changes = topology::apply(&bus, &changed, false).await.unwrap();
    let queues: usize = Stage::ALL.map(|stage| stage.queues().len()).iter().sum();
    assert_eq!(changes.len(), 1 + queues + 1, "ENCODE, the stages' consumers, deadletter");
    assert!(changes.iter().all(|change| change.action == Action::Update));
    assert_eq!(topology::plan(&bus, &changed).await.unwrap(), []);
}

#[tokio::test]
async fn a_change_that_loses_messages_is_refused_unless_allowed() {
    let (_nats, bus) = Nats::start_with_streams().await;
    let task = task(&order(1), Lane::Normal, Group::Main, 0);
    bus.release(&task).await.unwrap();
    let text = DEFAULT.replacen("retention = \"workqueue\"", "retention = \"limits\"", 1);
    let changed = Topology::parse(&text).unwrap();
    let refused = topology::apply(&bus, &changed, false).await.unwrap_err();
    assert_eq!(refused.code, "streams-destructive");
    assert!(refused.detail.contains("recreate stream ENCODE"), "{refused:?}");
    assert_eq!(topology::plan(&bus, &shipped()).await.unwrap(), [], "nothing was touched");
    assert!(
        bus.next_task(TaskQueue::new(Lane::Normal, Group::Main), Duration::ZERO)
            .await
            .unwrap()
            .is_some()
    );

    topology::apply(&bus, &changed, true).await.unwrap();
    assert_eq!(topology::plan(&bus, &changed).await.unwrap(), []);
    assert!(topology::missing(&bus, &changed).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_stage_without_its_consumer_is_found_out() {
    let (nats, bus) = Nats::start_with_streams().await;
    let context = async_nats::jetstream::new(nats.client().await);
    let encode = context.get_stream("ENCODE").await.unwrap();
    encode.delete_consumer("encode-low-package").await.unwrap();
    let missing = topology::missing(&bus, &shipped()).await.unwrap();
    assert_eq!(topology::told(&missing), "consumer ENCODE/encode-low-package");
    let failure = bus
        .next_task(TaskQueue::new(Lane::Low, Group::Package), Duration::ZERO)
        .await
        .err()
        .unwrap();
    assert_eq!(failure.code, "topology-missing");
    assert!(failure.detail.contains("ENCODE/encode-low-package"), "{failure:?}");
    // Others work on.
    assert!(
        bus.next_task(TaskQueue::new(Lane::High, Group::Package), Duration::ZERO)
            .await
            .unwrap()
            .is_none()
    );
    assert!(bus.lost_sight().await.unwrap().is_empty());
    assert_eq!(topology::mend(&bus, &shipped()).await.unwrap(), missing);
    assert!(
        bus.next_task(TaskQueue::new(Lane::Low, Group::Package), Duration::ZERO)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_learns_at_once_that_its_consumer_is_deleted() {
    let (nats, bus) = Nats::start_with_streams().await;
    let pull = tokio::spawn({
        let bus = bus.clone();
        async move { bus.next(Stage::Ingest, Duration::from_secs(60)).await.map(|_| ()) }
    });
    let context = async_nats::jetstream::new(nats.client().await);
    let uploads = context.get_stream("UPLOADS").await.unwrap();
    eventually_so("the pull waits", async || {
        let info = uploads.consumer_info("ingest").await.unwrap();
        info.num_waiting == 1
    })
    .await;
    uploads.delete_consumer("ingest").await.unwrap();
    let told = tokio::time::timeout(Duration::from_secs(20), pull).await.unwrap().unwrap();
    assert_eq!(told.unwrap_err().code, "topology-missing");
}

#[tokio::test]
async fn a_stream_that_is_made_anew_gives_no_sequence_twice() {
    let (nats, bus) = Nats::start_with_streams().await;
    let order = order(1);
    let client = async_nats::jetstream::new(nats.client().await);
    let sequence = async || {
        bus.evaluate(&order).await.unwrap();
        client.get_stream("PUBLISH").await.unwrap().cached_info().state.last_sequence
    };
    let mut before = sequence().await;
    assert_eq!(before, 1);
    for _ in 0..2 {
        client.delete_stream("PUBLISH").await.unwrap();
        let made = topology::mend(&bus, &shipped()).await.unwrap();
        assert_eq!(topology::told(&made), "stream PUBLISH");
        assert_eq!(topology::plan(&bus, &shipped()).await.unwrap(), []);
        let after = sequence().await;
        assert!(after > before, "{after} after {before}");
        before = after;
    }
}

#[tokio::test]
async fn the_doctor_sees_drift_and_how_writes_are_synced() {
    let nats = Nats::start().await;
    let bus = nats.bus().await;
    let facts = doctor::examine(&bus, &shipped(), Some(nats.monitor_url())).await.unwrap();
    assert!(facts.jetstream && !facts.drift.is_empty());
    assert_eq!(facts.sync_always, Some(false));
    topology::apply(&bus, &shipped(), false).await.unwrap();
    let facts = doctor::examine(&bus, &shipped(), None).await.unwrap();
    assert_eq!((facts.drift, facts.sync_always), (Vec::new(), None));
}
