//! Ledger entries that are removed while their job runs: their tasks are done again.

use jetreel_domain::id::{Group, TaskId};
use jetreel_domain::order::ledger::Entry;

use super::*;
use crate::harness::media::{FILM, Recipe, SEQUENTIAL};
use crate::upload_to_publish::must_be_published;

async fn purge(site: &Site) {
    let context = jetstream::new(site.client().await);
    context.get_stream(names::LEDGER).await.unwrap().purge().await.unwrap();
}

/// The ledger is purged once an entry was written that `when` picks.
async fn purged(from: Recipe, when: fn(&Entry) -> bool) {
    let Some(film) = media::made(from) else { return };
    let site = Site::start().await;
    let node = hasty(&site, "one", &[]).await;
    let mut written = site.written().await;
    let order = node.submit(&film).await;
    written.next("the entry", |_, entry| when(entry)).await;
    purge(&site).await;
    site.facts(&order).await.until("completed").await;
    must_be_published(&site, &node, &order, from).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_entries_are_removed_does_again_what_is_missing() {
    purged(FILM, |entry| entry.task == TaskId::new(Group::Main, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_checkpoints_are_removed_makes_them_again() {
    purged(SEQUENTIAL, |entry| entry.part == Some(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_read_nothing_before_finds_the_gap_too() {
    let Some(film) = media::made(FILM) else { return };
    let site = Site::start().await;
    // No node publishes: entries accumulate unread.
    let front = site.node("front", &[("NODE__ROLES", "gateway,ingest,encode")]).await;
    let mut written = site.written().await;
    let order = front.submit(&film).await;
    written.next("an entry", |_, entry| entry.task.group == Group::Main).await;
    purge(&site).await;
    let node = hasty(&site, "back", &[]).await;
    site.facts(&order).await.until("completed").await;
    must_be_published(&site, &node, &order, FILM).await;
}
