//! Processes that die in the middle of their work: nothing that was finished is done again, and nothing is lost.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use jetreel_actors::ports::Videos;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jetreel_domain::delivery::claim::Claim;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::{Group, OrderId, TaskId};
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::ledger::Entry;
use jetreel_domain::output::manifest::Manifest;
use jetreel_domain::plan::Class;

use crate::clips::jetreel;
use crate::harness::eventually::eventually_so;
use crate::harness::media::{self, FILM, Recipe, SEQUENTIAL};
use crate::harness::node::{Frozen, Node};
use crate::harness::site::{Site, Watched};
use crate::upload_to_publish::{manifest, must_be_published};

/// Retry delays of a task whose codec crashed.
const RETRIES: (&str, &str) = ("RETRY__ENCODE", "5s, 1s, 1s");
/// Not before this, what jitter and clock may lose left out.
const AGAIN_AFTER: Duration = Duration::from_millis(4400);
/// Work of a dead node continues within 30 s; a busy machine may take a while to write the claim.
const RESUMED_WITHIN: Duration = Duration::from_secs(35);

/// Who wrote a task or a part of one.
type Writers = BTreeMap<(TaskId, Option<u32>), (String, String, u32)>;

fn writers_of(entries: &[Entry]) -> Writers {
    let of = |entry: &Entry| {
        let by = (entry.node.clone(), entry.writer.clone(), entry.attempt);
        ((entry.task, entry.part), by)
    };
    entries.iter().map(of).collect()
}

fn writers_in(manifest: &Manifest) -> Writers {
    let tasks = manifest.tasks.iter();
    tasks
        .map(|task| {
            let by = (task.node.clone(), task.writer.clone(), task.attempt);
            ((task.task, task.part), by)
        })
        .collect()
}

/// Failures of the attempts at a task, oldest first.
fn errors_of(claim: &Claim) -> Vec<String> {
    claim.history.iter().filter_map(|attempt| attempt.error.clone()).collect()
}

/// Whether a claim was written for that task.
fn is_for(subject: &str, task: TaskId) -> bool {
    subject.ends_with(&format!(".{task}"))
}

/// The claim that begins an attempt at a task.
pub(crate) async fn claimed(claims: &mut Watched<Claim>, task: TaskId, attempt: u32) -> Claim {
    let what = format!("attempt {attempt} at {task}");
    let wanted = |subject: &str, claim: &Claim| {
        is_for(subject, task) && !claim.released && claim.attempts == attempt
    };
    claims.next(&what, wanted).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_codec_costs_one_attempt() {
    let Some(film) = media::made(FILM) else { return };
    let site = Site::start().await;
    let node = site.node("one", &[RETRIES]).await;
    let mut claims = site.claims().await;
    let order = node.submit(&film).await;
    let task = TaskId::new(Group::Main, 0);
    claimed(&mut claims, task, 1).await;
    node.freeze_codec().await.kill();

    let given_back = |subject: &str, claim: &Claim| is_for(subject, task) && claim.released;
    let given_back = claims.next("the task is handed back", given_back).await;
    let since = Instant::now();
    assert_eq!((given_back.attempts, errors_of(&given_back)), (1, vec!["codec-signal".to_owned()]));
    let again = claimed(&mut claims, task, 2).await;
    assert!(since.elapsed() >= AGAIN_AFTER, "{:?}", since.elapsed());
    assert_eq!(again.sequence, given_back.sequence, "the same message");

    site.facts(&order).await.until("completed").await;
    must_be_published(&site, &node, &order, FILM).await;
    for done in manifest(&node, &order).await.tasks {
        assert_eq!(done.attempt, if done.task == task { 2 } else { 1 }, "{}", done.task);
    }
}

/// A codec program that says what it is, and dies by a signal whenever it is given work.
fn dying_codec(site: &Site) -> PathBuf {
    let place = site.folder().join("dying-codec");
    let real = jetreel().with_file_name("jetreel-codec");
    let asked = site.folder().join("asked");
    let script = format!(
        "#!/bin/sh\n[ -e '{asked}' ] && kill -ABRT $$\n: > '{asked}'\nexec '{real}'\n",
        asked = asked.display(),
        real = real.display(),
    );
    std::fs::write(&place, script).unwrap();
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn a_codec_that_always_crashes_fails_the_job() {
    let Some(film) = media::made(FILM) else { return };
    let site = Site::start().await;
    let roles = ("NODE__ROLES", "gateway,ingest,publish");
    let node = site.node("front", &[roles]).await;
    let codec = dying_codec(&site);
    let codec = ("CODEC__PATH", codec.to_str().unwrap());
    let _worker = site.node("worker", &[("NODE__ROLES", "encode"), RETRIES, codec]).await;
    let mut claims = site.claims().await;
    let order = node.submit(&film).await;

    let told = site.facts(&order).await.until("failed-1").await;
    assert_eq!(told.len(), 1, "nothing else became known");
    let reason = told[0].body.error.clone().unwrap();
    assert_eq!(reason.code, "codec-signal");
    let job = node.json(&format!("/v1/jobs/{order}")).await;
    assert_eq!(
        (job["status"].as_str(), job["error"]["code"].as_str()),
        (Some("FAILED"), Some("codec-signal"))
    );
    assert_eq!(job["retry_available"], true);

    let spent = |_: &str, claim: &Claim| claim.released && claim.attempts == 4;
    let spent = claims.next("a task is out of attempts", spent).await;
    assert_eq!(errors_of(&spent), ["codec-signal"; 4]);
    let state = site.bus.video(&order.video).await.unwrap().unwrap().value;
    let dead = state.orders[0].dead.keys();
    let dead: Vec<TaskId> = dead.map(|unit| unit.task().unwrap()).collect();
    assert!(!dead.is_empty());
    eventually_so("no dead task is queued", async || {
        let queued = dead.iter().map(|task| subject::encode(Lane::Normal, &order, *task));
        let queued: Vec<String> = queued.collect();
        site.subjects("ENCODE", ">").await.iter().all(|subject| !queued.contains(subject))
    })
    .await;
    assert!(site.ledger(&order).await.is_empty());
}

/// Holds a node in the middle of `task`, kills it, lets another take over; gives what was finished before, and the manifest.
async fn node_dies_at(
    site: &Site,
    from: Recipe,
    task: TaskId,
    hold: impl AsyncFnOnce(&Node, &mut Watched<Claim>) -> Frozen,
) -> Option<(Writers, Manifest)> {
    let film = media::made(from)?;
    let mut first = site.node("first", &[]).await;
    let mut claims = site.claims().await;
    let order: OrderId = first.submit(&film).await;
    let held = hold(&first, &mut claims).await;
    let before = writers_of(&site.ledger(&order).await);
    assert!(!before.contains_key(&(task, None)), "{task} was finished too soon");
    held.must_hold();
    first.kill();
    let killed = Instant::now();

    let mut written = site.written().await;
    let second = site.node("second", &[]).await;
    let again = claimed(&mut claims, task, 2).await;
    assert!(killed.elapsed() <= RESUMED_WITHIN, "resumed after {:?}", killed.elapsed());
    assert_eq!(again.node, "second");
    site.facts(&order).await.until("completed").await;
    must_be_published(site, &second, &order, from).await;
    let manifest = manifest(&second, &order).await;
    let (written, after) = (writers_of(&written.so_far().await), writers_in(&manifest));
    for (what, by) in &before {
        assert_eq!(after.get(what), Some(by), "{what:?} is another's now");
        assert!(!written.contains_key(what), "{what:?} was done again, in vain");
    }
    assert!(!written.is_empty());
    Some((before, manifest))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_loses_no_more_than_the_task_in_hand() {
    let site = Site::start().await;
    let task = TaskId::new(Group::Main, 1);
    let hold = async |node: &Node, claims: &mut Watched<Claim>| {
        claimed(claims, task, 1).await;
        node.freeze_codec().await
    };
    let Some((before, manifest)) = node_dies_at(&site, FILM, task, hold).await else { return };
    assert_eq!(manifest.source.class, Class::A);
    let after = writers_in(&manifest);
    assert!(before.contains_key(&(TaskId::new(Group::Main, 0), None)), "{before:?}");
    for (what, (node, _, attempt)) in after.iter().filter(|(what, _)| !before.contains_key(what)) {
        let expected = if *what == (task, None) { 2 } else { 1 };
        assert_eq!((node.as_str(), *attempt), ("second", expected), "{what:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_loses_no_finished_part_of_a_sequential_task() {
    let site = Site::start().await;
    let task = TaskId::new(Group::Main, 0);
    let mut written = site.written().await;
    let hold = async |node: &Node, _: &mut Watched<Claim>| {
        let first_part = |_: &str, entry: &Entry| entry.task == task && entry.part == Some(0);
        written.next("the first part", first_part).await;
        node.freeze_codec().await
    };
    let died = node_dies_at(&site, SEQUENTIAL, task, hold).await;
    let Some((before, manifest)) = died else { return };
    assert_eq!(manifest.source.class, Class::B);
    let after = writers_in(&manifest);
    let parts = |writers: &Writers| writers.keys().filter(|what| what.0 == task).count();
    assert!((1..manifest.chunks.len()).contains(&parts(&before)), "{before:?}");
    assert_eq!(parts(&after), manifest.chunks.len() + 1);
    assert_eq!(after[&(task, None)].0, "second");
}
