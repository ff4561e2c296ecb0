//! What is amiss with a video, and what mends it: state is the truth, messages are hints, and a hint can get lost.
//!
//! The shell looks at a video and the queues; [`troubles`] names what is amiss; [`Watch`] says since when, because most of what
//! looks amiss is only under way; a trouble that lasts as long as its patience is mended. Every repair can be made twice, or by
//! two nodes, without harm.
//!
//! Nothing of a FAILED order is ever queued again here: that is what a replay is for.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::delivery::stage::Unit;
use crate::id::TaskId;
use crate::order::announce;
use crate::order::release::{self, Step};
use crate::order::state::{Order, Status, Video};

/// How patient repairs are. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    /// Between two passes.
    pub pass_seconds: u64,
    /// The reconciler's lease; it is renewed with every pass, and another node takes over when it ran out.
    pub lease_seconds: i64,
    /// What is amiss for this long is mended: longer than a stage takes to do it itself.
    pub patience_seconds: i64,
    /// An upload that may be in somebody's hands is announced again after this time; longer than it may wait for its next attempt,
    /// and longer than that may take.
    pub doubt_seconds: i64,
    /// An upload that stands still for this long is given up.
    pub receiving_seconds_max: i64,
    /// What a cancelled order leaves is cleared away after this time; longer than a worker takes to notice.
    pub cancelled_seconds: i64,
    /// An order is planned anew when no node has had its codec build for this long; longer than nodes are away in a rolling upgrade.
    pub build_seconds: u64,
    /// An object that nobody names is deleted when it is at least this old.
    pub orphan_seconds: i64,
    /// Between two walks through the store.
    pub sweep_seconds: i64,
    /// Objects looked at in one pass.
    pub objects_per_pass: usize,
}

/// How far the consumer of uploads is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Highest stream sequence that was delivered to anybody.
    pub delivered: u64,
    /// Everything up to here is settled. May read 0 after the consumer's leader changed.
    pub floor: u64,
    /// Messages that are delivered and not settled.
    pub unsettled: u64,
}

/// Where the newest announcement of an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announcement {
    /// There is none.
    Absent,
    /// In the backlog: it will be delivered.
    Waiting,
    /// It was delivered, and may be in somebody's hands.
    InDoubt,
    /// It was delivered and settled.
    Passed,
}

/// Places an announcement by its stream sequence.
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

/// What has to be looked at to judge an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// State says all.
    Nothing,
    /// Where the announcement of its upload is.
    Announcement,
    /// What is queued and what is finished.
    Tasks,
    /// When the newest part of its upload was written.
    Parts,
}

/// See [`Need`].
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

/// What was found about an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing was looked at.
    Nothing,
    /// Where the announcement of its upload is.
    Announcement(Announcement),
    /// Its tasks. What is queued must be read before what is finished: a task leaves the queue after its entry is written.
    Tasks {
        /// The release list of its plan.
        steps: Vec<Step>,
        /// Tasks in a lane, waiting or in hand.
        queued: BTreeSet<TaskId>,
        /// Tasks with a ledger entry.
        finished: BTreeSet<TaskId>,
        /// No node has its codec build, and it can be planned with another.
        stranded: bool,
    },
    /// When the newest part of its upload was written, seconds since the epoch; `None` where there is no part.
    Parts(Option<i64>),
}

/// Something that is amiss with a video; the number is the order's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Facts are known and not announced.
    Unannounced,
    /// The upload is complete, and no message says so.
    UploadLost(u32),
    /// The message was delivered long ago, and nobody has said what came of it.
    UploadInDoubt(u32),
    /// A task is due, and neither queued nor finished.
    TaskLost(u32, TaskId),
    /// Every task is finished, and the order is not.
    Unevaluated(u32),
    /// Tasks are left that no node can do, because the plan pins a codec build that is nowhere; so often orders of the video were
    /// planned anew for that before.
    StrandedOrder(u32, u32),
    /// An upload has stood still for too long: since then, in seconds since the epoch. A part that comes makes it another trouble.
    Stalled(u32, i64),
    /// A cancelled order still names what it left.
    Uncleared(u32),
    /// The video was deleted, and something of it is left: its state at least.
    Deleted,
}

/// A part of an upload arrives within this time even on a slow line: 64 MiB at 150 kbit/s.
const NEXT_PART_SECONDS: i64 = 3600;

/// Doublings of the patience for one video: from a quarter of a minute to a day.
const PLANNED_ANEW_MAX: u32 = 13;

impl Trouble {
    /// Whether objects are deleted to mend it.
    #[must_use]
    pub fn deletes(self) -> bool {
        matches!(self, Self::Stalled(..) | Self::Uncleared(_) | Self::Deleted)
    }

    /// For how long it must have been seen before it is mended.
    #[must_use]
    pub fn patience(self, policy: &Policy) -> i64 {
        match self {
            Self::Unannounced | Self::UploadLost(_) | Self::TaskLost(..) | Self::Unevaluated(_) => {
                policy.patience_seconds
            }
            // Twice as patient each time: a node that works and is not heard must not be robbed of its work for ever.
            Self::StrandedOrder(_, before) => {
                policy.patience_seconds.saturating_mul(1 << before.min(PLANNED_ANEW_MAX))
            }
            Self::UploadInDoubt(_) => policy.doubt_seconds,
            // After a clock has leapt ahead everything looks old: who goes on shows it with the next part.
            Self::Stalled(..) => policy.receiving_seconds_max.min(NEXT_PART_SECONDS),
            // Its patience is in what was found; nobody works on it any more.
            Self::Uncleared(_) | Self::Deleted => 0,
        }
    }
}

/// What is amiss. `found` says what was looked at, by order; an order that is not in it is not judged.
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
        // Its workers have noticed by then, as those of a cancelled order.
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
            Some(Found::Tasks { steps, queued, finished, stranded }) => {
                troubles.extend(of_tasks(order, steps, queued, finished));
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
) -> Vec<Trouble> {
    if all_in(steps, finished) {
        return vec![Trouble::Unevaluated(order.number)];
    }
    // The narrowest window that any publisher uses: a wider one would release what nobody meant to.
    let window = release::window(0, 1);
    let due = release::due_of(steps, |task| finished.contains(&task), window);
    let lost =
        |task: &TaskId| !queued.contains(task) && !order.dead.contains_key(&Unit::Task(*task));
    due.into_iter().filter(lost).map(|task| Trouble::TaskLost(order.number, task)).collect()
}

fn all_in(steps: &[Step], finished: &BTreeSet<TaskId>) -> bool {
    steps.iter().all(|step| finished.contains(&step.task))
}

/// Whether a video needs no look until its state changes.
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
    /// Takes note of what is amiss now, forgets what is not any more, and gives what has lasted long enough. A trouble that is
    /// given is watched anew: its repair has as long to take effect.
    pub fn ripe(&mut self, now: i64, amiss: BTreeSet<Trouble>, policy: &Policy) -> Vec<Trouble> {
        self.0.retain(|trouble, _| amiss.contains(trouble));
        let mut ripe = Vec::new();
        for trouble in amiss {
            let since = *self.0.entry(trouble).or_insert(now);
            let patience = trouble.patience(policy);
            // A clock that was set back must not postpone a repair for as long as it was set.
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
