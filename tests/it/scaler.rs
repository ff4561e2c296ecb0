//! The scaler: its hook is called with the right numbers until it succeeds, node processes come and go with the load, and none is left.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jetreel::hook::{CommandHook, HttpHook, UrlHook};
use jetreel::locals::{LocalOptions, LocalProcesses, ROLES};
use jetreel_actors::ports::{Survey as _, Wishes as _};
use jetreel_actors::scale::LocalArgs;
use jetreel_domain::id::OrderId;
use jetreel_domain::scale::demand::Demand;
use jetreel_domain::scale::locals::Bounds;
use jetreel_domain::scale::wish::Wish;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::sync::watch;

use crate::clips::jetreel;
use crate::harness::eventually::eventually;
use crate::harness::node::Node;
use crate::harness::noop;
use crate::harness::pager::Pager;
use crate::harness::scaling::{Running, demand, nodes_of, policy};
use crate::harness::site::{Site, awaited};
use crate::upload_to_publish::manifest;

const CALL_WAIT: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_url_gets_each_new_number_until_it_takes_it_and_the_newest_wins() {
    let site = Site::start().await;
    let mut pager = Pager::start().await;
    let url = pager.url("scale?key=hush").parse().unwrap();
    let hook = UrlHook::new(HttpHook::new(url, Some("Bearer b"), CALL_WAIT).unwrap());
    let scaler = Running::start(&site, policy(50), |args| args.hook = Some(Arc::new(hook))).await;

    scaler.tell(Some(demand(0.0, 40)));
    let first = pager.next().await;
    assert_eq!(first.header("authorization"), "Bearer b");
    assert_eq!(first.header("idempotency-key"), first.body["key"].as_str().unwrap());
    // 40 encode seconds within 10 s on nodes that do one a second.
    assert_eq!((&first.body["event"], first.body["nodes"].as_u64()), (&"scale".into(), Some(4)));
    assert_eq!(first.body["unfinished_tasks"], 40);
    assert_eq!(first.body["decided_by"], "scaler");
    let again = pager.next().await;
    assert_eq!(again.body, first.body, "the same call, because the hook refused it");

    scaler.tell(Some(demand(1.0, 400)));
    pager.take();
    let newest = loop {
        let call = pager.next().await;
        if call.body["nodes"] == 40 {
            break call.body;
        }
        assert_eq!(call.body["key"], first.body["key"]);
    };
    assert_eq!((&newest["previous_nodes"], &newest["change"]), (&4.into(), &"out".into()));
    scaler.reports("jetreel_scaler_hook_calls_total{result=\"taken\"} 1").await;
    scaler.reports("jetreel_wanted_nodes 40").await;
    scaler.reports("jetreel_scaler_need_nodes 40").await;

    // The same number is no reason for a call. A new leader is one, and it begins with the number that was wanted last.
    scaler.tell(Some(demand(2.0, 401)));
    scaler.reports("jetreel_scaler_need_nodes 40.1").await;
    scaler.tell(None);
    scaler.reports_no("jetreel_wanted_nodes").await;
    scaler.tell(Some(demand(3.0, 395)));
    let repeated = pager.next().await.body;
    assert_eq!((&repeated["nodes"], &repeated["previous_nodes"]), (&40.into(), &40.into()));
    assert_ne!(repeated["key"], newest["key"]);
    assert_eq!(site.bus.wish().await.unwrap().unwrap().value.nodes, 40);
    scaler.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_gets_the_numbers_and_runs_again_after_a_failure() {
    let site = Site::start().await;
    let (calls, ready) = (site.folder().join("calls"), site.folder().join("ready"));
    let line = format!(
        "echo \"$JETREEL_PREVIOUS_NODES>$JETREEL_WANTED_NODES $(cat)\" >> {}; test -e {}",
        calls.display(),
        ready.display()
    );
    let hook = CommandHook::new(line, CALL_WAIT);
    let scaler = Running::start(&site, policy(50), |args| args.hook = Some(Arc::new(hook))).await;
    let said = || std::fs::read_to_string(&calls).unwrap_or_default();
    scaler.tell(Some(demand(0.0, 40)));
    eventually("the command runs twice", || said().lines().count() >= 2).await;
    std::fs::write(ready, b"").unwrap();
    scaler.reports("jetreel_scaler_hook_calls_total{result=\"taken\"} 1").await;
    assert!(said().lines().count() >= 3, "{}", said());
    for line in said().lines() {
        let (numbers, document) = line.split_once(' ').unwrap();
        assert_eq!(numbers, "0>4", "no node had reported itself");
        let call: Value = serde_json::from_str(document).unwrap();
        assert_eq!((&call["nodes"], &call["backlog_seconds"]), (&4.into(), &40.0.into()));
    }
    scaler.drain().await;
}

/// Local nodes at a site, started as the product starts them.
fn local_args(site: &Site, folder: PathBuf, bounds: Bounds, own: &[(&str, &str)]) -> LocalArgs {
    let key = |name: &str| {
        name.trim_start_matches("JETREEL__").to_lowercase().replace("__", ".").replace('_', "-")
    };
    let settings = site.settings().iter().map(|(name, value)| (key(name), value.clone()));
    let own = own.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let options = LocalOptions {
        program: jetreel(),
        arguments: Vec::new(),
        broker: site.nats().url().to_owned(),
        own: settings.filter(|(key, _)| key != "nats.url").chain(own).collect(),
        node: "scaler".to_owned(),
        folder,
    };
    let limit = Duration::from_secs(30);
    LocalArgs { bounds, limit, nodes: Arc::new(LocalProcesses::new(options)) }
}

const UPLOADS: usize = 24;
/// Length of a recording in seconds: five tasks.
const SECONDS: u32 = 40;
const TASKS: u64 = 5;

/// The load of a burst, from the uploads that are not completed.
async fn tell_load(open: watch::Receiver<usize>, tell: watch::Sender<Option<Demand>>) {
    let begun = Instant::now();
    let mut reads = tokio::time::interval(Duration::from_millis(200));
    loop {
        reads.tick().await;
        let tasks = *open.borrow() as u64 * TASKS;
        tell.send_replace(Some(demand(begun.elapsed().as_secs_f64(), tasks)));
    }
}

/// Uploads a burst, and waits until all of it is completed.
async fn burst(site: &Site, gateway: &Node, open: &watch::Sender<usize>) -> Vec<OrderId> {
    let mut orders = Vec::new();
    for _ in 0..UPLOADS {
        let answer = gateway.post(noop::source(SECONDS)).await;
        assert_eq!(answer.status(), reqwest::StatusCode::ACCEPTED);
        let job = answer.headers()["location"].to_str().unwrap().to_owned();
        orders.push(job.strip_prefix("/v1/jobs/").unwrap().parse::<OrderId>().unwrap());
        open.send_modify(|open| *open += 1);
    }
    for order in &orders {
        site.facts(order).await.until("completed").await;
        open.send_modify(|open| *open -= 1);
    }
    orders
}

#[tokio::test(flavor = "multi_thread")]
async fn local_nodes_grow_with_a_burst_finish_it_and_shrink_again() {
    let site = Site::start().await;
    let codec = noop::program(site.folder(), 20).display().to_string();
    let gateway = [
        ("NODE__ROLES", "gateway,deadletter,reconciler"),
        ("CODEC__PATH", codec.as_str()),
        ("CODEC__CONFINEMENT", "none"),
    ];
    let gateway = site.node("gateway", &gateway).await;
    let folder = site.folder().join("local");
    let own = [
        ("node.roles", ROLES),
        ("node.drain-seconds", "10"),
        ("codec.path", codec.as_str()),
        ("codec.confinement", "none"),
        ("plan.images", "false"),
        ("plan.package", "false"),
    ];
    let bounds = Bounds { min: 1, max: 3 };
    let locals = local_args(&site, folder.clone(), bounds, &own);
    let scaler = Running::start(&site, policy(10), |args| args.locals = Some(locals)).await;
    scaler.reports("jetreel_scaler_local_nodes{state=\"running\"} 1").await;

    let (open, left) = watch::channel(0);
    let orders = tokio::select! {
        () = tell_load(left.clone(), scaler.demand()) => unreachable!("it goes on"),
        (orders, ()) = async {
            tokio::join!(
                burst(&site, &gateway, &open),
                scaler.reports("jetreel_scaler_local_nodes{state=\"running\"} 3"),
            )
        } => orders,
    };
    let mut workers = BTreeSet::new();
    for order in &orders {
        let facts = site.facts(order).await.until("completed").await;
        let completed = facts.iter().filter(|told| told.body.fact == "completed").count();
        assert_eq!(completed, 1, "{order}");
        let manifest = manifest(&gateway, order).await;
        site.must_hold_all_of(&manifest).await;
        workers.extend(manifest.tasks.into_iter().map(|task| task.node));
    }
    let expected = (1..=3).map(|number| format!("scaler-local-{number}"));
    assert_eq!(workers, expected.collect(), "all local nodes worked, and nothing else");

    tokio::select! {
        () = tell_load(left, scaler.demand()) => unreachable!("it goes on"),
        () = shrunk(&scaler, &folder) => {}
    }
    scaler.drain().await;
    assert_eq!(nodes_of(&folder), Vec::<i32>::new(), "no process is left");
    assert_eq!(site.bus.dead_letters().await.unwrap().letters, 0);
}

async fn shrunk(scaler: &Running, folder: &Path) {
    for line in [
        "jetreel_wanted_nodes 1",
        "jetreel_scaler_local_nodes{state=\"running\"} 1",
        "jetreel_scaler_local_nodes{state=\"draining\"} 0",
    ] {
        scaler.reports(line).await;
    }
    assert_eq!(nodes_of(folder).len(), 1);
}

/// A node with the role scaler and two local nodes, as an operator starts it.
async fn with_two_local_nodes(site: &Site, folder: &Path) -> Node {
    let own = [
        ("NODE__ROLES", "scaler"),
        ("NODE__DRAIN_SECONDS", "16"),
        ("SCALER__LOCAL__MIN", "2"),
        ("SCALER__LOCAL__MAX", "3"),
        ("SCALER__LOCAL__FOLDER", folder.to_str().unwrap()),
    ];
    let node = site.node("first", &own).await;
    eventually("two local nodes run", || {
        node.log().matches("the node runs without a gateway").count() == 3
    })
    .await;
    assert_eq!(nodes_of(folder).len(), 2);
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_scaler_leaves_no_local_node() {
    let site = Site::start().await;
    let folder = site.folder().join("local");
    let mut node = with_two_local_nodes(&site, &folder).await;
    node.kill();
    eventually("no local node is left", || nodes_of(&folder).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_node_that_died_is_replaced_and_all_end_with_a_scaler_that_is_stopped() {
    let site = Site::start().await;
    let folder = site.folder().join("local");
    let mut node = with_two_local_nodes(&site, &folder).await;
    let before = nodes_of(&folder);
    kill_process(Pid::from_raw(before[0]).unwrap(), Signal::KILL).unwrap();
    eventually("another one takes its place", || {
        let now = nodes_of(&folder);
        now.len() == 2 && !now.contains(&before[0])
    })
    .await;
    node.terminate();
    assert_eq!(node.ended().await, Some(0), "{}", node.log());
    assert_eq!(nodes_of(&folder), Vec::<i32>::new());
    assert!(!node.log().contains("killed"), "{}", node.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_opens_the_slots_that_are_wanted_of_it() {
    let site = Site::start().await;
    let own = [
        ("NODE__ROLES", "encode"),
        ("NODE__SLOTS", "2"),
        ("SCALER__SIZE_SLOTS", "true"),
        ("LOG__FORMAT", "json"),
    ];
    let wish = |slots| Wish { v: 1, nodes: 1, slots, decided_by: "test".to_owned() };
    site.bus.tell_wish(&wish(1)).await.unwrap();
    let node = site.node("one", &own).await;
    let opened = || {
        let log = node.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let open = lines.filter(|line| line["message"] == "slots that may take tasks");
        open.map(|line| line["open"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    eventually("one slot is open", || opened() == [2, 1]).await;
    site.bus.tell_wish(&wish(100)).await.unwrap();
    // Never more than cores.
    let most = std::thread::available_parallelism().unwrap().get().min(2) as u64;
    awaited("its slots are open again", async {
        eventually("more slots", || opened().last() == Some(&most)).await;
    })
    .await;
}
