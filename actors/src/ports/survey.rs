//! The queues and the nodes as a whole, as the reconciler sees them.

use std::collections::BTreeSet;

use jetreel_domain::delivery::room::Room;
use jetreel_domain::id::{OrderId, TaskId, VideoId};
use jetreel_domain::upkeep::leadership::Leadership;
use jetreel_domain::upkeep::presence::Presence;
use jetreel_domain::upkeep::reconcile::Position;
use jetreel_domain::words::failure::Failure;

use super::call::{PortFuture, Swap};
use super::reading::{Extent, States, Versioned};

/// What the reconciler sees of the queues as a whole, which no other stage does. All of it from the leaders.
pub trait Survey: Send + Sync {
    /// States with a revision above `after`; reads at most `limit` documents.
    fn states(&self, after: u64, limit: usize) -> PortFuture<'_, States>;
    /// What the stream of dead letters holds.
    fn dead_letters(&self) -> PortFuture<'_, Room>;
    /// Since when states are kept, seconds since the Unix epoch: nothing can be said of what is older.
    fn states_since(&self) -> PortFuture<'_, i64>;
    /// How far the consumer of uploads is.
    fn uploads_position(&self) -> PortFuture<'_, Position>;
    /// When the newest part of an upload was logged, seconds since the Unix epoch; `None` where its log is empty.
    fn newest_part<'a>(&'a self, video: &'a VideoId) -> PortFuture<'a, Option<i64>>;
    /// Videos whose uploads have a log.
    fn uploads_on_record(&self) -> PortFuture<'_, BTreeSet<VideoId>>;
    /// Stream sequence of the newest announcement of an order's upload.
    fn announced_upload<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, Option<u64>>;
    /// Tasks of an order in any lane, waiting or in hand.
    fn queued_tasks<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, BTreeSet<TaskId>>;
    /// Tasks of an order that have a ledger entry.
    fn finished_tasks<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, BTreeSet<TaskId>>;
    /// Orders that have ledger entries, checkpoints or claims.
    fn orders_on_record(&self) -> PortFuture<'_, BTreeSet<OrderId>>;
    /// The reconciler's lease.
    fn leadership(&self) -> PortFuture<'_, Option<Versioned<Leadership>>>;
    /// Compare-and-set of the reconciler's lease; `revision` 0 creates it.
    fn swap_leadership<'a>(
        &'a self,
        leadership: &'a Leadership,
        revision: u64,
    ) -> PortFuture<'a, Swap>;
}

/// What cannot be understood of a node.
#[derive(Debug, Clone)]
pub struct OddWord {
    /// Which node.
    pub id: String,
    /// When it was said, by the broker's clock, seconds since the Unix epoch.
    pub at: i64,
    /// Why it cannot be understood.
    pub failure: Failure,
}

/// What nodes said.
#[derive(Debug, Clone, Default)]
pub struct NodeReports {
    /// Each with the id of its node.
    pub words: Vec<(String, Presence)>,
    /// Words that are there and cannot be understood.
    pub unreadable: Vec<OddWord>,
    /// Up to where it was read.
    pub read: u64,
    /// The bucket, as it was before it was read.
    pub extent: Extent,
}

/// What nodes say of themselves. It vanishes when it was not said again for long.
pub trait Nodes: Send + Sync {
    /// Says it of the node `id`, in place of what was said of it before.
    fn tell<'a>(&'a self, id: &'a str, presence: &'a Presence) -> PortFuture<'a, ()>;
    /// Takes back what was said of the node `id`.
    fn leave<'a>(&'a self, id: &'a str) -> PortFuture<'a, ()>;
    /// What was said after the place `after` (0: all of it), from the leader; at most `limit` words. Of a node only its last word is
    /// kept.
    fn said(&self, after: u64, limit: usize) -> PortFuture<'_, NodeReports>;
}
