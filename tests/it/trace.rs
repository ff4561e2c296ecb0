//! One trace from an upload to its announcements, over nodes, attempts, deaths and replays; and a collector that takes nothing.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeSet;

use async_nats::jetstream;
use jetreel::bus::names;
use jetreel_actors::ports::DeadLetters as _;
use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::delivery::trace::{HEADER, TraceParent};
use jetreel_domain::id::{OrderId, TaskId};
use reqwest::StatusCode;
use serde_json::Value;

use crate::harness::collector::{Collector, Span};
use crate::harness::eventually::eventually_so;
use crate::harness::media::{self, ODD_SIZED};
use crate::harness::node::Node;
use crate::harness::poison::Poison;
use crate::harness::site::Site;
use crate::upload_to_publish::manifest;

/// The trace of a client, and its span that sends the upload.
const CLIENT: TraceParent = TraceParent { trace: 0xfeed_beef, span: 0xcafe, sampled: true };
/// Spans leave a node after this many milliseconds.
const SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "100");

const SERVER: i64 = 2;
const PRODUCER: i64 = 4;
const CONSUMER: i64 = 5;

/// Starts a node with settings of its own and variables of the environment.
async fn node(site: &Site, name: &str, settings: &[(&str, &str)], more: &[(&str, &str)]) -> Node {
    let mut all = site.settings().to_vec();
    all.push(("JETREEL__NODE__NAME".to_owned(), name.to_owned()));
    all.extend(
        settings.iter().map(|(key, value)| (format!("JETREEL__{key}"), (*value).to_owned())),
    );
    all.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    Node::start(site.folder(), &all).await
}

/// Uploads a file as a client that traces.
async fn submit(node: &Node, file: &std::path::Path) -> OrderId {
    let request = reqwest::Client::new().post(node.url("/v1/videos"));
    let request = request.header(HEADER, CLIENT.to_string()).body(std::fs::read(file).unwrap());
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let job = answer.headers()["location"].to_str().unwrap().to_owned();
    job.strip_prefix("/v1/jobs/").unwrap().parse().unwrap()
}

fn trace_id() -> String {
    format!("{:032x}", CLIENT.trace)
}

fn client_span() -> String {
    format!("{:016x}", CLIENT.span)
}

/// The spans of a trace, with lookups that must succeed.
struct Trace(Vec<Span>);

impl Trace {
    fn all(&self, name: &str) -> Vec<&Span> {
        self.0.iter().filter(|span| span.name == name).collect()
    }

    fn one(&self, name: &str) -> &Span {
        let found = self.all(name);
        assert_eq!(found.len(), 1, "{name}: {found:#?}");
        found[0]
    }

    fn parent(&self, of: &Span) -> &Span {
        let mut found = self.0.iter().filter(|span| span.id == of.parent);
        let parent = found.next().unwrap_or_else(|| panic!("no parent: {of:#?}"));
        assert!(found.next().is_none(), "an id is one span's");
        parent
    }

    /// Attempts at a task, by number.
    fn attempts(&self, task: TaskId) -> Vec<&Span> {
        let mut found = self.all("process ENCODE");
        found.retain(|span| span.get("jetreel.task") == task.to_string());
        found.sort_by_key(|span| span.get("jetreel.attempt").parse::<u32>().unwrap_or(u32::MAX));
        found
    }
}

fn announces(span: &Span, fact: &str) -> bool {
    let subject = span.get("messaging.destination.name");
    span.name == "send PROGRESS"
        && span.get("jetreel.taken").is_empty()
        && subject.rsplit('.').next() == Some(fact)
}

async fn two_nodes_make_one_trace(collector: Collector) {
    let Some(film) = media::made(ODD_SIZED) else { return };
    let site = Site::start().await;
    let url = collector.url();
    let endpoint = ("TELEMETRY__OTLP_ENDPOINT", url.as_str());
    let roles = ("NODE__ROLES", "gateway,ingest,publish,deadletter,reconciler");
    let front = node(&site, "front", &[endpoint, roles], &[SOON]).await;
    let worker = node(&site, "worker", &[endpoint, ("NODE__ROLES", "encode")], &[SOON]).await;
    let order = submit(&front, &film).await;
    site.facts(&order).await.until("completed").await;
    let manifest = manifest(&front, &order).await;
    let tasks: BTreeSet<TaskId> = manifest.tasks.iter().map(|task| task.task).collect();
    assert!(tasks.len() >= 3, "{tasks:?}");

    let client = client_span();
    let all_done = |spans: &[Span]| {
        let done = |task: &TaskId| {
            let task = task.to_string();
            let done =
                |span: &Span| span.name == "process ENCODE" && span.get("jetreel.task") == task;
            spans.iter().any(done)
        };
        spans.iter().any(|span| announces(span, "completed")) && tasks.iter().all(done)
    };
    let trace = Trace(collector.whole(&[&client], all_done).await);
    let ids: BTreeSet<&str> = trace.0.iter().map(|span| span.trace.as_str()).collect();
    assert_eq!(ids, BTreeSet::from([trace_id().as_str()]), "one trace");
    let services = trace.0.iter().map(|span| span.resource["service.name"].as_str());
    assert_eq!(services.collect::<BTreeSet<_>>(), BTreeSet::from(["jetreel"]));

    must_begin_with_the_upload(&trace, &order, &client);
    for task in &tasks {
        must_be_done_once(&trace, &order, *task);
    }
    must_be_announced(&trace, &manifest.tiers.iter().map(|tier| &*tier.name).collect::<Vec<_>>());
    must_reach_subscribers(&site, &order).await;
    must_be_logged(&worker, &order, &tasks);
}

fn must_begin_with_the_upload(trace: &Trace, order: &OrderId, client: &str) {
    let upload = trace.one("POST /v1/videos");
    assert_eq!((&*upload.parent, upload.kind, upload.node()), (client, SERVER, "front"));
    assert_eq!(upload.get("http.response.status_code"), "202");
    assert_eq!(upload.get("jetreel.video"), order.video.as_str());
    let ingest = trace.one("process UPLOADS");
    let sent = trace.parent(ingest);
    assert_eq!((&*sent.name, &sent.parent), ("send UPLOADS", &upload.id));
    assert_eq!(trace.parent(trace.one("probe")), ingest);
}

fn must_be_done_once(trace: &Trace, order: &OrderId, task: TaskId) {
    let attempts = trace.attempts(task);
    let [done] = attempts[..] else { panic!("{task}: {attempts:#?}") };
    assert_eq!((done.kind, done.node(), done.failed), (CONSUMER, "worker", false));
    for (name, value) in [
        ("jetreel.attempt", "1"),
        ("jetreel.outcome", "done"),
        ("jetreel.stage", "encode"),
        ("jetreel.order", &order.to_string()),
        ("messaging.system", "nats"),
        ("messaging.operation.type", "process"),
    ] {
        assert_eq!(done.get(name), value, "{name} of {task}");
    }
    let released = trace.parent(done);
    assert_eq!(
        (&*released.name, released.kind, released.node()),
        ("send ENCODE", PRODUCER, "front")
    );
    let subject = released.get("messaging.destination.name");
    assert_eq!(subject, done.get("messaging.destination.name"));
    assert!(subject.ends_with(&task.to_string()), "{subject}");
    let by = trace.parent(released);
    assert!(
        ["process UPLOADS", "process PUBLISH", "evaluate"].contains(&&*by.name),
        "{task}: {by:#?}"
    );
    let steps = trace.all("codec");
    let own = steps.iter().filter(|span| span.parent == done.id);
    assert_eq!(own.count(), 1, "{task}: its codec process");
    let results = trace.all("send LEDGER");
    let results: Vec<_> = results
        .iter()
        .filter(|span| {
            span.parent == done.id
                && span.get("messaging.destination.name").ends_with(&format!(".{task}"))
        })
        .collect();
    assert_eq!(results.len(), 1, "{task}: its entry");
}

fn must_be_announced(trace: &Trace, tiers: &[&str]) {
    let published = trace.one("publish");
    let evaluation = trace.parent(published);
    assert_eq!(evaluation.node(), "front");
    let by = (&*evaluation.name, &*trace.parent(evaluation).name);
    // An order that is complete at its turn asks for an evaluation.
    assert!(
        [("evaluate", "send LEDGER"), ("process PUBLISH", "send PUBLISH")].contains(&by),
        "{by:?}"
    );
    assert_eq!(tiers.len(), 2, "{tiers:?}");
    let facts = tiers.iter().map(|tier| format!("tier-{tier}"));
    for fact in facts.chain(["playable".to_owned(), "completed".to_owned()]) {
        let sent: Vec<_> = trace.0.iter().filter(|span| announces(span, &fact)).collect();
        let [sent] = sent[..] else { panic!("{fact}: {sent:#?}") };
        assert_eq!(sent.kind, PRODUCER, "{fact}");
        assert!(["evaluate", "process PUBLISH"].contains(&&*trace.parent(sent).name), "{fact}");
    }
}

/// A subscriber can continue the trace.
async fn must_reach_subscribers(site: &Site, order: &OrderId) {
    let context = jetstream::new(site.client().await);
    let stream = context.get_stream(names::PROGRESS).await.unwrap();
    let of_video = jetreel_domain::delivery::subject::progress_filter(&order.video);
    let message = stream.get_last_raw_message_by_subject(&of_video).await.unwrap();
    let header = message.headers.get(HEADER).unwrap().as_str().parse::<TraceParent>().unwrap();
    assert_eq!((header.trace, header.sampled), (CLIENT.trace, true));
}

/// Lines of the log as JSON.
fn lines(node: &Node) -> Vec<Value> {
    node.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn must_be_logged(worker: &Node, order: &OrderId, tasks: &BTreeSet<TaskId>) {
    let lines = lines(worker);
    for task in tasks {
        for message in ["task started", "task finished"] {
            let of_task =
                |line: &&Value| line["message"] == message && line["task"] == task.to_string();
            let line = lines.iter().find(of_task).unwrap_or_else(|| panic!("{message} of {task}"));
            let wanted = [
                ("trace_id", Value::from(trace_id())),
                ("video", order.video.as_str().into()),
                ("order", order.to_string().into()),
                ("stage", "encode".into()),
                ("attempt", 1.into()),
            ];
            for (name, value) in wanted {
                assert_eq!(line[name], value, "{name} in {line}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_make_one_trace_of_a_video() {
    two_nodes_make_one_trace(Collector::here().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_opentelemetry_collector_takes_the_trace() {
    let Some(collector) = Collector::otelcol().await else { return };
    two_nodes_make_one_trace(collector).await;
}

/// A task that dies of every attempt, and is brought back by hand, by a client that knows nothing of traces.
#[tokio::test(flavor = "multi_thread")]
async fn attempts_and_a_replay_belong_to_the_trace() {
    let Some(film) = media::made(ODD_SIZED) else { return };
    let (site, collector) = (Site::start().await, Collector::here().await);
    let poison = Poison::new(site.folder());
    let (codec, url) = (poison.codec(), collector.url());
    let settings = [("RETRY__ENCODE", "100ms, 100ms"), ("CODEC__PATH", codec.as_str())];
    let settings = [&settings[..], &[("TELEMETRY__SERVICE_NAME", "films")]].concat();
    let node = node(&site, "one", &settings, &[SOON, ("OTEL_EXPORTER_OTLP_ENDPOINT", &url)]).await;
    poison.arm("first_chunk: 1,");
    let order = submit(&node, &film).await;
    let mut facts = site.facts(&order).await;
    facts.until("failed-1").await;
    poison.disarm();
    let buried = site.bus.letters(0, 100).await.unwrap().remove(0);
    let task = buried.letter.task.task().unwrap();
    let kept = TraceParent::in_headers(&buried.letter.headers).unwrap();
    assert_eq!(kept.trace, CLIENT.trace, "the letter belongs to the trace");

    let (context, letter) = (jetstream::new(site.client().await), &buried.letter);
    // The queue takes one message of a task, and the dead one is removed a moment after the fact.
    eventually_so("the message is queued by hand", async || {
        let published = context.publish(letter.subject.clone(), letter.body.clone().into()).await;
        published.unwrap().await.is_ok()
    })
    .await;
    facts.until("completed").await;

    let is_done = |spans: &[Span]| spans.iter().any(|span| announces(span, "completed"));
    let trace = Trace(collector.whole(&[&client_span()], is_done).await);
    assert!(trace.0.iter().all(|span| span.trace == trace_id()), "{:#?}", trace.0);
    assert!(trace.0.iter().all(|span| span.resource["service.name"] == "films"));
    let (died, lived): (Vec<_>, Vec<_>) =
        trace.attempts(task).into_iter().partition(|span| span.failed);
    let numbers: Vec<_> = died.iter().map(|span| span.get("jetreel.attempt")).collect();
    assert_eq!(numbers, ["1", "2", "3"]);
    let released = trace.parent(died[0]);
    assert_eq!(released.name, "send ENCODE");
    for attempt in &died {
        assert_eq!(&attempt.parent, &released.id, "attempts are siblings");
        assert_eq!(attempt.get("error.type"), "codec-signal");
        let deliveries: u32 = attempt.get("jetreel.deliveries").parse().unwrap();
        assert!(deliveries >= 1);
    }
    let [lived] = lived[..] else { panic!("{lived:#?}") };
    assert_eq!((lived.get("jetreel.attempt"), lived.get("jetreel.outcome")), ("1", "done"));
    // The message named no span.
    assert_eq!(trace.parent(lived).name, "POST /v1/videos");
    let failed = lines(&node);
    let failed = failed.iter().find(|line| line["code"] == "codec-signal").unwrap();
    assert_eq!((&failed["trace_id"], &failed["attempt"]), (&trace_id().into(), &1.into()));
    assert_eq!(failed["task"], task.to_string());
}

/// Warnings in the log about the collector.
fn warnings(node: &Node) -> usize {
    let warns = |line: &&Value| {
        let message = line["message"].as_str().unwrap_or_default();
        line["level"] == "WARN" && message.contains("collector")
    };
    lines(node).iter().filter(warns).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_takes_nothing_costs_one_warning() {
    let Some(film) = media::made(ODD_SIZED) else { return };
    let site = Site::start().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut node = node(&site, "one", &[("TELEMETRY__OTLP_ENDPOINT", &url)], &[SOON]).await;
    let order = node.submit(&film).await;
    site.facts(&order).await.until("completed").await;
    node.logs("the collector takes no spans").await;
    node.terminate();
    assert_eq!(node.ended().await, Some(0));
    assert_eq!(warnings(&node), 1, "{}", node.log());
}

/// It accepts connections and never answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_holds_up_neither_work_nor_shutdown() {
    let Some(film) = media::made(ODD_SIZED) else { return };
    let site = Site::start().await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut node = node(&site, "one", &[("TELEMETRY__OTLP_ENDPOINT", &url)], &[SOON]).await;
    let order = node.submit(&film).await;
    site.facts(&order).await.until("completed").await;
    node.terminate();
    assert_eq!(node.ended().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_collector_names_the_trace_in_its_log() {
    let Some(film) = media::made(ODD_SIZED) else { return };
    let site = Site::start().await;
    let node = node(&site, "one", &[("TELEMETRY__SAMPLE_RATIO", "0")], &[]).await;
    let order = node.submit(&film).await;
    site.facts(&order).await.until("completed").await;
    node.logs("\"status\":\"COMPLETED\"").await;
    let of_stages =
        |line: &Value| ["ingest", "encode", "publish"].map(Value::from).contains(&line["stage"]);
    let traces: BTreeSet<String> = lines(&node)
        .iter()
        .filter(|line| line["video"] == order.video.as_str() && of_stages(line))
        .map(|line| line["trace_id"].as_str().unwrap_or_else(|| panic!("{line}")).to_owned())
        .collect();
    assert_eq!(traces.len(), 1, "{traces:?}");
    assert_eq!(Stage::ALL.len(), 3, "every stage is looked at");
}
