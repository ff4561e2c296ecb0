//! An order whose codec build no node has is planned anew; one whose build a node still has waits for that node.

use jetreel_actors::ports::Videos;
use std::collections::BTreeSet;

use jetreel_actors::ports::Nodes as _;
use jetreel_domain::order::state::Video;
use jetreel_domain::order::takeover::Takeover;
use jetreel_domain::upkeep::presence::Presence;

use super::*;
use crate::harness::poison::Poison;

/// How long a build is missed. Nodes tell theirs twenty times within it.
const MISSED: (&str, &str) = ("RECONCILER__BUILD_SECONDS", "10");
/// Many retries: poisoned work fails for minutes, and is tried again soon after the poison is removed.
const RETRIES: (&str, &str) =
    ("RETRY__ENCODE", "8s, 8s, 8s, 8s, 8s, 8s, 8s, 8s, 8s, 8s, 8s, 8s, 8s, 8s, 8s");

async fn node(site: &Site, name: &str, codec: &Poison, roles: &str) -> Node {
    let codec = codec.codec();
    let own = [MISSED, RETRIES, ("CODEC__PATH", codec.as_str()), ("NODE__ROLES", roles)];
    hasty(site, name, &own).await
}

async fn state(site: &Site, order: &OrderId) -> Video {
    site.bus.video(&order.video).await.unwrap().unwrap().value
}

/// Node reports.
async fn listed(site: &Site) -> Vec<Presence> {
    let said = site.bus.said(0, 100).await.unwrap();
    said.words.into_iter().map(|(_, presence)| presence).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_codec_build_is_gone_is_planned_anew() {
    let Some(short) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let codec = |build| Poison::of_build(site.folder(), build);
    let (gone, kept) = (codec("gone"), codec("kept"));

    // A report that cannot be decoded does not hide the others.
    let context = jetstream::new(site.client().await);
    let nodes = context.get_key_value(names::NODES_BUCKET).await.unwrap();
    nodes.put("node.odd", "of another form".into()).await.unwrap();

    // A node dies in the middle of an order, and no other node has its codec.
    let mut first = node(&site, "first", &gone, "gateway,ingest,encode").await;
    let lost = first.submit(&short).await;
    in_time("some of it is done", async || !site.ledger(&lost).await.is_empty()).await;
    first.kill();
    // Another goes after it has planned one, and its codec is still there: its packages cannot be made as long as they are poison.
    kept.arm("Package(");
    let mut second = node(&site, "second", &kept, "gateway,ingest").await;
    let waiting = second.submit(&short).await;
    in_time("it is planned", async || queued(&site, &waiting).await > 0).await;
    second.terminate();
    second.ended().await;
    let _keeper = node(&site, "keeper", &kept, "encode").await;

    let upgraded = hasty(&site, "upgraded", &[MISSED]).await;
    in_time("the lost order is taken over", async || state(&site, &lost).await.orders.len() > 1)
        .await;
    let waits = state(&site, &waiting).await;
    assert!(waits.orders.len() == 1 && !waits.orders[0].is_closed(), "{waits:?}");
    let names: BTreeSet<String> = listed(&site).await.into_iter().map(|said| said.node).collect();
    let there = ["first", "keeper", "upgraded"].map(ToOwned::to_owned);
    assert_eq!(names, there.into(), "who was killed could not take its word back");
    kept.disarm();

    let told = site.facts(&lost).await.until("completed").await;
    let next = OrderId::new(lost.video.clone(), 2);
    assert_eq!(told.last().unwrap().body.order, next.to_string());
    is_whole(&site, &upgraded, &next).await;
    let left = upgraded.json(&format!("/v1/jobs/{lost}")).await;
    assert_eq!(
        left["successor"],
        next.to_string(),
        "who asks for the old job learns of the new one"
    );
    let orders = state(&site, &lost).await.orders;
    let why: Vec<Option<Takeover>> = orders.iter().map(|order| order.takeover).collect();
    assert_eq!(why, [Some(Takeover::CodecBuild), None]);
    let class = |index: usize| orders[index].plan.as_ref().unwrap().class;
    assert!(class(1) == class(0) && !orders[1].sequential, "only seams call for another class");
    assert!(site.ledger(&lost).await.is_empty(), "nothing of it is kept");

    site.facts(&waiting).await.until("completed").await;
    is_whole(&site, &upgraded, &waiting).await;
    let workers = manifest(&upgraded, &waiting).await.tasks;
    assert!(workers.iter().all(|task| task.node == "keeper"), "{workers:?}");
    assert_eq!(state(&site, &waiting).await.orders.len(), 1);
    assert_eq!(repairs(&upgraded, "planned-anew").await, 1);
}
