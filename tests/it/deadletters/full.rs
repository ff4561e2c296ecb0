//! A full stream of dead letters, filled by uploads that are no videos.

use std::path::Path;
use std::time::Instant;

use jetreel_actors::ports::{Claims, DeadLetters as _, Queues, Videos};
use jetreel_domain::delivery::claim;
use jetreel_domain::delivery::message::Uploaded;
use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::id::OrderId;
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::state::Status;
use jetreel_domain::words::failure::Failure;

use super::BURY_REFUSED;
use crate::harness::eventually::eventually_so;
use crate::harness::media::{self, SHORT};
use crate::harness::node::Node;
use crate::harness::site::Site;
use crate::reconcile::{in_time, untold};

/// Files that are no video.
const BAD: usize = 40;

/// Less than one letter.
const NOTHING: i64 = 200;

/// Lets the stream take so many bytes.
async fn fill(site: &Site, bytes: i64) {
    let context = async_nats::jetstream::new(site.client().await);
    let mut config = context.get_stream("DLQ").await.unwrap().cached_info().config.clone();
    config.max_bytes = bytes;
    context.update_stream(config).await.unwrap();
}

async fn number(node: &Node, name: &str) -> f64 {
    let numbers = String::from_utf8(node.bytes("/metrics").await).unwrap();
    let of = |line: &str| line.strip_prefix(name)?.rsplit_once(' ')?.1.parse::<f64>().ok();
    numbers.lines().filter_map(of).sum()
}

async fn submit_bad(node: &Node, folder: &Path, count: usize) -> Vec<OrderId> {
    let file = folder.join("bad.mp4");
    std::fs::write(&file, "this is no video\n".repeat(100)).unwrap();
    let mut orders = Vec::new();
    for _ in 0..count {
        orders.push(node.submit(&file).await);
    }
    orders
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_buried_waits_and_keeps_nobody_from_work() {
    let Some(clip) = media::made(SHORT) else { return };
    let site = Site::start().await;
    fill(&site, NOTHING).await;
    let node = site.node("one", &[BURY_REFUSED]).await;
    let bad = submit_bad(&node, site.folder(), BAD).await;
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
    fill(&site, NOTHING).await;
    let node = site.node("one", &[]).await;
    for order in submit_bad(&node, site.folder(), BAD).await {
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
    fill(&site, NOTHING).await;
    let file = site.folder().join("bad.mp4");
    std::fs::write(&file, "this is no video").unwrap();
    let order = untold(&site, &file, 1, Status::Queued).await;
    // As a node leaves it that dies right after it gave up.
    let failure = Failure::permanent("unknown-format", "The file is not recognised as a video.");
    let claimed = claim::take(None, "a".into(), "gone".into(), 1, 7);
    let given_up = claimed.given_up(Some(&failure), true);
    site.bus.swap_claim(&order, &Stage::Ingest.into(), &given_up, 0).await.unwrap();
    site.bus.announce_upload(&Uploaded::new(order.video.clone(), 1, Lane::Normal)).await.unwrap();
    let node = site.node("one", &[]).await;
    site.facts(&order).await.until("failed-1").await;
    assert_eq!(number(&node, "jetreel_unburied_total").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_goes_before_what_hardly_is_one() {
    let Some(clip) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let gateway = site.node("door", &[("NODE__ROLES", "gateway")]).await;
    submit_bad(&gateway, site.folder(), BAD).await;
    let good = gateway.submit(&clip).await;
    // One worker, so that what goes first is done first.
    let worker =
        site.node("worker", &[("NODE__ROLES", "gateway,ingest"), ("NODE__SLOTS", "1")]).await;
    eventually_so("the video is planned", async || {
        let video = site.bus.video(&good.video).await.unwrap().unwrap().value;
        video.order(1).unwrap().status == Status::Encoding
    })
    .await;
    assert!(refused(&worker).await < BAD as f64 / 2.0);
    // Each of them gets its turn.
    in_time("all are refused", async || refused(&worker).await == BAD as f64).await;
}

async fn refused(node: &Node) -> f64 {
    number(node, "jetreel_refused_total").await
}

/// How long each of some good jobs takes, one after the other: median and slowest, in seconds.
async fn paces(site: &Site, node: &Node, clip: &Path) -> (f64, f64) {
    let mut paces = Vec::new();
    for _ in 0..GOOD {
        let since = Instant::now();
        let order = node.submit(clip).await;
        site.facts(&order).await.until("completed").await;
        paces.push(since.elapsed().as_secs_f64());
    }
    paces.sort_by(f64::total_cmp);
    (paces[GOOD / 2], paces[GOOD - 1])
}

const GOOD: usize = 5;

/// Times of good jobs while bad uploads arrive, and when all of those were processed.
struct Flooded {
    during: (f64, f64),
    after: (f64, f64),
}

/// Floods a node whose dead letters are limited to this many bytes.
#[expect(clippy::print_stdout, reason = "figures are what a flood by hand is for")]
async fn flooded(clip: &Path, bad: usize, bytes: i64) -> Flooded {
    const PARALLEL: usize = 4;
    let site = Site::start().await;
    fill(&site, bytes).await;
    let node = site.node("one", &[BURY_REFUSED, ("NODE__SLOTS", "2")]).await;
    let before = paces(&site, &node, clip).await;
    let flood = futures::future::join_all(
        (0..PARALLEL).map(|_| submit_bad(&node, site.folder(), bad / PARALLEL)),
    );
    let (flooded, during) = tokio::join!(flood, paces(&site, &node, clip));
    let bad: usize = flooded.iter().map(Vec::len).sum();
    in_time("all bad ones are buried, or wait", async || {
        let (buried, waits) = ("jetreel_dead_letters_total", "jetreel_unburied_total");
        number(&node, buried).await + number(&node, waits).await >= bad as f64
    })
    .await;
    let after = paces(&site, &node, clip).await;
    println!(
        "{bad} bad uploads, room for {bytes} bytes of letters; good jobs, median and slowest in seconds: {before:.2?}, during {during:.2?}, \
         after {after:.2?}"
    );
    assert_eq!(number(&node, "jetreel_breaker_opened_total").await, 0.0);
    assert_eq!(number(&node, "jetreel_dlq_limit_bytes").await, bytes as f64);
    assert!(number(&node, "jetreel_dlq_bytes").await <= bytes as f64);
    let ready = node.json("/readyz").await;
    let mut warnings = ready["warnings"].as_array().unwrap().iter();
    let told = warnings.any(|warning| warning["code"] == "dead-letters-full");
    assert_eq!(told, bytes == FULL, "{ready}");
    Flooded { during, after }
}

/// Less than two letters.
const FULL: i64 = 1000;

/// `JETREEL_FLOOD` says how many bad uploads come; the figures are printed.
#[tokio::test(flavor = "multi_thread")]
async fn good_jobs_go_on_as_fast_where_the_dead_letters_are_full() {
    const ROOMY: i64 = 1 << 30;
    /// Seconds by which other load may slow the machine down.
    const SLACK: f64 = 10.0;
    let Some(clip) = media::made(SHORT) else { return };
    let bad = std::env::var("JETREEL_FLOOD").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    // Behind many uploads a good one waits for its turn, wherever they go.
    let roomy = flooded(&clip, bad, ROOMY).await;
    let full = flooded(&clip, bad, FULL).await;
    let fast = |full: (f64, f64), roomy: (f64, f64)| full.1 <= 2.0 * roomy.1 + SLACK;
    assert!(fast(full.during, roomy.during) && fast(full.after, roomy.after));
}
