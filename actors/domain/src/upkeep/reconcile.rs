//! Finds the troubles of a video and their repairs. The state is the truth; messages are hints and can be lost.
//!
//! The shell reads a video and the queues. [`troubles`] lists what is wrong. [`Watch`] records since when, because most apparent troubles
//! are only work in progress. A trouble that outlasts its patience is repaired. Every repair can be made twice, or by two nodes, without
//! harm.
//!
//! No task of a FAILED order is queued here. That takes a replay.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::delivery::stage::Unit;
use crate::id::TaskId;
use crate::order::announce;
use crate::order::release::{self, Step, Windows};
use crate::order::state::{Order, Status, Video};

/// Delays of the reconciler, in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    /// Pause between two passes.
    pub pass_seconds: u64,
    /// Time of the reconciler's lease. Every pass renews it, and another node takes over when it has expired.
    pub lease_seconds: i64,
    /// A trouble that lasts this long is repaired. Longer than a stage takes to finish the work itself.
    pub patience_seconds: i64,
    /// An upload whose message may be in a worker's hands is announced again after this time. Longer than its retry delay and than one
    /// attempt.
    pub doubt_seconds: i64,
    /// An upload without progress for this long is cancelled.
    pub receiving_seconds_max: i64,
    /// The output of a cancelled order is removed after this time. Longer than a worker takes to notice the cancellation.
    pub cancelled_seconds: i64,
    /// An order is planned anew when no node has had its codec build for this long. Longer than nodes are down in a rolling upgrade.
    pub build_seconds: u64,
    /// Age at which an object that no document names is deleted.
    pub orphan_seconds: i64,
    /// Pause between two walks through the store.
    pub sweep_seconds: i64,
    /// Objects examined in one pass.
    pub objects_per_pass: usize,
}

/// Position of the consumer of uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Highest stream sequence that was delivered.
    pub delivered: u64,
    /// All messages up to this sequence are settled. May read 0 after the consumer's leader changed.
    pub floor: u64,
    /// Number of delivered messages that are not settled.
    pub unsettled: u64,
}

/// Position of the newest announcement of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announcement {
    /// There is no announcement.
    Absent,
    /// The announcement is in the backlog and will be delivered.
    Waiting,
    /// The announcement was delivered and may be in a worker's hands.
    InDoubt,
    /// The announcement was delivered and settled.
    Passed,
}

/// Classifies an announcement by its stream sequence.
#[must_use]
pub fn announcement(newest: Option<u64>, position: &Position) -> Announcement {
    match newest {
        None => Announcement::Absent,
        Some(sequence) if sequence > position.delivered => Announcement::Waiting,
        Some(sequence) if sequence <= position.floor || position.unsettled == 0 => {
            Announcement::Passed
        }
        Some(_) => Announcement::InDoubt,
    }
}

/// What must be read to judge an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: the state is sufficient.
    Nothing,
    /// The announcement of its upload.
    Announcement,
    /// Its queued tasks and its finished tasks.
    Tasks,
    /// The time of the newest part of its upload.
    Parts,
}

/// What must be read to judge an order.
#[must_use]
pub fn need(order: &Order, now: i64, policy: &Policy) -> Need {
    if order.is_closed() {
        return Need::Nothing;
    }
    match order.status {
        Status::Receiving if now - order.created >= policy.receiving_seconds_max => Need::Parts,
        Status::Queued | Status::Ingesting => Need::Announcement,
        Status::Encoding | Status::Publishing if order.plan.is_some() => Need::Tasks,
        Status::Receiving
        | Status::Encoding
        | Status::Publishing
        | Status::Completed
        | Status::Failed
        | Status::Cancelled => Need::Nothing,
    }
}

/// What was read about an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing was read.
    Nothing,
    /// The announcement of its upload.
    Announcement(Announcement),
    /// The tasks. The queued ones must be read before the finished ones, because a task leaves the queue after its entry is written.
    Tasks {
        /// The release list of its plan.
        steps: Vec<Step>,
        /// Tasks in a lane, waiting or in hand.
        queued: BTreeSet<TaskId>,
        /// Tasks with a ledger entry.
        finished: BTreeSet<TaskId>,
        /// What the order may have queued.
        windows: Windows,
        /// Whether no node has the order's codec build while it can be planned with another.
        stranded: bool,
    },
    /// When the newest part of the upload was written, in seconds since the Unix epoch; `None` if there is no part.
    Parts(Option<i64>),
}

/// A trouble of a video. The first number is the order's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Facts are known and not announced.
    Unannounced,
    /// The upload is complete, and no message announces it.
    UploadLost(u32),
    /// The announcement was delivered long ago, and the state shows no result.
    UploadInDoubt(u32),
    /// A task is due, and neither queued nor finished.
    TaskLost(u32, TaskId),
    /// Every task is finished, and the order is not.
    Unevaluated(u32),
    /// The plan pins a codec build that no node has, so the remaining tasks cannot run. The second number counts how often the video's
    /// orders were planned anew for this reason.
    StrandedOrder(u32, u32),
    /// The upload has made no progress since this time, in seconds since the Unix epoch. A new part makes it another trouble.
    Stalled(u32, i64),
    /// A cancelled order still names its output.
    Uncleared(u32),
    /// The video was deleted, and at least its state is left.
    Deleted,
}

/// Seconds within which a part of an upload arrives even on a slow line: 64 MiB at 150 kbit/s.
const NEXT_PART_SECONDS: i64 = 3600;

/// Most doublings of the patience for one video: from a quarter of a minute to a day.
const PLANNED_ANEW_MAX: u32 = 13;

impl Trouble {
    /// Whether the repair deletes objects.
    #[must_use]
    pub fn deletes(self) -> bool {
        matches!(self, Self::Stalled(..) | Self::Uncleared(_) | Self::Deleted)
    }

    /// Seconds for which the trouble must last before it is repaired.
    #[must_use]
    pub fn patience(self, policy: &Policy) -> i64 {
        match self {
            Self::Unannounced | Self::UploadLost(_) | Self::TaskLost(..) | Self::Unevaluated(_) => {
                policy.patience_seconds
            }
            // The patience doubles each time: a node that works and whose heartbeats are lost must not lose its work forever.
            Self::StrandedOrder(_, before) => {
                policy.patience_seconds.saturating_mul(1 << before.min(PLANNED_ANEW_MAX))
            }
            Self::UploadInDoubt(_) => policy.doubt_seconds,
            // After a jump of the clock everything looks old. A live upload renews its timestamp with the next part.
            Self::Stalled(..) => policy.receiving_seconds_max.min(NEXT_PART_SECONDS),
            // The patience is part of how the trouble was found. No worker is involved any more.
            Self::Uncleared(_) | Self::Deleted => 0,
        }
    }
}

/// The troubles of a video. `found` holds what was read, by order. An order that is missing in it is not judged.
#[must_use]
pub fn troubles(
    video: &Video,
    found: &BTreeMap<u32, Found>,
    now: i64,
    policy: &Policy,
) -> BTreeSet<Trouble> {
    let mut troubles = BTreeSet::new();
    if !announce::due(video).is_empty() {
        troubles.insert(Trouble::Unannounced);
    }
    if let Some(deleted) = video.deleted {
        // By then its workers have noticed, as those of a cancelled order.
        troubles.extend((now - deleted >= policy.cancelled_seconds).then_some(Trouble::Deleted));
        return troubles;
    }
    for order in &video.orders {
        let number = order.number;
        if video.is_uncleared(number) {
            let ended = order.ended.unwrap_or(order.created);
            if now - ended >= policy.cancelled_seconds {
                troubles.insert(Trouble::Uncleared(number));
            }
            continue;
        }
        match found.get(&number) {
            None | Some(Found::Nothing) => {}
            Some(Found::Announcement(Announcement::Absent | Announcement::Passed)) => {
                troubles.insert(Trouble::UploadLost(number));
            }
            Some(Found::Announcement(Announcement::InDoubt)) => {
                troubles.insert(Trouble::UploadInDoubt(number));
            }
            Some(Found::Announcement(Announcement::Waiting)) => {}
            Some(Found::Tasks { steps, queued, finished, windows, stranded }) => {
                troubles.extend(of_tasks(order, steps, queued, finished, *windows));
                let waits = order.status == Status::Encoding && !all_in(steps, finished);
                if *stranded && waits {
                    troubles.insert(Trouble::StrandedOrder(number, video.planned_anew()));
                }
            }
            Some(Found::Parts(newest)) => {
                let moved = newest.unwrap_or(order.created).max(order.created);
                if now - moved >= policy.receiving_seconds_max {
                    troubles.insert(Trouble::Stalled(number, moved));
                }
            }
        }
    }
    troubles
}

fn of_tasks(
    order: &Order,
    steps: &[Step],
    queued: &BTreeSet<TaskId>,
    finished: &BTreeSet<TaskId>,
    windows: Windows,
) -> Vec<Trouble> {
    if all_in(steps, finished) {
        return vec![Trouble::Unevaluated(order.number)];
    }
    let due = release::due_of(steps, |task| finished.contains(&task), windows);
    let lost =
        |task: &TaskId| !queued.contains(task) && !order.dead.contains_key(&Unit::Task(*task));
    due.into_iter().filter(lost).map(|task| Trouble::TaskLost(order.number, task)).collect()
}

fn all_in(steps: &[Step], finished: &BTreeSet<TaskId>) -> bool {
    steps.iter().all(|step| finished.contains(&step.task))
}

/// Whether a video needs no examination until its state changes.
#[must_use]
pub fn is_settled(video: &Video) -> bool {
    let rests = |order: &Order| order.is_closed() || order.status == Status::Failed;
    announce::due(video).is_empty()
        && !video.is_deleted()
        && video.orders.iter().all(|order| rests(order) && !video.is_uncleared(order.number))
}

/// Since when each trouble of a video has been seen.
#[derive(Debug, Clone, Default)]
pub struct Watch(BTreeMap<Trouble, i64>);

impl Watch {
    /// Records the current troubles, forgets those that are over, and returns those that outlasted their patience. A returned trouble is
    /// timed anew: its repair has as long to take effect.
    pub fn ripe(&mut self, now: i64, amiss: BTreeSet<Trouble>, policy: &Policy) -> Vec<Trouble> {
        self.0.retain(|trouble, _| amiss.contains(trouble));
        let mut ripe = Vec::new();
        for trouble in amiss {
            let since = *self.0.entry(trouble).or_insert(now);
            let patience = trouble.patience(policy);
            // A clock that was set back must not delay a repair by as much.
            if now - since >= patience || now < since {
                self.0.insert(trouble, now);
            }
            if now - since >= patience {
                ripe.push(trouble);
            }
        }
        ripe
    }
}

#[cfg(test)]
#[path = "reconcile_tests.rs"]
mod tests;
