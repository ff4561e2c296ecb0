//! The load of the cluster: its queues, its backlog, its nodes. Metrics, `jetreel queues`, `jetreel top` and the scaler use these numbers.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::delivery::dispatch::TaskQueue;
use crate::delivery::room::Room;
use crate::delivery::stage::Stage;
use crate::id::Group;
use crate::order::lane::Lane;
use crate::scale::backlog::{Backlog, Work};
use crate::scale::demand::Demand;
use crate::scale::queue::{Queue, Reader};
use crate::upkeep::presence::Presence;

/// Schema version of the document.
const VERSION: u32 = 1;

/// Slots of one node that count at most. A report may name any number.
const SLOTS_MAX: usize = 4096;

/// State of a queue, from its consumer's leader.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueueLoad {
    /// Name of the stage that reads it.
    pub stage: Reader,
    /// Lane of its tasks; `None` if the stage has no lanes.
    pub lane: Option<Lane>,
    /// Group of its tasks; `None` if the stage has no groups.
    pub group: Option<Group>,
    pub stream: String,
    pub consumer: String,
    /// Messages that were not delivered yet.
    pub pending: u64,
    /// Messages that were delivered and are not settled: in hand, or waiting for their next attempt.
    pub ack_pending: u64,
    /// `pending` and `ack_pending` together.
    pub lag: u64,
    /// Messages that were delivered more than once and are not settled.
    pub redelivered: u64,
    /// Age of the oldest message that was not delivered yet, in seconds; `None` if all are delivered.
    pub oldest_seconds: Option<f64>,
    /// End of its pause in seconds since the Unix epoch; `None` if it is not paused.
    pub paused_until: Option<i64>,
}

impl QueueLoad {
    /// Name of the queue.
    #[must_use]
    pub fn queue(&self) -> Queue {
        let tasks = self.lane.zip(self.group).map(|(lane, group)| TaskQueue::new(lane, group));
        Queue { stage: self.stage, tasks }
    }
}

/// The queues at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Queues {
    /// The broker's time in seconds since the Unix epoch.
    pub at: i64,
    pub queues: Vec<QueueLoad>,
    /// Messages of a work queue that none of its consumers accounts for, by stage. While messages come and go, it may be some too many.
    pub orphans: BTreeMap<&'static str, u64>,
}

/// A node by its last report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeLoad {
    pub name: String,
    pub roles: Vec<String>,
    pub slots: u64,
    /// Slots with a task in hand.
    pub busy: u64,
    /// Age of the report in seconds.
    pub heard_seconds: i64,
}

impl NodeLoad {
    /// A node whose report is that old.
    #[must_use]
    pub fn of(presence: &Presence, heard_seconds: i64) -> Self {
        let slots = presence.slots.min(SLOTS_MAX);
        Self {
            name: presence.node.clone(),
            roles: presence.roles.iter().cloned().collect(),
            slots: slots as u64,
            busy: presence.busy.min(slots) as u64,
            heard_seconds: heard_seconds.max(0),
        }
    }
}

/// The load of the cluster at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Load {
    /// Schema version.
    pub v: u32,
    /// The broker's time in seconds since the Unix epoch.
    pub at: i64,
    pub queues: Vec<QueueLoad>,
    /// Unfinished work of open orders, released or not, by lane and group.
    pub backlog: Vec<Work>,
    /// Encode seconds of all unfinished work.
    pub backlog_seconds: f64,
    /// Open orders without a complete tier, by lane.
    pub videos_waiting: BTreeMap<Lane, u64>,
    /// Age of the oldest order with unfinished tasks in seconds, of each lane that has one.
    pub oldest_order_seconds: BTreeMap<Lane, i64>,
    /// Encode seconds that a busy slot does in a second.
    pub speed: f64,
    /// Nodes that reported lately, by name.
    pub nodes: Vec<NodeLoad>,
    pub slots: u64,
    pub slots_busy: u64,
    /// Seconds until the backlog is done, if no work arrives and all slots work on it; `None` without a slot.
    pub drain_seconds: Option<f64>,
    pub dead_letters: Room,
    /// See [`Queues::orphans`].
    pub orphans: BTreeMap<&'static str, u64>,
    /// Queues whose tasks wait for their hours.
    #[serde(skip)]
    pub closed: BTreeSet<TaskQueue>,
}

impl Load {
    /// Adds up what was read.
    #[must_use]
    pub fn of(queues: Queues, backlog: &Backlog, mut nodes: Vec<NodeLoad>, letters: Room) -> Self {
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        let Queues { at, queues, orphans } = queues;
        let work = backlog.work();
        let (slots, speed) = (nodes.iter().map(|node| node.slots).sum(), backlog.speed());
        let backlog_seconds: f64 = work.iter().map(|work| work.seconds).sum();
        let drain = backlog_seconds / (slots as f64 * speed);
        Self {
            v: VERSION,
            at,
            queues,
            backlog: work,
            backlog_seconds,
            videos_waiting: backlog.waiting(),
            oldest_order_seconds: backlog
                .oldest()
                .into_iter()
                .map(|(lane, created)| (lane, (at - created).max(0)))
                .collect(),
            speed,
            slots_busy: nodes.iter().map(|node| node.busy).sum(),
            nodes,
            slots,
            drain_seconds: drain.is_finite().then_some(drain),
            dead_letters: letters,
            orphans,
            closed: BTreeSet::new(),
        }
    }

    /// Encode seconds of unfinished work of a queue.
    #[must_use]
    pub fn backlog_of(&self, queue: &Queue) -> Option<f64> {
        let TaskQueue { lane, group } = queue.tasks?;
        let own = self.backlog.iter().find(|work| (work.lane, work.group) == (lane, group));
        own.map(|work| work.seconds)
    }

    fn is_closed(&self, queue: &QueueLoad) -> bool {
        let named = queue.lane.zip(queue.group);
        named.is_some_and(|(lane, group)| self.closed.contains(&TaskQueue::new(lane, group)))
    }

    /// What the scaler is to know. Work of a queue that is paused or waits for its hours waits whatever the number of nodes, so it counts as
    /// none.
    #[must_use]
    pub fn demand(&self, now_seconds: f64, arrivals_per_second: f64) -> Demand {
        let encode = self.queues.iter().filter(|queue| queue.stage == Reader::Stage(Stage::Encode));
        let (paused, taken): (Vec<_>, Vec<_>) =
            encode.partition(|queue| queue.paused_until.is_some() || self.is_closed(queue));
        let is_paused = |work: &&Work| {
            paused
                .iter()
                .any(|queue| (queue.lane, queue.group) == (Some(work.lane), Some(work.group)))
        };
        let work: Vec<&Work> = self.backlog.iter().filter(|work| !is_paused(work)).collect();
        let has_work = |queue: &&&QueueLoad| {
            let own =
                |work: &&&Work| (Some(work.lane), Some(work.group)) == (queue.lane, queue.group);
            work.iter().find(own).is_some_and(|work| work.tasks > 0)
        };
        let goes_on = |lane: Lane| taken.iter().filter(has_work).any(|q| q.lane == Some(lane));
        let ages = self.oldest_order_seconds.iter().filter(|(lane, _)| goes_on(**lane));
        let per_node = self.nodes.iter().map(|node| node.slots).max().unwrap_or(0);
        Demand {
            now_seconds,
            lag_tasks: taken.iter().map(|queue| queue.lag).sum(),
            unfinished_tasks: work.iter().map(|work| work.tasks).sum(),
            backlog_seconds: work.iter().map(|work| work.seconds).sum(),
            arrivals_per_second,
            oldest_seconds: ages.map(|(_, age)| *age).max().unwrap_or(0) as f64,
            speed: self.speed,
            busy_slots: u32::try_from(self.slots_busy).unwrap_or(u32::MAX),
            slots_per_node: u32::try_from(per_node).unwrap_or(u32::MAX),
        }
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
