//! Dead letters that cannot be written: full, by whoever uploads what is no video.

use std::path::Path;

use jetreel_actors::ports::{Broker as _, DeadLetters as _};
use jetreel_domain::claim;
use jetreel_domain::failure::Failure;
use jetreel_domain::id::OrderId;
use jetreel_domain::lane::Lane;
use jetreel_domain::state::{INGEST, Status};

use super::BURY_REFUSED;
use crate::harness::eventually::eventually_so;
use crate::harness::media::{self, SHORT};
use crate::harness::node::Node;
use crate::harness::site::Site;
use crate::reconcile::untold;

/// Files that are no video.
const BAD: usize = 40;

/// Lets the stream take less than one letter.
async fn fill(site: &Site) {
    let context = async_nats::jetstream::new(site.client().await);
    let mut config = context.get_stream("DLQ").await.unwrap().cached_info().config.clone();
    config.max_bytes = 200;
    context.update_stream(config).await.unwrap();
}

async fn number(node: &Node, name: &str) -> f64 {
    let numbers = String::from_utf8(node.bytes("/metrics").await).unwrap();
    let of = |line: &str| line.strip_prefix(name)?.rsplit_once(' ')?.1.parse::<f64>().ok();
    numbers.lines().filter_map(of).sum()
}

async fn submit_bad(node: &Node, folder: &Path) -> Vec<OrderId> {
    let file = folder.join("bad.mp4");
    std::fs::write(&file, "this is no video\n".repeat(100)).unwrap();
    let mut orders = Vec::new();
    for _ in 0..BAD {
        orders.push(node.submit(&file).await);
    }
    orders
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_buried_waits_and_keeps_nobody_from_work() {
    let Some(clip) = media::made(SHORT) else { return };
    let site = Site::start().await;
    fill(&site).await;
    let node = site.node("one", &[BURY_REFUSED]).await;
    let bad = submit_bad(&node, site.folder()).await;
    let good = node.submit(&clip).await;
    site.facts(&good).await.until("completed").await;
    eventually_so("all bad ones wait", async || {
        number(&node, "jetreel_unburied_total").await >= BAD as f64
    })
    .await;
    assert_eq!(number(&node, "jetreel_breaker_opened_total").await, 0.0);
    for order in bad {
        let video = site.bus.video(&order.video).await.unwrap().unwrap().value;
        assert_ne!(video.order(1).unwrap().status, Status::Failed, "no death without its letter");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_media_is_no_letter() {
    let site = Site::start().await;
    fill(&site).await;
    let node = site.node("one", &[]).await;
    for order in submit_bad(&node, site.folder()).await {
        let told = site.facts(&order).await.until("failed-1").await;
        assert_eq!(told[0].body.error.as_ref().unwrap().code, "unknown-format");
    }
    eventually_so("all are counted", async || {
        number(&node, "jetreel_refused_total").await == BAD as f64
    })
    .await;
    assert_eq!(number(&node, "jetreel_unburied_total").await, 0.0);
    assert!(site.bus.letters(0, 1).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_a_dead_node_did_not_finish_is_no_letter_either() {
    let site = Site::start().await;
    fill(&site).await;
    let file = site.folder().join("bad.mp4");
    std::fs::write(&file, "this is no video").unwrap();
    let order = untold(&site, &file, 1, Status::Queued).await;
    // As a node leaves it that dies right after it gave up.
    let failure = Failure::permanent("unknown-format", "The file is not recognised as a video.");
    let claimed = claim::take(None, "a".into(), "gone".into(), 1, 7);
    let given_up = claimed.given_up(Some(&failure), true);
    site.bus.swap_claim(&order, INGEST, &given_up, 0).await.unwrap();
    site.bus.announce_upload(&order.video, 1, Lane::Normal).await.unwrap();
    let node = site.node("one", &[]).await;
    site.facts(&order).await.until("failed-1").await;
    assert_eq!(number(&node, "jetreel_unburied_total").await, 0.0);
}
