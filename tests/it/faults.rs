//! Faults of dependencies, and a worker that returns after its lease: neither costs a video an attempt.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use jetreel_actors::ports::Claims;
use std::time::Duration;

use async_nats::jetstream::consumer::{FromConsumer as _, pull};
use jetreel::bus::names;
use jetreel_domain::delivery::claim::Claim;
use jetreel_domain::id::{Group, TaskId};
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::ledger::Entry;

use crate::harness::eventually::eventually_so;
use crate::harness::media::{self, FILM};
use crate::harness::node::Node;
use crate::harness::site::Site;
use crate::upload_to_publish::{manifest, must_be_published};

/// A schedule that is over in three seconds.
const RETRIES: [(&str, &str); 3] = [
    ("RETRY__INGEST", "1s, 1s, 1s"),
    ("RETRY__ENCODE", "1s, 1s, 1s"),
    ("RETRY__PUBLISH", "1s, 1s, 1s"),
];
/// Longer than that schedule with all it could be late by.
const OUTAGE: Duration = Duration::from_secs(12);

async fn breaker(node: &Node, open: bool) {
    let line = format!("jetreel_breaker_open {}", u8::from(open));
    eventually_so(&line, async || {
        let text = String::from_utf8(node.bytes("/metrics").await).unwrap();
        text.lines().any(|found| found == line)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_storage_that_outlasts_the_schedule_is_nobodys_fault() {
    let Some(film) = media::made(FILM) else { return };
    let site = Site::start().await;
    let node = site.node("one", &RETRIES).await;
    let mut written = site.written().await;
    let order = node.submit(&film).await;
    written.next("something is finished", |_, _: &Entry| true).await;

    // The folder is gone, as a disk that is unmounted is.
    let (here, away) = (site.folder().join("media"), site.folder().join("away"));
    std::fs::rename(&here, &away).unwrap();
    breaker(&node, true).await;
    tokio::time::sleep(OUTAGE).await;
    assert!(site.subjects(names::DLQ, ">").await.is_empty(), "{}", node.log());
    if here.exists() {
        std::fs::remove_dir_all(&here).unwrap();
    }
    std::fs::rename(&away, &here).unwrap();
    breaker(&node, false).await;

    site.facts(&order).await.until("completed").await;
    must_be_published(&site, &node, &order, FILM).await;
    assert!(site.subjects(names::DLQ, ">").await.is_empty());
    for done in manifest(&node, &order).await.tasks {
        assert_eq!(done.attempt, 1, "{}: an outage is not an attempt", done.task);
    }
}

/// Gives out again what was not renewed for this long: soon, but after a heartbeat.
const ACK_WAIT: Duration = Duration::from_secs(7);

async fn shorten_the_lease(site: &Site, group: Group) {
    let context = async_nats::jetstream::new(site.client().await);
    let stream = context.get_stream(names::ENCODE).await.unwrap();
    let name = names::encode_consumer(Lane::Normal, group);
    let config = stream.consumer_info(&name).await.unwrap().config;
    let mut config = pull::Config::try_from_consumer_config(config).unwrap();
    config.ack_wait = ACK_WAIT;
    stream.create_consumer(config).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_comes_back_cannot_fail_its_successors_task() {
    let Some(film) = media::made(FILM) else { return };
    let site = Site::start().await;
    let task = TaskId::new(Group::Main, 0);
    let zombie = site.node("zombie", &RETRIES).await;
    // Started before the lease is shortened, for no node starts with such a one, and kept from work.
    let roles = [("NODE__ROLES", "gateway,encode")];
    let successor = site.node("successor", &[&RETRIES[..], &roles].concat()).await;
    successor.stop();
    shorten_the_lease(&site, Group::Main).await;
    let mut claims = site.claims().await;
    let order = zombie.submit(&film).await;
    let of_task = |subject: &str| subject.ends_with(&format!(".{task}"));
    let taken = |subject: &str, claim: &Claim| of_task(subject) && claim.node == "zombie";
    claims.next("the first worker has it", taken).await;
    let codec = zombie.freeze_codec().await;
    zombie.stop();

    successor.go_on();
    let taken = |subject: &str, claim: &Claim| of_task(subject) && claim.node == "successor";
    let held = claims.next("the second worker has it", taken).await;
    let working = successor.freeze_codec().await;
    // When the first worker wakes, its codec is dead. It must not report that.
    codec.kill();
    zombie.go_on();
    zombie.logs("another worker holds the claim").await;
    assert!(site.subjects(names::DLQ, ">").await.is_empty());
    let now = site.bus.claim(&order, &task.into()).await.unwrap().unwrap().value;
    let fence = |claim: &Claim| (claim.attempt_id.clone(), claim.attempts, claim.released);
    assert_eq!(fence(&now), fence(&held), "the claim is the successor's still");
    drop(working);

    site.facts(&order).await.until("completed").await;
    must_be_published(&site, &successor, &order, FILM).await;
    assert!(site.subjects(names::DLQ, ">").await.is_empty());
}
