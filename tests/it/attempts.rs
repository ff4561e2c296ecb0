//! Which attempts count: those of a node that dies of its task, and not those of a node that lost its lease or got further.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::time::{SystemTime, UNIX_EPOCH};

use jetreel::bus::names;
use jetreel_actors::ports::{Claims, Nodes as _, Swap};
use jetreel_domain::delivery::claim::{self, Claim};
use jetreel_domain::id::{Group, OrderId, TaskId};
use jetreel_domain::order::ledger::Entry;
use jetreel_domain::upkeep::presence::Presence;

use crate::harness::media::{self, FILM, SEQUENTIAL};
use crate::harness::site::Site;
use crate::reconcile::in_time;
use crate::upload_to_publish::must_be_published;

/// Attempts without a report after which a task without progress is dead, and one more.
const SILENT: usize = 9;
/// A message that no stream has.
const NO_MESSAGE: u64 = 1_000_000;

const TASK: TaskId = TaskId { group: Group::Main, index: 0 };

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed()
}

/// A claim of a task that was taken so often by a node that never said how it ended.
fn silent(found: Option<Claim>, node: &str, at: i64) -> Claim {
    let sequence = found.as_ref().map_or(NO_MESSAGE, |found| found.sequence);
    let taken = |found, _| {
        let claim = claim::take(found, "attempt".into(), node.into(), sequence, at);
        Some(claim.by_start(node))
    };
    let mut claim = (0..SILENT).fold(found, taken).unwrap();
    claim.history.iter_mut().for_each(|attempt| attempt.heard = Some(at));
    claim
}

async fn replace(site: &Site, order: &OrderId, node: &str, at: i64) {
    let unit = TASK.into();
    let found = site.bus.claim(order, &unit).await.unwrap();
    let revision = found.as_ref().map_or(0, |found| found.revision);
    let claim = silent(found.map(|found| found.value), node, at);
    let swapped = site.bus.swap_claim(order, &unit, &claim, revision).await.unwrap();
    assert!(matches!(swapped, Swap::Done(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_makes_progress_outlives_any_number_of_dead_nodes() {
    let Some(film) = media::made(SEQUENTIAL) else { return };
    let site = Site::start().await;
    let mut first = site.node("first", &[]).await;
    let mut written = site.written().await;
    let order = first.submit(&film).await;
    let first_part = |_: &str, entry: &Entry| entry.task == TASK && entry.part == Some(0);
    written.next("the first part", first_part).await;
    first.freeze_codec().await.must_hold();
    first.kill();
    replace(&site, &order, "first", now()).await;

    let second = site.node("second", &[]).await;
    site.facts(&order).await.until("completed").await;
    must_be_published(&site, &second, &order, SEQUENTIAL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lease_is_no_attempt_and_a_dead_node_is_one() {
    let Some(film) = media::made(FILM) else { return };
    let site = Site::start().await;
    let front = site.node("front", &[("NODE__ROLES", "gateway,ingest,publish")]).await;
    let (alive, poison) = (front.submit(&film).await, front.submit(&film).await);
    in_time("the tasks of both are queued", async || {
        let queued = site.subjects(names::ENCODE, ">").await;
        let has = |order: &OrderId| {
            queued.iter().any(|subject| {
                subject.contains(order.video.as_str()) && subject.ends_with(&TASK.to_string())
            })
        };
        has(&alive) && has(&poison)
    })
    .await;
    let (since, at) = (now() - 1000, now() - 500);
    let presence = Presence {
        v: 1,
        node: "alive".into(),
        roles: ["encode".to_owned()].into(),
        slots: 1,
        since,
        at: now(),
        ..Presence::default()
    };
    site.bus.tell("alive", &presence).await.unwrap();
    replace(&site, &alive, "alive", at).await;
    replace(&site, &poison, "gone", at).await;

    let _worker = site.node("worker", &[("NODE__ROLES", "encode")]).await;
    let told = site.facts(&poison).await.until("failed-1").await;
    let reason = told.last().unwrap().body.error.clone().unwrap();
    assert_eq!(reason.code, "attempts-spent");
    site.facts(&alive).await.until("completed").await;
    must_be_published(&site, &front, &alive, FILM).await;
}
