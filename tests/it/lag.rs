//! The lag has one truth: what the consumers say. Metrics, `jetreel queues` and `jetreel top` show it.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod agreement;
mod leading;
mod pausing;

use std::collections::BTreeMap;

use jetreel_actors::ports::{Queues as _, WriteOnce};
use jetreel_domain::delivery::message::EncodeTask;
use jetreel_domain::id::{Group, OrderId, TaskId, VideoId};
use jetreel_domain::order::lane::Lane;
use serde_json::Value;

use crate::command::{Said, said};
use crate::harness::node::Node;
use crate::harness::site::Site;

/// A node that measures, serves metrics, and works for no stage.
const MEASURES: [(&str, &str); 1] = [("NODE__ROLES", "gateway,scaler")];

/// Name of a metric with its labels.
fn name(metric: &str, [stage, lane, group]: [&str; 3]) -> String {
    format!("{metric}{{group=\"{group}\",lane=\"{lane}\",stage=\"{stage}\"}}")
}

/// The metrics of a node, by name and labels.
async fn metrics(node: &Node) -> BTreeMap<String, f64> {
    let text = String::from_utf8(node.bytes("/metrics").await).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.rsplit_once(' '));
    pairs.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

/// Runs the product on the broker of a site, to its end.
async fn jetreel(site: &Site, words: &[&str]) -> Said {
    let (folder, url) = (site.folder().to_owned(), format!("nats.url={}", site.nats().url()));
    let mut all: Vec<String> = words.iter().map(ToString::to_string).collect();
    all.extend(["--set".to_owned(), url]);
    let run = move || said(&folder, &all.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// The same, which succeeds and prints JSON.
async fn json(site: &Site, words: &[&str]) -> Value {
    let said = jetreel(site, words).await;
    assert_eq!(said.code, Some(0), "{words:?}: {}", said.err);
    serde_json::from_str(&said.out).unwrap()
}

/// A task of an order that does not exist.
fn task(lane: Lane, group: Group, index: u32) -> EncodeTask {
    let order = OrderId::new(VideoId::from_bits(7), 1);
    let plan = format!("out/{}/{}/plan-x.json", order.video, order.number);
    let task = TaskId::new(group, index);
    EncodeTask { v: 1, order, task, lane, plan, plan_sha256: "0".repeat(64) }
}

/// Queues so many tasks more.
async fn release(site: &Site, lane: Lane, group: Group, indices: std::ops::Range<u32>) {
    for index in indices {
        let released = site.bus.release(&task(lane, group, index)).await.unwrap();
        assert_eq!(released, WriteOnce::Mine);
    }
}
