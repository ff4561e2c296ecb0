//! A forged ledger entry that no publisher has seen: it stands where a result belongs, and counts as one where only subjects are read.

use async_nats::jetstream;
use jetreel::bus::names;
use jetreel_actors::ports::{Claims as _, DeadLetters as _, Remains, Survey as _, Videos};
use jetreel_domain::delivery::claim::Claim;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::{Group, OrderId, TaskId};
use jetreel_domain::order::ledger::Entry;
use serde::Serialize;
use serde_json::json;

use crate::harness::media::{self, SHORT};
use crate::harness::node::Node;
use crate::harness::site::Site;
use crate::reconcile::{HASTY, forgets_everything, in_time, repairs};

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_entry_that_no_publisher_saw_is_removed_and_its_task_is_done() {
    let Some((site, _front, order)) = queued(&[("NODE__ROLES", "gateway,ingest")]).await else {
        return;
    };
    let task = TaskId::new(Group::Package, 0);
    let context = jetstream::new(site.client().await);
    let place = subject::ledger(&order, task);
    context.publish(place, "forged".into()).await.unwrap().await.unwrap();
    forgets_everything(&site, names::LEDGER, names::PUBLISH_CONSUMER).await;

    let node = site.node("worker", &HASTY).await;
    let done = async || site.bus.video(&order.video).await.unwrap().unwrap().value;
    in_time("it is complete", async || done().await.orders[0].status.is_closed()).await;
    assert_eq!(repairs(&node, "forged-removed").await, 1);
    assert_eq!(site.bus.letters(0, 10).await.unwrap(), []);
}

/// Tasks are queued, and no worker runs them yet.
async fn queued(own: &[(&str, &str)]) -> Option<(Site, Node, OrderId)> {
    let clip = media::made(SHORT)?;
    let site = Site::start().await;
    let front = site.node("front", own).await;
    let order = front.submit(&clip).await;
    let tasks = async || site.bus.queued_tasks(&order).await.unwrap();
    in_time("tasks are queued", async || !tasks().await.is_empty()).await;
    Some((site, front, order))
}

/// Writes a body into the ledger as a foreign client would.
async fn forge(site: &Site, order: &OrderId, task: TaskId, body: &impl Serialize) -> u64 {
    let context = jetstream::new(site.client().await);
    let body = rmp_serde::to_vec_named(body).unwrap();
    let sent = context.publish(subject::ledger(order, task), body.into()).await.unwrap();
    sent.await.unwrap().sequence
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_of_another_task_is_none_whatever_its_version() {
    let Some((site, _front, order)) = queued(&[("NODE__ROLES", "gateway,ingest,publish")]).await
    else {
        return;
    };
    let entry = |task| Entry {
        v: 99,
        writer: "mallory".to_owned(),
        order: order.clone(),
        task,
        part: None,
        parts: 0,
        outputs: Vec::new(),
        node: "mallory".to_owned(),
        attempt: 1,
        codec_build: "build".to_owned(),
        confinement: "FULL".to_owned(),
        cpu_seconds: 0.5,
        wall_seconds: 0.5,
    };
    let (task, other) = (TaskId::new(Group::Images, 0), TaskId::new(Group::Main, 7));
    let forged = forge(&site, &order, task, &entry(other)).await;
    let there = async || site.bus.stored(names::LEDGER, forged).await.unwrap().is_some();
    in_time("it is removed", async || !there().await).await;
    let _worker = site.node("worker", &[("NODE__ROLES", "encode")]).await;
    site.facts(&order).await.until("completed").await;
}

/// An entry of a form that this program does not know.
#[derive(Serialize)]
struct OfTomorrow {
    v: u32,
}

/// A newer program claims a task before it writes the result.
#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_only_a_newer_program_reads_is_waited_for() {
    let Some(((site, _front, order), task, newer)) = result_of_tomorrow().await else { return };
    let place = subject::claim_key(&order, &task.into());
    let mut claims = site.claims().await;
    let claim = json!({
        "attempt_id": "a", "node": "newer", "sequence": 9999, "attempts": 1, "released": true,
    });
    let claim: Claim = serde_json::from_value(claim).unwrap();
    site.bus.swap_claim(&order, &task.into(), &claim, 0).await.unwrap();
    let worker = site.node("worker", &[("NODE__ROLES", "encode")]).await;
    worker.logs("newer-document").await;
    assert!(site.bus.stored(names::LEDGER, newer).await.unwrap().is_some(), "it stays");
    let claimed = claims.so_far_by_subject().await.into_iter();
    let others = claimed.filter(|(subject, it)| subject.ends_with(&place) && *it != claim);
    assert_eq!(others.collect::<Vec<_>>(), []);
    site.bus.remove(names::LEDGER, newer).await.unwrap();
    site.facts(&order).await.until("completed").await;
}

/// The task is encoded once in vain.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_result_without_a_claim_costs_no_attempt() {
    let Some(((site, _front, order), _, newer)) = result_of_tomorrow().await else { return };
    let worker = site.node("worker", &[("NODE__ROLES", "encode")]).await;
    worker.logs("newer-document").await;
    assert!(site.bus.stored(names::LEDGER, newer).await.unwrap().is_some(), "it stays");
    site.bus.remove(names::LEDGER, newer).await.unwrap();
    site.facts(&order).await.until("completed").await;
    assert_eq!(site.bus.letters(0, 10).await.unwrap(), []);
}

/// A queued order, whose first task has a result of an unknown form, and the sequence of that result.
async fn result_of_tomorrow() -> Option<((Site, Node, OrderId), TaskId, u64)> {
    let queued = queued(&[("NODE__ROLES", "gateway,ingest,publish")]).await?;
    let (site, _, order) = &queued;
    let task = *site.bus.queued_tasks(order).await.unwrap().first().unwrap();
    let newer = forge(site, order, task, &OfTomorrow { v: 99 }).await;
    Some((queued, task, newer))
}
