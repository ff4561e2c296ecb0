//! The bus with a real nats-server: each guarantee that stages rely on is a test.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod cluster;
mod deadletters;
mod documents;
mod ledger;
mod nodes;
mod private;
mod queues;
mod topology;

use jetreel_domain::delivery::message::EncodeTask;
use jetreel_domain::id::{Group, OrderId, TaskId, VideoId};
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::ledger::Entry;

/// An order of a new video.
fn order(bits: u128) -> OrderId {
    OrderId::new(VideoId::from_bits(bits), 1)
}

fn task(order: &OrderId, lane: Lane, group: Group, index: u32) -> EncodeTask {
    EncodeTask {
        v: 1,
        order: order.clone(),
        task: TaskId::new(group, index),
        lane,
        plan: "plan".to_owned(),
        plan_sha256: "0".repeat(64),
    }
}

pub(crate) fn entry(order: &OrderId, index: u32, part: Option<u32>, writer: &str) -> Entry {
    Entry {
        v: 1,
        writer: writer.to_owned(),
        order: order.clone(),
        task: TaskId::new(Group::Main, index),
        part,
        parts: 0,
        outputs: Vec::new(),
        node: "node".to_owned(),
        attempt: 1,
        codec_build: "build".to_owned(),
        confinement: "FULL".to_owned(),
        cpu_seconds: 1.5,
        wall_seconds: 2.5,
    }
}
