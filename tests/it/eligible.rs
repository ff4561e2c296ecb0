//! Tasks go only to nodes that have the labels they need, and wait for their hours.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jetreel_actors::ports::Survey as _;
use jetreel_domain::id::{Group, OrderId};
use serde_json::Value;

use crate::command::{Said, said};
use crate::harness::fake_codec::fixture;
use crate::harness::node::Node;
use crate::harness::site::{Site, awaited};
use crate::upload_to_publish::manifest;

const LABEL: &str = "big-memory";
/// The tasks of the picture need it.
const NEEDS: (&str, &str) = ("GROUPS__MAIN__NEEDS", LABEL);
/// Seconds of the source: a dozen tasks of the group `main`.
const SECONDS: u32 = 130;
const MINUTE: i64 = 60;

/// A node with a codec that encodes nothing, whose reports come every two seconds.
async fn node(site: &Site, name: &str, own: &[(&str, &str)]) -> Node {
    let codec = fixture("noop_codec");
    let mut settings = vec![
        ("CODEC__PATH", codec.to_str().unwrap()),
        ("CODEC__CONFINEMENT", "none"),
        ("RECONCILER__PASS_SECONDS", "1"),
        ("RECONCILER__LEASE_SECONDS", "5"),
        ("RECONCILER__BUILD_SECONDS", "40"),
    ];
    settings.extend_from_slice(own);
    site.node(name, &settings).await
}

/// A source for that codec.
fn film(site: &Site) -> PathBuf {
    let line =
        format!("jetreel-noop seconds={SECONDS} rate=25 width=426 height=240 key=2 sound=1\n");
    let mut bytes = Vec::new();
    for (kind, content) in
        [(b"ftyp", b"iso6\0\0\0\0iso6cmfc".as_slice()), (b"free", line.as_bytes())]
    {
        bytes.extend(u32::try_from(8 + content.len()).unwrap().to_be_bytes());
        bytes.extend(kind);
        bytes.extend(content);
    }
    let path = site.folder().join("film.mp4");
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Asks again until there is an answer.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let mut turns = tokio::time::interval(Duration::from_millis(100));
    let asking = async {
        loop {
            turns.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    awaited(what, asking).await
}

/// What a job waits for, as soon as it does.
async fn waits(node: &Node, order: &OrderId, reason: &str) -> Value {
    until("the job says what it waits for", async || {
        let job = node.json(&format!("/v1/jobs/{order}")).await;
        let waits = job["waits"].as_array().cloned().unwrap_or_default();
        waits.into_iter().find(|wait| wait["reason"] == reason)
    })
    .await
}

async fn metrics(node: &Node) -> String {
    String::from_utf8(node.bytes("/metrics").await).unwrap()
}

/// Names of the nodes that made the tasks of a group.
async fn workers(node: &Node, order: &OrderId, group: Group) -> BTreeSet<String> {
    let tasks = manifest(node, order).await.tasks.into_iter();
    tasks.filter(|task| task.task.group == group).map(|task| task.node).collect()
}

fn one(name: &str) -> BTreeSet<String> {
    [name.to_owned()].into()
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_needs_a_label_is_done_by_the_node_that_has_it() {
    let site = Site::start().await;
    let plain = node(&site, "plain", &[NEEDS]).await;
    let _able = node(&site, "able", &[NEEDS, ("NODE__LABELS", "ssd,big-memory")]).await;
    let order = plain.submit(&film(&site)).await;
    site.facts(&order).await.until("completed").await;
    assert_eq!(workers(&plain, &order, Group::Main).await, one("able"));
    let tasks = manifest(&plain, &order).await.tasks;
    assert!(tasks.iter().filter(|task| task.task.group == Group::Main).count() >= 8, "{tasks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_no_node_can_do_is_told_and_done_when_one_comes() {
    let site = Site::start().await;
    let plain = node(&site, "plain", &[NEEDS]).await;
    let order = plain.submit(&film(&site)).await;
    site.facts(&order).await.until("playable").await;

    let wait = waits(&plain, &order, "node").await;
    assert_eq!((&wait["needs"][0], &wait["groups"][0]), (&LABEL.into(), &"main".into()), "{wait}");
    assert_eq!(wait["message"], "Tasks of the group main wait for a node with big-memory.");
    let line = "jetreel_unservable{group=\"main\",lane=\"normal\"}";
    until("the metric says that tasks wait", async || {
        let text = metrics(&plain).await;
        let found = text.lines().find_map(|text| text.strip_prefix(line)).map(str::to_owned);
        found.filter(|count| count.trim().parse::<f64>().unwrap() > 0.0)
    })
    .await;
    let url = plain.url("");
    let Said { out, .. } = command(&site, &["status", &order.to_string(), "--url", &url]).await;
    assert!(
        out.contains("note: Tasks of the group main wait for a node with big-memory."),
        "{out}"
    );
    let Said { out, .. } = doctor(&site).await;
    assert!(out.contains("no running node has big-memory"), "{out}");
    assert!(out.contains("node.labels = [\"big-memory\"]"), "{out}");

    let _able =
        node(&site, "able", &[NEEDS, ("NODE__LABELS", LABEL), ("NODE__ROLES", "encode")]).await;
    site.facts(&order).await.until("completed").await;
    assert_eq!(workers(&plain, &order, Group::Main).await, one("able"));
    assert_eq!(site.bus.dead_letters().await.unwrap().letters, 0);
    until("the metric is gone", async || (!metrics(&plain).await.contains(line)).then_some(()))
        .await;
    let Said { out, .. } = doctor(&site).await;
    assert!(!out.contains("no running node has"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_disagree_are_told() {
    let site = Site::start().await;
    let one = node(&site, "one", &[NEEDS]).await;
    let _two = node(&site, "two", &[("NODE__LABELS", "gpu")]).await;
    one.logs("other nodes have other settings of lanes, groups or hours").await;
    let told = doctor(&site).await;
    assert!(told.out.contains("FAIL  rules: nodes have different settings"), "{}", told.out);
    assert!(told.out.contains("one have groups.main.needs = big-memory"), "{}", told.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_waits_for_its_hours_and_first_seconds_do_not() {
    let site = Site::start().await;
    // The next whole minute that is some way off.
    let opens = (now() + MINUTE + 40) / MINUTE * MINUTE;
    let window = format!("{}-{}", clock(opens), clock(opens + 12 * 60 * MINUTE));
    let settings = [
        ("LANES__NORMAL__HOURS", window.as_str()),
        ("LANES__NORMAL__FIRST_SECONDS_ALWAYS", "true"),
    ];
    let node = node(&site, "one", &settings).await;
    let mut written = site.written().await;
    let order = node.submit(&film(&site)).await;
    site.facts(&order).await.until("playable").await;
    let wait = waits(&node, &order, "hours").await;
    assert_eq!((&wait["groups"][0], &wait["until"]), (&"main".into(), &rfc3339(opens)), "{wait}");
    let Said { out, .. } = doctor(&site).await;
    assert!(out.contains("wait for the hours of the lane normal, until"), "{out}");
    until("the metric says when the lane opens", async || {
        let line = "jetreel_queue_opens_timestamp_seconds{group=\"main\",lane=\"normal\"} ";
        let text = metrics(&node).await;
        text.contains(&format!("{line}{opens}")).then_some(())
    })
    .await;
    let early = site.ledger(&order).await;
    let early = early.iter().any(|entry| !entry.task.group.is_first());
    assert!(!early || now() >= opens);

    let bulk = written.next("a task of the bulk", |_, entry| !entry.task.group.is_first()).await;
    assert!(now() >= opens, "{} is early", bulk.task);
    site.facts(&order).await.until("completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_outside_its_hours_is_ready_and_leaves_tasks_to_others() {
    let site = Site::start().await;
    let days = ["thu", "fri", "sat", "sun", "mon", "tue", "wed"];
    let later = days[usize::try_from(now() / 86_400 + 3).unwrap() % days.len()];
    let window = format!("{later} 00:00-24:00");
    let away = node(&site, "away", &[("NODE__HOURS", window.as_str())]).await;
    let order = away.submit(&film(&site)).await;
    let wait = waits(&away, &order, "hours").await;
    let message = wait["message"].as_str().unwrap();
    assert!(message.contains("wait for the hours of the nodes, until"), "{message}");
    assert!(wait["until"].is_string(), "{wait}");
    assert_eq!(away.get("/readyz").await.status(), 200);
    assert!(site.ledger(&order).await.is_empty());
    let _other = node(&site, "other", &[("NODE__ROLES", "encode")]).await;
    site.facts(&order).await.until("completed").await;
    for group in [Group::First, Group::Audio, Group::Main] {
        assert_eq!(workers(&away, &order, group).await, one("other"), "{group}");
    }
}

/// A wall-clock time in UTC.
fn clock(at: i64) -> String {
    let minute = at / MINUTE % (24 * 60);
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

fn rfc3339(at: i64) -> Value {
    jetreel::http::rfc3339(at).into()
}

async fn command(site: &Site, words: &[&str]) -> Said {
    let (folder, words) = (site.folder().to_owned(), words.iter().map(|w| (*w).to_owned()));
    let words: Vec<String> = words.collect();
    let run = move || said(&folder, &words.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// `jetreel doctor` with the settings of the site.
async fn doctor(site: &Site) -> Said {
    let settings = site.settings().iter().map(|(key, value)| {
        let key = key.trim_start_matches("JETREEL__").to_lowercase();
        format!("{}={value}", key.replace("__", ".").replace('_', "-"))
    });
    let mut words = vec!["doctor".to_owned()];
    words.extend(settings.flat_map(|setting| ["--set".to_owned(), setting]));
    for own in
        ["reconciler.pass-seconds=1", "reconciler.lease-seconds=5", "reconciler.build-seconds=40"]
    {
        words.extend(["--set".to_owned(), own.to_owned()]);
    }
    command(site, &words.iter().map(String::as_str).collect::<Vec<_>>()).await
}
