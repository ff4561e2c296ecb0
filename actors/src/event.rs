//! Everything observable, as one enum: the shell turns each into a log line and numbers, in one place.

use jetreel_domain::delivery::room::Room;
use jetreel_domain::delivery::stage::{Stage, Unit};
use jetreel_domain::id::{Group, OrderId, TaskId};
use jetreel_domain::order::state::{Fact, Status};
use jetreel_domain::words::failure::Failure;

/// What the reconciler can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repair {
    /// Announced facts that were known.
    FactsAnnounced,
    /// Announced an upload once more.
    UploadAnnounced,
    /// Queued a task that was due and nowhere.
    TaskQueued,
    /// Asked for an evaluation.
    EvaluationAsked,
    /// Cancelled an upload that stood still.
    UploadGivenUp,
    /// Cleared away what a cancelled order left.
    Cleared,
    /// Closed an order whose codec build no node has, and opened the next.
    PlannedAnew,
    /// Removed entries and claims of a closed order.
    RecordsRemoved,
    /// Removed the last of a deleted video.
    Removed,
    /// Removed forged entries of an open order.
    ForgedRemoved,
}

impl Repair {
    /// The word in metrics and logs.
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

/// What the reconciler tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reconciled {
    /// This node began or ceased to be the one that reconciles.
    Leading {
        /// Whether it is.
        leads: bool,
    },
    /// The reconciler counted the messages of a stage that wait or are in hand.
    LagCounted {
        /// Which stage.
        stage: Stage,
        /// How many.
        messages: u64,
    },
    /// The reconciler counted the dead letters.
    LettersCounted(Room),
    /// The reconciler mended something.
    Repaired {
        /// Whose.
        order: OrderId,
        /// What it did.
        repair: Repair,
    },
    /// An object that nobody named was deleted.
    OrphanDeleted {
        /// Its key.
        key: String,
        /// Its size.
        bytes: u64,
    },
    /// A walk through the store has ended.
    StoreWalked {
        /// Objects met.
        objects: u64,
        /// Of these, orphans that may be deleted when they are met again.
        orphans: usize,
        /// Folders that could not be read.
        unread: usize,
    },
}

/// Something happened that an operator may want to see or count.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An order moved.
    OrderMoved {
        /// Which.
        order: OrderId,
        /// Where to.
        to: Status,
    },
    /// An order got its plan.
    Planned {
        /// Which.
        order: OrderId,
        /// Tasks in the plan.
        tasks: usize,
        /// Tiers in the plan.
        tiers: usize,
    },
    /// A task was released to its lane.
    Released {
        /// Whose.
        order: OrderId,
        /// Which.
        task: TaskId,
    },
    /// A task was claimed and its codec starts.
    TaskStarted {
        /// Whose.
        order: OrderId,
        /// Which.
        task: TaskId,
        /// Which attempt.
        attempt: u32,
    },
    /// A tier of a task moved on.
    TierProgress {
        /// Whose.
        order: OrderId,
        /// Which.
        task: TaskId,
        /// Tier name.
        tier: String,
        /// Seconds of the tier that are stored.
        seconds: f64,
    },
    /// A task ended well.
    TaskFinished {
        /// Whose.
        order: OrderId,
        /// Which.
        task: TaskId,
        /// Wall seconds from claim to ledger.
        seconds: f64,
        /// CPU seconds of the codec.
        cpu_seconds: f64,
        /// False where another worker's entry was first.
        won: bool,
    },
    /// An attempt at a task, or at a whole stage, failed.
    AttemptFailed {
        /// Which stage.
        stage: Stage,
        /// Whose.
        order: OrderId,
        /// What.
        unit: Unit,
        /// Which attempt.
        attempt: u32,
        /// Why.
        failure: Failure,
        /// It goes back to the queue.
        again: bool,
    },
    /// An attempt ended without a word, because another worker holds the claim, or may hold it.
    ClaimLost {
        /// Which stage.
        stage: Stage,
        /// Whose.
        order: OrderId,
        /// What.
        unit: Unit,
    },
    /// A message went to the dead letters.
    Buried {
        /// Which stage.
        stage: Stage,
        /// Whose, where it could be understood.
        order: Option<OrderId>,
        /// What.
        unit: Unit,
        /// Why.
        failure: Failure,
    },
    /// Media was refused: its order failed, and nobody but its uploader need care.
    Refused {
        /// Whose.
        order: OrderId,
        /// Why.
        failure: Failure,
    },
    /// A message cannot be buried: the dead letters cannot be written. It waits.
    Unburied {
        /// Which stage.
        stage: Stage,
        /// Why.
        failure: Failure,
    },
    /// The hook was called about a dead letter.
    HookCalled {
        /// Why the call was not taken.
        refused: Option<Failure>,
    },
    /// A dead message was replayed.
    Revived {
        /// Which stage.
        stage: Stage,
        /// Whose.
        order: OrderId,
        /// What.
        unit: Unit,
    },
    /// The broker had given a message up; it was taken care of.
    OrphanSettled {
        /// Stream it was in.
        stream: String,
        /// What became of it: `queued-anew`, `buried`, `removed`.
        end: &'static str,
    },
    /// A message was removed that breaks the connection of whoever it is delivered to. Nothing of Jetreel's writes such a one.
    Undeliverable {
        /// Stream it was in.
        stream: String,
        /// Sequence there.
        sequence: u64,
        /// Subject it was published to.
        subject: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Storage or broker fail: nothing is pulled until a probe succeeds.
    BreakerOpened {
        /// What failed.
        failure: Failure,
    },
    /// A probe succeeded.
    BreakerClosed,
    /// A fact is on PROGRESS.
    Announced {
        /// Whose.
        order: OrderId,
        /// What.
        fact: Fact,
    },
    /// A heartbeat of a lease failed.
    RenewFailed {
        /// Which stage.
        stage: &'static str,
        /// Subject of the message in hand.
        subject: String,
    },
    /// A compare-and-set met another writer.
    SwapConflict {
        /// Which bucket.
        bucket: &'static str,
    },
    /// A stage met trouble that it will try again.
    StageFault {
        /// Which stage.
        stage: &'static str,
        /// What.
        failure: Failure,
    },
    /// The reconciler did something.
    Reconciled(Reconciled),
    /// Slots of a group that are busy on this node now.
    SlotsBusy {
        /// Which group.
        group: Group,
        /// How many.
        busy: usize,
    },
}
