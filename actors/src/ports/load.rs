//! The load of the cluster, for the node that measures it, and the leases of such nodes.

use jetreel_domain::scale::backlog::Done;
use jetreel_domain::scale::load::Queues;
use jetreel_domain::upkeep::leadership::{Leadership, Office};

use super::call::{PortFuture, Swap};
use super::reading::{Extent, Versioned};

/// Leases of the offices.
pub trait Leases: Send + Sync {
    /// The lease of an office, from the leader.
    fn lease(&self, office: Office) -> PortFuture<'_, Option<Versioned<Leadership>>>;
    /// Compare-and-set of the lease of an office; `revision` 0 creates it.
    fn swap_lease<'a>(
        &'a self,
        office: Office,
        lease: &'a Leadership,
        revision: u64,
    ) -> PortFuture<'a, Swap>;
}

/// Ledger entries of finished tasks, read on from the last read.
#[derive(Debug, Clone)]
pub struct Finished {
    pub tasks: Vec<Done>,
    /// Sequence up to which the ledger was read.
    pub read: u64,
    /// Whether there may be more.
    pub more: bool,
    /// Extent of the ledger before the read.
    pub extent: Extent,
}

/// The queues and the ledger as a whole.
pub trait Gauges: Send + Sync {
    /// State of every queue, from the leaders of their consumers.
    fn queues(&self) -> PortFuture<'_, Queues>;
    /// Entries of finished tasks after a sequence, in batches. Entries that cannot be read are left out.
    fn finished(&self, after: u64) -> PortFuture<'_, Finished>;
}
