//! Work of the open orders that is not finished, from the states of the videos and the ledger.
//!
//! Both are followed: a state replaces what was known of its video, a ledger entry is added once. Nothing is read again.
//!
//! Invariant: the ledger is read before the states. So an order with an entry and without an open state is closed, and its entries are
//! forgotten.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::delivery::dispatch::TaskQueue;
use crate::id::{Group, OrderId, TaskId, VideoId};
use crate::order::lane::Lane;
use crate::order::state::{Fact, Order, Status, Video};
use crate::plan::shares::{Share, Shares};
use crate::scale::speed::Speed;

/// Encode seconds of a task of an order that was planned by an older version, which did not record them.
const TASK_SECONDS: f64 = 20.0;

/// A task with an entry in the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    pub order: OrderId,
    pub task: TaskId,
    /// Wall time from the claim to the entry in seconds. 0 if it is not known.
    pub wall_seconds: f64,
}

/// Unfinished work of a lane and a group.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Work {
    pub lane: Lane,
    pub group: Group,
    /// Tasks without a ledger entry, released or not.
    pub tasks: u64,
    /// Encode seconds of these tasks.
    pub seconds: f64,
}

/// An order that is not closed.
#[derive(Debug, Clone, PartialEq)]
struct Open {
    lane: Lane,
    /// Creation time in seconds since the Unix epoch.
    created: i64,
    /// Whether it is failed. It keeps its entries, and has no work before it is replayed.
    failed: bool,
    /// Whether no tier is complete.
    waits: bool,
    work: Shares,
}

/// Tasks of an order that have an entry.
#[derive(Debug, Clone, Default)]
struct Finished {
    tasks: BTreeSet<TaskId>,
    counts: BTreeMap<Group, u32>,
}

/// The open orders and what is finished of them.
#[derive(Debug, Clone, Default)]
pub struct Backlog {
    open: BTreeMap<OrderId, Open>,
    finished: BTreeMap<OrderId, Finished>,
    /// Entries whose orders' states are not read yet.
    fresh: Vec<Done>,
    /// Encode seconds that were planned since they were last taken.
    arrived: f64,
    speed: Speed,
}

impl Backlog {
    /// Enters a ledger entry. A repeat changes nothing.
    pub fn finish(&mut self, done: Done) {
        let finished = self.finished.entry(done.order.clone()).or_default();
        if finished.tasks.insert(done.task) {
            *finished.counts.entry(done.task.group).or_default() += 1;
            self.fresh.push(done);
        }
    }

    /// Enters the state of a video in place of what was known of it.
    pub fn enter(&mut self, video: &Video) {
        let before = self.take(&video.id);
        for order in &video.orders {
            let Some(open) = Open::of(video, order) else { continue };
            let id = video.order_id(order.number);
            if before.get(&id).is_none_or(|before| before.work.is_empty()) {
                self.arrived += open.work.seconds();
            }
            self.open.insert(id, open);
        }
    }

    /// Removes a video.
    pub fn remove(&mut self, video: &VideoId) {
        self.take(video);
    }

    fn take(&mut self, video: &VideoId) -> BTreeMap<OrderId, Open> {
        let all = OrderId::new(video.clone(), 0)..=OrderId::new(video.clone(), u32::MAX);
        let orders: Vec<OrderId> = self.open.range(all).map(|(order, _)| order.clone()).collect();
        let taken = orders.into_iter().filter_map(|order| self.open.remove_entry(&order));
        taken.collect()
    }

    /// Ends a round of reading: all states were read after the entries.
    pub fn settle(&mut self) {
        for done in std::mem::take(&mut self.fresh) {
            if let Some(open) = self.open.get(&done.order) {
                self.speed.add(open.mean(done.task.group), done.wall_seconds);
            }
        }
        self.finished.retain(|order, _| self.open.contains_key(order));
    }

    /// Encode seconds that were planned since the last call.
    pub fn take_arrived(&mut self) -> f64 {
        std::mem::take(&mut self.arrived)
    }

    /// Encode seconds that a busy slot does in a second.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.speed.get()
    }

    /// Unfinished work of every lane and group.
    #[must_use]
    pub fn work(&self) -> Vec<Work> {
        let mut sums = BTreeMap::<TaskQueue, (u64, f64)>::new();
        for (id, order) in self.working() {
            for (group, tasks, seconds) in self.left(id, order) {
                let sum = sums.entry(TaskQueue::new(order.lane, group)).or_default();
                *sum = (sum.0 + tasks, sum.1 + seconds);
            }
        }
        let of = |lane, group| {
            let (tasks, seconds) =
                sums.get(&TaskQueue::new(lane, group)).copied().unwrap_or_default();
            Work { lane, group, tasks, seconds }
        };
        Lane::ALL.into_iter().flat_map(|lane| Group::ALL.map(|group| of(lane, group))).collect()
    }

    /// Open orders without a complete tier, by lane.
    #[must_use]
    pub fn waiting(&self) -> BTreeMap<Lane, u64> {
        let mut waiting: BTreeMap<Lane, u64> = Lane::ALL.map(|lane| (lane, 0)).into();
        for (_, order) in self.working().filter(|(_, order)| order.waits) {
            *waiting.entry(order.lane).or_default() += 1;
        }
        waiting
    }

    /// Creation time of the oldest order with unfinished tasks in each lane that has one, in seconds since the Unix epoch.
    #[must_use]
    pub fn oldest(&self) -> BTreeMap<Lane, i64> {
        let mut oldest = BTreeMap::<Lane, i64>::new();
        for (id, order) in self.working() {
            if self.left(id, order).any(|(_, tasks, _)| tasks > 0) {
                let created = oldest.entry(order.lane).or_insert(order.created);
                *created = order.created.min(*created);
            }
        }
        oldest
    }

    fn working(&self) -> impl Iterator<Item = (&OrderId, &Open)> {
        self.open.iter().filter(|(_, order)| !order.failed)
    }

    /// Unfinished tasks and their encode seconds, by group.
    fn left(&self, id: &OrderId, order: &Open) -> impl Iterator<Item = (Group, u64, f64)> {
        let mut done = BTreeMap::<Group, u32>::new();
        let finished = self.finished.get(id).into_iter().flat_map(|finished| &finished.counts);
        for (group, count) in finished {
            *done.entry(order.group(*group)).or_default() += count;
        }
        let work = order.work.clone();
        Group::ALL.into_iter().map(move |group| {
            let share = work.get(group);
            let left = share.tasks.saturating_sub(done.get(&group).copied().unwrap_or(0));
            let part = f64::from(left) / f64::from(share.tasks.max(1));
            (group, u64::from(left), share.seconds * part)
        })
    }
}

impl Open {
    /// `None` if the order is closed, or its upload is still arriving.
    fn of(video: &Video, order: &Order) -> Option<Self> {
        if order.is_closed() || video.is_deleted() || order.status == Status::Receiving {
            return None;
        }
        let work = match &order.plan {
            Some(plan) if order.work.is_empty() => {
                let seconds = f64::from(plan.tasks) * TASK_SECONDS;
                Shares::one(Group::Main, Share { tasks: plan.tasks, seconds })
            }
            Some(_) | None => order.work.clone(),
        };
        Some(Self {
            lane: order.lane,
            created: order.created,
            failed: order.status == Status::Failed,
            waits: !order.facts.iter().any(|known| matches!(known.fact, Fact::Tier(_))),
            work,
        })
    }

    /// Group under which the work of a group is known.
    fn group(&self, group: Group) -> Group {
        if self.work.get(group).tasks > 0 { group } else { Group::Main }
    }

    /// Encode seconds of a task of a group, on average.
    fn mean(&self, group: Group) -> f64 {
        let share = self.work.get(self.group(group));
        share.seconds / f64::from(share.tasks.max(1))
    }
}

#[cfg(test)]
#[path = "backlog_tests.rs"]
mod tests;
