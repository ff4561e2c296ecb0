//! A backlog is finished one video after the other, and owners share.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use async_nats::jetstream;
use jetreel_actors::ports::Videos as _;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::OrderId;
use jetreel_domain::order::state::Fact;

use crate::harness::media::{self, FILM};
use crate::harness::site::Site;

const UPLOADS: usize = 10;

/// Place of a fact among all facts of the site.
async fn place(stream: &jetstream::stream::Stream, order: &OrderId, fact: &Fact) -> u64 {
    let subject = subject::progress(order, fact);
    stream.get_last_raw_message_by_subject(&subject).await.unwrap().sequence
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_finished_in_the_order_of_arrival() {
    let Some(film) = media::made(FILM) else { return };
    let site = Site::start().await;
    let nodes = [site.node("left", &[]).await, site.node("right", &[]).await];
    let mut orders = Vec::new();
    for index in 0..UPLOADS {
        orders.push(nodes[index % nodes.len()].submit(&film).await);
    }
    for order in &orders {
        site.facts(order).await.until("completed").await;
    }
    let progress = jetstream::new(site.client().await).get_stream("PROGRESS").await.unwrap();
    let (mut completed, mut encoded) = (Vec::new(), Vec::new());
    for (index, order) in orders.iter().enumerate() {
        completed.push((place(&progress, order, &Fact::Completed).await, index));
        let video = site.bus.video(&order.video).await.unwrap().unwrap().value;
        let facts = &video.orders[0].facts;
        let tier = facts.iter().find(|known| matches!(known.fact, Fact::Tier(_))).unwrap();
        encoded.push(place(&progress, order, &tier.fact).await);
    }
    completed.sort_unstable();
    let arrivals: Vec<usize> = completed.iter().map(|(_, index)| *index).collect();
    // The room of two slots holds the bulk of two of these videos.
    let in_turn = arrivals.iter().enumerate().all(|(rank, arrival)| rank.abs_diff(*arrival) <= 3);
    assert!(in_turn, "{arrivals:?}");
    let first = completed[0].0;
    let later = encoded.iter().filter(|encoded| **encoded > first).count();
    assert!(later >= UPLOADS / 2, "{later} of {UPLOADS} were encoded after one was finished");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_with_one_video_does_not_wait_for_anothers_many() {
    let Some(film) = media::made(FILM) else { return };
    let site = Site::start().await;
    let node = site.node("one", &[("NODE__SLOTS", "2")]).await;
    let mut orders = Vec::new();
    for _ in 0..UPLOADS {
        orders.push(node.submit_for(&film, "many").await);
    }
    let own = node.submit_for(&film, "one").await;
    site.facts(&own).await.until("completed").await;
    let progress = jetstream::new(site.client().await).get_stream("PROGRESS").await.unwrap();
    let own = place(&progress, &own, &Fact::Completed).await;
    let mut before = 0;
    for order in &orders {
        site.facts(order).await.until("completed").await;
        before += usize::from(place(&progress, order, &Fact::Completed).await < own);
    }
    assert!(before <= UPLOADS / 2, "{before} of {UPLOADS} came first");
    let job = node.json(&format!("/v1/jobs/{}", orders[0])).await;
    assert_eq!(job["owner"], "many");
}
