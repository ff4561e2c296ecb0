//! Every observable event in one enum. The shell turns each event into a log line and metrics in one place.

use std::collections::BTreeMap;
use std::sync::Arc;

use jetreel_domain::delivery::dispatch::{Answer, TaskQueue};
use jetreel_domain::delivery::stage::{Stage, Unit};
use jetreel_domain::id::{Group, OrderId, TaskId};
use jetreel_domain::order::state::{Fact, Status};
use jetreel_domain::output::cost::CostSheet;
use jetreel_domain::scale::load::Load;
use jetreel_domain::scale::locals::Count;
use jetreel_domain::scale::scaler::Wanted;
use jetreel_domain::upkeep::leadership::Office;
use jetreel_domain::words::failure::Failure;

/// Repairs of the reconciler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repair {
    /// Published facts that the state held and PROGRESS lacked.
    FactsAnnounced,
    /// Announced an upload again.
    UploadAnnounced,
    /// Queued a task that was due and in no queue.
    TaskQueued,
    /// Queued an evaluation.
    EvaluationAsked,
    /// Cancelled an upload that made no progress.
    UploadGivenUp,
    /// Removed what a cancelled order left.
    Cleared,
    /// Closed an order whose codec build no node has, and opened its successor.
    PlannedAnew,
    /// Removed ledger entries and claims of a closed order.
    RecordsRemoved,
    /// Removed the last remains of a deleted video.
    Removed,
    /// Removed forged ledger entries of an open order.
    ForgedRemoved,
}

impl Repair {
    /// Label value in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FactsAnnounced => "facts-announced",
            Self::UploadAnnounced => "upload-announced",
            Self::TaskQueued => "task-queued",
            Self::EvaluationAsked => "evaluation-asked",
            Self::UploadGivenUp => "upload-given-up",
            Self::Cleared => "cleared",
            Self::PlannedAnew => "planned-anew",
            Self::RecordsRemoved => "records-removed",
            Self::Removed => "removed",
            Self::ForgedRemoved => "forged-removed",
        }
    }
}

/// Events of the reconciler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reconciled {
    /// What queues wait for from which no live node takes tasks now.
    QueuesWait {
        /// Tasks that wait for a node with a label, by queue.
        unservable: BTreeMap<TaskQueue, u64>,
        /// When queues open again, in seconds since the Unix epoch.
        opens: BTreeMap<TaskQueue, i64>,
    },
    /// The reconciler repaired an order.
    Repaired { order: OrderId, repair: Repair },
    /// The sweep deleted an object that no document names.
    OrphanDeleted { key: String, bytes: u64 },
    /// A walk through the store ended.
    StoreWalked {
        /// Objects that the walk met.
        objects: u64,
        /// Of these, orphans that the next walk may delete.
        orphans: usize,
        /// Folders that could not be read.
        unread: usize,
    },
}

/// Events of the scaler.
#[derive(Debug, Clone, PartialEq)]
pub enum Scaled {
    /// This node decided how many nodes and slots the load needs.
    Decided {
        wanted: Wanted,
        /// Nodes that were wanted before.
        previous: u32,
    },
    /// This node does not decide any more.
    Retired,
    /// The hook was called about that number of nodes.
    HookCalled {
        nodes: u32,
        /// `None` if the call succeeded.
        failed: Option<Failure>,
    },
    /// The number of node processes on this machine changed.
    LocalsCounted(Count),
    /// A node process on this machine was started or drained, or ended.
    LocalChanged {
        /// Number of the process.
        number: u32,
        what: &'static str,
        detail: String,
    },
    /// So many slots of this node may take tasks.
    SlotsOpen { open: usize },
}

/// An event that an operator may want to see or count.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An order changed its status.
    OrderMoved { order: OrderId, to: Status },
    /// An order is complete, and this is what it has cost.
    CostCounted { order: OrderId, sheet: CostSheet },
    /// An order got its plan.
    Planned {
        order: OrderId,
        /// Tasks in the plan.
        tasks: usize,
        /// Tiers in the plan.
        tiers: usize,
    },
    /// A task was released to its lane.
    Released { order: OrderId, task: TaskId },
    /// A task was claimed, and its codec process starts.
    TaskStarted {
        order: OrderId,
        task: TaskId,
        /// Number of the attempt, from 1.
        attempt: u32,
    },
    /// A tier of a task progressed.
    TierProgress {
        order: OrderId,
        task: TaskId,
        /// Name of the tier.
        tier: String,
        /// Seconds of the tier that are stored.
        seconds: f64,
    },
    /// A task succeeded.
    TaskFinished {
        order: OrderId,
        task: TaskId,
        /// Wall time from the claim to the ledger entry, in seconds.
        seconds: f64,
        /// CPU time of the codec process, in seconds.
        cpu_seconds: f64,
        /// Tiers whose pictures were encoded, with the seconds of each.
        pictures: Vec<(String, f64)>,
        /// `false` if another worker's ledger entry was first.
        won: bool,
    },
    /// An attempt at a task or at the message of a stage failed.
    AttemptFailed {
        stage: Stage,
        order: OrderId,
        unit: Unit,
        /// Number of the attempt, from 1.
        attempt: u32,
        failure: Failure,
        /// Whether the message goes back to its queue.
        again: bool,
    },
    /// An attempt ended without settling its message, because another worker holds the claim or may hold it.
    ClaimLost { stage: Stage, order: OrderId, unit: Unit },
    /// A message was buried in the dead letters.
    Buried {
        stage: Stage,
        /// Order of the message; `None` if the message could not be decoded.
        order: Option<OrderId>,
        unit: Unit,
        failure: Failure,
    },
    /// Media was refused and its order failed. Only the uploader needs to act.
    Refused { order: OrderId, failure: Failure },
    /// A message cannot be buried because the dead letters cannot be written. It stays in its queue.
    Unburied { stage: Stage, failure: Failure },
    /// The hook for dead letters was called.
    HookCalled {
        /// Failure of the call; `None` if it succeeded.
        refused: Option<Failure>,
    },
    /// A dead letter was replayed.
    Revived { stage: Stage, order: OrderId, unit: Unit },
    /// A message that the broker had given up was handled.
    OrphanSettled {
        /// Stream of the message.
        stream: String,
        /// Outcome: `queued-anew`, `buried` or `removed`.
        end: &'static str,
    },
    /// A message was removed that breaks the connection of every client it is delivered to. Jetreel never writes such a message.
    Undeliverable {
        /// Stream of the message.
        stream: String,
        /// Sequence in the stream.
        sequence: u64,
        /// Subject of the message.
        subject: String,
        /// Fault of the message.
        why: &'static str,
    },
    /// Broker or store fail: the stages pull nothing until a probe succeeds.
    BreakerOpened { failure: Failure },
    /// A probe succeeded: the stages pull again.
    BreakerClosed,
    /// A fact was published to PROGRESS.
    Announced { order: OrderId, fact: Fact },
    /// A renewal of a lease failed.
    RenewFailed {
        stage: &'static str,
        /// Subject of the message in hand.
        subject: String,
    },
    /// A compare-and-set met another writer.
    SwapConflict { bucket: &'static str },
    /// A stage met a failure and will try again.
    StageFault { stage: &'static str, failure: Failure },
    /// An event of the reconciler.
    Reconciled(Reconciled),
    /// This node won or lost the lease of an office.
    Leading {
        office: Office,
        /// Whether it holds the lease now.
        leads: bool,
    },
    /// The load of the cluster was measured.
    LoadMeasured(Arc<Load>),
    /// An event of the scaler.
    Scaled(Scaled),
    /// A queue of tasks answered a pull.
    Pulled { answer: Answer },
    /// The number of busy slots of a group changed.
    SlotsBusy {
        group: Group,
        /// Busy slots of the group on this node.
        busy: usize,
    },
}
