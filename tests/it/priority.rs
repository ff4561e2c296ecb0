//! The lane of a job: named at upload, changed while the job runs, shown with its place; and what it does to a backlog.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeSet;
use std::process::Command;

use jetreel::bus::names;
use jetreel_actors::ports::Videos as _;
use jetreel_domain::delivery::subject::{self, ADMIN_JOBS};
use jetreel_domain::id::{Group, OrderId, TaskId};
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::state::{Status, Video};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::clips::jetreel;
use crate::harness::eventually::eventually_so;
use crate::harness::node::Node;
use crate::harness::noop;
use crate::harness::site::Site;
use crate::harness::tape::{Happened, Tape};

/// Many times as fast as recorded.
const QUICK: u32 = 1000;
/// A task takes about a tenth of a second.
const PACED: u32 = 100;

async fn node(site: &Site, name: &str, speed: u32, own: &[(&str, &str)]) -> Node {
    let codec = noop::settings(site.folder(), speed);
    let codec = codec.iter().map(|(key, value)| (*key, value.as_str()));
    site.node(name, &codec.chain(own.iter().copied()).collect::<Vec<_>>()).await
}

/// Uploads a source of that codec.
async fn submit(node: &Node, seconds: u32, query: &str) -> OrderId {
    let asked = reqwest::Client::new().post(node.url(&format!("/v1/videos?{query}")));
    let answer = asked.body(noop::source(seconds)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED, "{}", node.log());
    let job = answer.headers()["location"].to_str().unwrap().to_owned();
    job.strip_prefix("/v1/jobs/").unwrap().parse().unwrap()
}

async fn put(node: &Node, id: &str, body: &str) -> (StatusCode, Value) {
    let url = node.url(&format!("/v1/jobs/{id}/priority"));
    let answer = reqwest::Client::new().post(url).body(body.to_owned()).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

fn run(node: &Node, words: &[&str]) -> (Option<i32>, String, String) {
    let said = Command::new(jetreel()).args(words).args(["--url", &node.url("")]).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (said.status.code(), text(said.stdout), text(said.stderr))
}

/// Lanes in which tasks of an order are queued.
async fn lanes(site: &Site, order: &OrderId) -> Vec<Lane> {
    let queued = site.subjects(names::ENCODE, &subject::encode_order_filter(order)).await;
    queued.iter().filter_map(|queued| Some(subject::task_queue(queued)?.lane)).collect()
}

async fn state(site: &Site, order: &OrderId) -> Video {
    site.bus.video(&order.video).await.unwrap().unwrap().value
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queued_tasks_of_a_job_follow_it_into_its_new_lane() {
    let site = Site::start().await;
    let roles = ("NODE__ROLES", "gateway,ingest,publish,deadletter");
    let front = node(&site, "front", QUICK, &[roles]).await;
    let order = submit(&front, 60, "lane=low").await;
    let id = order.to_string();
    let queued = async || !lanes(&site, &order).await.is_empty();
    eventually_so("its tasks are queued", queued).await;
    let count = lanes(&site, &order).await.len();
    assert_eq!(lanes(&site, &order).await, vec![Lane::Low; count]);
    let is_shown = async || front.json(&format!("/v1/jobs/{id}")).await["place"] == json!(0);
    eventually_so("its place is known", is_shown).await;
    let job = front.json(&format!("/v1/jobs/{id}")).await;
    assert_eq!((&job["lane"], &job["waits_for"]), (&json!("low"), &json!("first-seconds")));

    let (status, job) = put(&front, &id, r#"{"lane": "high"}"#).await;
    assert_eq!((status, &job["lane"]), (StatusCode::ACCEPTED, &json!("high")));
    assert_eq!(lanes(&site, &order).await, vec![Lane::High; count]);
    let (status, _) = put(&front, &id, r#"{"lane": "high"}"#).await;
    assert_eq!(status, StatusCode::OK, "it is there already");
    assert_eq!(lanes(&site, &order).await, vec![Lane::High; count]);

    let (code, said, _) = run(&front, &["priority", &id, "normal"]);
    assert!(code == Some(0) && said.contains("normal"), "{said}");
    assert_eq!(lanes(&site, &order).await, vec![Lane::Normal; count]);
    let (code, _, why) = run(&front, &["priority", &id, "fast"]);
    assert!(code == Some(2) && why.contains("The lanes are high, normal and low."), "{why}");
    let (_, said, _) = run(&front, &["status", &id]);
    assert!(said.contains("lane:     normal, first in line for its first seconds"), "{said}");

    let nats = site.client().await;
    let ask = async |wish: Value| {
        let subject = format!("{ADMIN_JOBS}.priority");
        nats.request(subject, wish.to_string().into()).await.unwrap()
    };
    let answer = ask(json!({ "job": order.video, "lane": "low" })).await;
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
    assert_eq!(answer, json!({ "job": id, "lane": "low", "changed": true }));
    assert_eq!(lanes(&site, &order).await, vec![Lane::Low; count]);
    let refused = ask(json!({ "job": id, "lane": "fast" })).await.headers.unwrap();
    let sentence = refused.get(async_nats::service::NATS_SERVICE_ERROR).unwrap().as_str();
    assert_eq!(sentence, "There is no lane \"fast\". The lanes are high, normal and low.");

    let mut worker = node(&site, "worker", QUICK, &[("NODE__ROLES", "encode")]).await;
    site.facts(&order).await.until("completed").await;
    let (status, problem) = put(&front, &id, r#"{"lane": "high"}"#).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("job-completed")));
    assert_eq!(state(&site, &order).await.orders[0].lane, Lane::Low);
    let (_, said, _) = run(&front, &["status", &id]);
    assert!(!said.contains("lane:"), "{said}");
    worker.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_request_for_a_lane_says_what_is_right() {
    let site = Site::start().await;
    let front = node(&site, "front", QUICK, &[("NODE__ROLES", "gateway")]).await;
    let order = submit(&front, 60, "title=x").await;
    let id = order.to_string();
    for (id, body, status, code) in [
        (id.as_str(), r#"{"lane": "fast"}"#, 400, "unknown-lane"),
        (id.as_str(), r#"{"lain": "high"}"#, 400, "bad-body"),
        (id.as_str(), "", 400, "bad-body"),
        ("x", r#"{"lane": "high"}"#, 404, "no-such-job"),
        ("00000000000000000000000000-1", r#"{"lane": "high"}"#, 404, "no-such-job"),
        (&format!("{}-9", order.video), r#"{"lane": "high"}"#, 404, "no-such-job"),
    ] {
        let (found, problem) = put(&front, id, body).await;
        assert_eq!((found.as_u16(), problem["code"].as_str()), (status, Some(code)), "{id} {body}");
    }
    assert_eq!(state(&site, &order).await.orders[0].lane, Lane::Normal);
    let (status, job) = put(&front, &id, r#"{"lane": "low"}"#).await;
    assert_eq!((status, &job["status"]), (StatusCode::ACCEPTED, &json!("QUEUED")));
    assert_eq!((&job["lane"], &job["place"]), (&json!("low"), &Value::Null));
    front.command(&format!("/v1/jobs/{id}/cancel")).await;
    let (status, problem) = put(&front, &id, r#"{"lane": "high"}"#).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("job-cancelled")));
}

/// A task that a worker has begun is finished in its lane; the others go.
#[tokio::test(flavor = "multi_thread")]
async fn tasks_in_hand_are_finished_where_they_are() {
    let site = Site::start().await;
    let mut tape = Tape::start(&site).await;
    let one = node(&site, "one", 1, &[]).await;
    let order = submit(&one, 60, "lane=low").await;
    // It takes seconds.
    let held = TaskId::new(Group::Main, 0);
    let begun = |happened: &Happened| *happened == Happened::Begun(order.clone(), held);
    tape.until("a task is begun", begun).await;
    let (status, _) = put(&one, &order.to_string(), r#"{"lane": "high"}"#).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let queued = site.subjects(names::ENCODE, &subject::encode_order_filter(&order)).await;
    let in_low =
        queued.iter().filter(|queued| subject::task_queue(queued).unwrap().lane == Lane::Low);
    let in_low: Vec<TaskId> = in_low.filter_map(|queued| subject::task_in(queued)).collect();
    assert_eq!(in_low, [held]);
    assert!(queued.len() > 1, "{queued:?}");
}

/// Videos of the backlog, and the length of each: fifty tasks.
const BACKLOG: usize = 21;
const SECONDS: u32 = 600;

/// Uploads a backlog, and waits until all of it is planned. Returns its jobs and the number of its tasks.
async fn backlog(site: &Site, node: &Node, query: &str) -> (Vec<OrderId>, u32) {
    let mut states = site.states().await;
    let mut orders = Vec::new();
    for _ in 0..BACKLOG {
        orders.push(submit(node, SECONDS, query).await);
    }
    let (mut planned, mut tasks) = (BTreeSet::new(), 0);
    while planned.len() < BACKLOG {
        let video = states.next("a plan", |_, video: &Video| {
            video.orders[0].status == Status::Encoding && !planned.contains(&video.id)
        });
        let video = video.await;
        tasks += video.orders[0].plan.as_ref().unwrap().tasks;
        planned.insert(video.id);
    }
    (orders, tasks)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_delays_no_urgent_job_and_a_job_that_becomes_urgent_is_finished_next() {
    const SLOTS: usize = 2;
    let site = Site::start().await;
    let one = node(&site, "one", PACED, &[("NODE__SLOTS", "2")]).await;
    let low = submit(&one, SECONDS, "lane=low").await;
    let (normal, tasks) = backlog(&site, &one, "lane=normal").await;
    assert!(tasks >= 1000, "{tasks}");

    let mut tape = Tape::start(&site).await;
    let urgent = submit(&one, 60, "lane=high").await;
    let first = |happened: &Happened| happened.begun() == Some(&urgent);
    let before = tape.until("an urgent task is begun", first).await;
    let queued = before.iter().position(|happened| happened.queued() == Some(&urgent)).unwrap();
    let begun = before[queued..].iter().filter(|happened| happened.begun().is_some()).count() - 1;
    // Each slot may have been about to take one, and one turn of four is another lane's.
    assert!(begun <= SLOTS + 1, "{begun} tasks were begun first");

    let chosen = &normal[BACKLOG / 2];
    let (status, job) = put(&one, &chosen.to_string(), r#"{"lane": "high"}"#).await;
    assert_eq!((status, &job["lane"]), (StatusCode::ACCEPTED, &json!("high")));
    let done = |happened: &Happened| happened.completed() == Some(chosen);
    let meanwhile = tape.until("the chosen job is completed", done).await;
    let others: BTreeSet<&OrderId> =
        meanwhile.iter().filter_map(Happened::completed).filter(|o| normal.contains(o)).collect();
    assert!(others.len() <= 2, "{} of {} came before it", others.len() - 1, normal.len() / 2);
    let begun: Vec<&OrderId> = meanwhile.iter().filter_map(Happened::begun).collect();
    let of_low = begun.iter().filter(|order| ***order == low).count();
    assert!(of_low * 24 >= begun.len(), "{of_low} of {} were of the lane low", begun.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_many_videos_of_an_owner_delay_anothers_one_by_twice_its_time_at_most() {
    let site = Site::start().await;
    let one = node(&site, "one", PACED, &[("NODE__SLOTS", "2")]).await;
    backlog(&site, &one, "owner=many").await;
    let mut tape = Tape::start(&site).await;
    let own = submit(&one, 200, "owner=one").await;
    let done = |happened: &Happened| happened.completed() == Some(&own);
    let all = tape.until("the single video is completed", done).await;
    let begun: Vec<&OrderId> = all.iter().filter_map(Happened::begun).collect();
    let (mine, others): (Vec<&OrderId>, Vec<&OrderId>) =
        begun.into_iter().partition(|order| **order == own);
    assert!(mine.len() >= 15, "{}", mine.len());
    // All tasks take about as long, and alone it would have had all slots.
    assert!(others.len() <= 2 * mine.len(), "{} for {}", others.len(), mine.len());
}
