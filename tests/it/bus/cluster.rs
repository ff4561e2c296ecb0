//! A cluster of three loses the server that leads, while it is written to.

use std::sync::Arc;

use jetreel::bus::Bus;
use jetreel::bus::topology::{self, DEFAULT, Topology};
use jetreel_actors::ports::{Ledger, Swap, Videos, WriteOnce};
use jetreel_domain::id::{OrderId, VideoId};
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::state::{Fact, Video};

use super::{entry, order};
use crate::harness::cluster::Cluster;

const ENTRIES: u32 = 120;
const KILL_AT: u32 = 40;
const TURNS: u64 = 40;

/// Writes every entry, in order; gives the indexes of those that are this writer's.
async fn write_all(
    bus: Arc<Bus>,
    order: OrderId,
    writer: &'static str,
    at: Arc<tokio::sync::Barrier>,
) -> Vec<u32> {
    let mut mine = Vec::new();
    for index in 0..ENTRIES {
        if index == KILL_AT {
            at.wait().await;
        }
        let written = bus.write_entry(&entry(&order, index, None, writer)).await;
        if written.expect("an election is waited for") == WriteOnce::Mine {
            mine.push(index);
        }
    }
    mine
}

/// Records its own facts in a document that others write too, as stages do: read, change, compare-and-set, again.
async fn record_all(bus: Arc<Bus>, video: VideoId, writer: &'static str) {
    for turn in 0..TURNS {
        let fact = Fact::Tier(format!("{writer}-{turn}"));
        loop {
            let read = bus.video(&video).await.expect("an election is waited for").unwrap();
            let mut changed = read.value;
            if changed.orders[0].knows(&fact) {
                break;
            }
            changed.learn(1, fact.clone(), 0);
            let swap = bus.swap_video(&changed, read.revision).await;
            if let Swap::Done(_) = swap.expect("an election is waited for") {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_dies_neither_loses_nor_doubles_a_write() {
    let mut cluster = Cluster::start();
    let (one, other) = (cluster.bus().await, cluster.bus().await);
    let replicated = Topology::parse(DEFAULT).unwrap().with_replicas(3);
    topology::apply(&one, &replicated, false).await.unwrap();
    let order = order(1);
    let video = Video::receiving(order.video.clone(), String::new(), Lane::Normal, 0);
    one.create_video(&video).await.unwrap();

    let at = Arc::new(tokio::sync::Barrier::new(3));
    let writers = [(&one, "one"), (&other, "other")]
        .map(|(bus, name)| tokio::spawn(write_all(bus.clone(), order.clone(), name, at.clone())));
    let recorders = [(&one, "one"), (&other, "other")]
        .map(|(bus, name)| tokio::spawn(record_all(bus.clone(), video.id.clone(), name)));
    at.wait().await;
    cluster.kill_leader_of("LEDGER").await;

    let mut written = Vec::new();
    for writer in writers {
        written.extend(writer.await.unwrap());
    }
    written.sort_unstable();
    assert_eq!(written, (0..ENTRIES).collect::<Vec<_>>(), "each entry has exactly one writer");
    assert_eq!(one.entries(&order, 0).await.unwrap().0.len(), ENTRIES as usize);
    for recorder in recorders {
        recorder.await.unwrap();
    }
    let recorded = one.video(&video.id).await.unwrap().unwrap().value;
    let seqs: Vec<u64> = recorded.orders[0].facts.iter().map(|known| known.seq).collect();
    assert_eq!(seqs, (1..=2 * TURNS).collect::<Vec<_>>(), "no fact is lost, none is there twice");
    assert!(topology::missing(&one, &replicated).await.unwrap().is_empty());
    assert_eq!(topology::plan(&one, &replicated).await.unwrap(), []);
}
