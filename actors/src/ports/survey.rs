//! The queues and the node reports as a whole, for the reconciler.

use std::collections::BTreeSet;

use jetreel_domain::delivery::room::Room;
use jetreel_domain::id::{OrderId, TaskId, VideoId};
use jetreel_domain::upkeep::presence::{Presence, Word};
use jetreel_domain::upkeep::reconcile::Position;
use jetreel_domain::words::failure::Failure;

use super::call::PortFuture;
use super::reading::{Extent, States};

/// The queues as a whole, as only the reconciler needs them. All reads are from the leaders.
pub trait Survey: Send + Sync {
    /// States with a revision above `after`; reads at most `limit` documents.
    fn states(&self, after: u64, limit: usize) -> PortFuture<'_, States>;
    /// Messages and bytes in the stream of dead letters.
    fn dead_letters(&self) -> PortFuture<'_, Room>;
    /// When the bucket of states was created, in seconds since the Unix epoch. It holds nothing older.
    fn states_since(&self) -> PortFuture<'_, i64>;
    /// Position of the consumer of uploads.
    fn uploads_position(&self) -> PortFuture<'_, Position>;
    /// When the newest part of an upload was logged, in seconds since the Unix epoch; `None` if its log is empty.
    fn newest_part<'a>(&'a self, video: &'a VideoId) -> PortFuture<'a, Option<i64>>;
    /// Videos whose uploads have a part log.
    fn uploads_on_record(&self) -> PortFuture<'_, BTreeSet<VideoId>>;
    /// Stream sequence of the newest announcement of an order's upload.
    fn announced_upload<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, Option<u64>>;
    /// Tasks of an order that are queued in any lane, waiting or delivered.
    fn queued_tasks<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, BTreeSet<TaskId>>;
    /// Tasks of an order that have a ledger entry.
    fn finished_tasks<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, BTreeSet<TaskId>>;
    /// Orders that have ledger entries, checkpoints or claims.
    fn orders_on_record(&self) -> PortFuture<'_, BTreeSet<OrderId>>;
}

/// A node report that cannot be decoded.
#[derive(Debug, Clone)]
pub struct OddWord {
    /// Id of the node.
    pub id: String,
    /// When the node wrote it, by the broker's clock, in seconds since the Unix epoch.
    pub at: i64,
    /// Why it cannot be decoded.
    pub failure: Failure,
}

/// Node reports of one read.
#[derive(Debug, Clone, Default)]
pub struct NodeReports {
    /// Decoded reports, the oldest first.
    pub words: Vec<Word>,
    /// Ids of nodes that removed their reports.
    pub left: Vec<String>,
    /// Reports that cannot be decoded.
    pub unreadable: Vec<OddWord>,
    /// Revision up to which the bucket was read.
    pub read: u64,
    /// Extent of the bucket before the read.
    pub extent: Extent,
}

/// Node reports. A report expires unless its node renews it.
pub trait Nodes: Send + Sync {
    /// Writes the report of the node `id` in place of its last one.
    fn tell<'a>(&'a self, id: &'a str, presence: &'a Presence) -> PortFuture<'a, ()>;
    /// Removes the report of the node `id`.
    fn leave<'a>(&'a self, id: &'a str) -> PortFuture<'a, ()>;
    /// At most `limit` reports with a revision above `after` (0: all), from the leader. The bucket keeps only the last report of a node.
    fn said(&self, after: u64, limit: usize) -> PortFuture<'_, NodeReports>;
}
