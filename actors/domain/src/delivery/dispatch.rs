//! Decides which queue a free slot of a node asks next.
//!
//! ```text
//!          a hint, or a task that is known to wait
//!   empty ─────────────────────────────────────────► asked ──► a task, and how many more wait
//!     ▲ └───────── after some seconds, few a second ───▲ │
//!     └──────────────────── no task ─────────────────────┘
//! ```
//! Only queues are asked from which the node takes tasks, see [`super::eligibility`] and [`Dispatch::take_only`].
//!
//! Invariants: open pulls and tasks in hand together are never more than the slots. An empty queue is asked again only after a hint that
//! names it or after a while. A hint counts if it arrives after the request was sent, whatever the answer says.
//!
//! Time, chance and hints come from the caller. Times count from the start of the node.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::id::Group;
use crate::order::lane::{self, Lane};

/// Groups in the order in which a free slot prefers them: first what makes a video playable, then what completes a job that has begun, then
/// the bulk of any job. In another order a lasting backlog would begin every job and complete none.
pub const URGENCY: [Group; 6] =
    [Group::First, Group::Audio, Group::Package, Group::Images, Group::Main, Group::Top];

/// Shortest time after which an empty queue is asked without a hint. Hints may be lost, and a message that was handed back or whose lease
/// ended comes without one.
const AGAIN_MIN: Duration = Duration::from_secs(3);
/// Most that chance adds to it, so that nodes do not ask at the same time.
const AGAIN_SPREAD: Duration = Duration::from_secs(2);
/// Average time between two pulls without a hint, over all queues of a node.
const AGAIN_PERIOD: Duration = Duration::from_millis(250);
/// Most such pulls in a row.
const AGAIN_BURST: u32 = 4;
/// While a queue holds tasks, a pull without a hint goes before its tasks only after so many of them, or after this time.
const AGAIN_TASKS: u64 = 8;
const AGAIN_MAX: Duration = Duration::from_secs(5);

/// Wait of a pull on a hint while there is nothing else to do. A hint may arrive before the server has stored the message.
const HINT_WAIT: Duration = Duration::from_millis(50);
/// Wait of the second pull on the same hint.
const DOUBT_WAIT: Duration = Duration::from_millis(100);
/// Age of a hint from which on its message is stored, or another node has it.
const HINT_AGE_MAX: Duration = Duration::from_secs(1);
/// Time added to the delay of a message that this node handed back, and the most that chance adds to it. The server's clock starts later.
const RETURN_SLACK: Duration = Duration::from_millis(50);
const RETURN_SPREAD: Duration = Duration::from_millis(500);

/// A queue of tasks: one per lane and group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskQueue {
    pub lane: Lane,
    pub group: Group,
}

impl TaskQueue {
    /// The queue of a group in a lane.
    #[must_use]
    pub const fn new(lane: Lane, group: Group) -> Self {
        Self { lane, group }
    }

    /// All queues.
    pub fn all() -> impl Iterator<Item = Self> {
        Lane::ALL.into_iter().flat_map(|lane| Group::ALL.map(|group| Self { lane, group }))
    }

    /// Place among [`Self::all`].
    fn index(self) -> usize {
        self.lane as usize * Group::ALL.len() + self.group as usize
    }
}

/// Number of hints that a node has received, by queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard(BTreeMap<TaskQueue, u64>);

impl Heard {
    /// Counts a hint.
    pub fn note(&mut self, queue: TaskQueue) {
        *self.0.entry(queue).or_default() += 1;
    }

    fn of(&self, queue: TaskQueue) -> u64 {
        self.0.get(&queue).copied().unwrap_or(0)
    }
}

/// Slots of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slots {
    /// Tasks at the same time.
    pub all: usize,
    /// How many of them only tasks of the lane `high` may take.
    pub for_high: usize,
    /// Most tasks of a group at the same time. A group without an entry may take every slot.
    pub of_groups: BTreeMap<Group, usize>,
}

/// A request for one task. The slot that it is for stays reserved until [`Dispatch::answered`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pull {
    pub queue: TaskQueue,
    /// How long the server may wait for a task. Zero: it answers at once.
    pub wait: Duration,
    /// Whether a hint is the reason.
    hinted: bool,
    /// Whether the queue was believed to be empty.
    unprompted: bool,
}

/// Answer to a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A task, with the number of tasks behind it that were never delivered, and whether it was delivered before itself. Where one comes back,
    /// because a node died or handed back its work, others do, and the number does not count them.
    Task { pending: u64, again: bool },
    /// The queue has no task.
    Nothing,
    /// The broker failed.
    Failed,
}

impl Answer {
    /// Label value in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Task { .. } => "task",
            Self::Nothing => "nothing",
            Self::Failed => "failed",
        }
    }
}

/// What a node knows of a queue.
#[derive(Debug, Clone)]
struct Known {
    /// Whether this node takes tasks from the queue.
    is_taken: bool,
    /// Tasks of this node from the queue.
    in_hand: usize,
    /// Pulls without an answer.
    open: usize,
    /// Tasks that wait, as last heard.
    waiting: u64,
    /// Hints so far.
    heard: u64,
    /// When the newest hint was noticed.
    heard_at: Duration,
    /// Whether the queue ever had a task or a hint.
    is_used: bool,
    /// Whether a hint came after the last request.
    hinted: bool,
    /// Whether a pull on the newest hint found nothing.
    doubted: bool,
    /// When the queue is asked again although it is empty.
    again: Duration,
    /// When messages return that this node handed back, and how many.
    returns: BTreeMap<Duration, u64>,
}

impl Known {
    /// Nothing is known before the first answer: a task may wait.
    fn new() -> Self {
        Self {
            is_taken: true,
            in_hand: 0,
            open: 0,
            waiting: 1,
            heard: 0,
            heard_at: Duration::ZERO,
            is_used: false,
            hinted: false,
            doubted: false,
            again: Duration::ZERO,
            returns: BTreeMap::new(),
        }
    }

    fn slots(&self) -> usize {
        self.in_hand + self.open
    }

    fn notice(&mut self, now: Duration, heard: u64) {
        if heard > self.heard {
            self.heard = heard;
            self.heard_at = now;
            self.is_used = true;
            self.hinted = true;
            self.doubted = false;
        }
        let later = self.returns.split_off(&(now + Duration::from_nanos(1)));
        let back: u64 = std::mem::replace(&mut self.returns, later).values().sum();
        self.waiting = self.waiting.max(back);
    }

    /// Whether a task waits that no open pull will take.
    fn is_known_to_wait(&self) -> bool {
        self.waiting > self.open as u64
    }

    fn may_hold(&self) -> bool {
        self.hinted || self.is_known_to_wait()
    }

    fn is_due(&self, now: Duration) -> bool {
        self.open == 0 && self.again <= now
    }

    fn is_doubtful(&self, now: Duration) -> bool {
        self.doubted && self.open == 0 && now.saturating_sub(self.heard_at) < HINT_AGE_MAX
    }
}

/// Slots and queues of a node, see the head of the file.
#[derive(Debug, Clone)]
pub struct Dispatch {
    slots: Slots,
    /// In the order of [`TaskQueue::all`].
    queues: Vec<Known>,
    /// Tasks since the start.
    taken: u64,
    /// Pulls without a hint are allowed from this time on, less [`AGAIN_BURST`].
    paced: Duration,
    /// When the last of them was sent, and [`Self::taken`] then.
    asked_again: (Duration, u64),
}

impl Dispatch {
    /// Every slot is free, and every queue may hold tasks.
    #[must_use]
    pub fn new(slots: Slots) -> Self {
        let queues = TaskQueue::all().map(|_| Known::new()).collect();
        Self { slots, queues, taken: 0, paced: Duration::ZERO, asked_again: (Duration::ZERO, 0) }
    }

    /// From now on, takes tasks from these queues and no others. Tasks in hand stay there. A queue that comes to them is asked at once.
    pub fn take_only(&mut self, queues: &BTreeSet<TaskQueue>) {
        for (queue, known) in TaskQueue::all().zip(&mut self.queues) {
            let is_taken = queues.contains(&queue);
            if is_taken && !known.is_taken {
                known.waiting = known.waiting.max(1);
            }
            known.is_taken = is_taken;
        }
    }

    /// The next pull, if a slot is free and a queue may hold a task. `heard` must be read before the request is sent.
    pub fn next(&mut self, now: Duration, heard: &Heard) -> Option<Pull> {
        if !self.has_free_slot() {
            return None;
        }
        for (queue, known) in TaskQueue::all().zip(&mut self.queues) {
            known.notice(now, heard.of(queue));
        }
        let order = self.allowed();
        let may_hold = |queue: &TaskQueue| self.known(*queue).may_hold();
        let first = order.iter().position(may_hold);
        let due = match first {
            Some(first) => self.due_before(&order[..first], now),
            None => self.due(&order, now),
        };
        let unprompted = due.is_some();
        let (queue, wait) = if let Some(queue) = due {
            self.paced = self.paced.max(now) + AGAIN_PERIOD;
            self.asked_again = (now, self.taken);
            (queue, Duration::ZERO)
        } else if let Some(first) = first {
            let is_alone = !order[first + 1..].iter().any(may_hold);
            let waits = is_alone && !self.known(order[first]).is_known_to_wait();
            (order[first], if waits { HINT_WAIT } else { Duration::ZERO })
        } else {
            let is_doubtful = |queue: &&TaskQueue| self.known(**queue).is_doubtful(now);
            (*order.iter().find(is_doubtful)?, DOUBT_WAIT)
        };
        let known = &mut self.queues[queue.index()];
        let hinted = std::mem::take(&mut known.hinted);
        known.doubted = false;
        known.open += 1;
        Some(Pull { queue, wait, hinted, unprompted })
    }

    /// The empty queue among `queues` that was not asked for the longest time, if it is time to ask one.
    fn due(&self, queues: &[TaskQueue], now: Duration) -> Option<TaskQueue> {
        if self.paced_from() > now {
            return None;
        }
        let due = queues.iter().filter(|queue| self.known(**queue).is_due(now));
        due.min_by_key(|queue| self.known(**queue).again).copied()
    }

    /// The same among queues that are more urgent than one that may hold a task. A queue in use goes first.
    fn due_before(&self, queues: &[TaskQueue], now: Duration) -> Option<TaskQueue> {
        let (at, taken) = self.asked_again;
        if self.taken < taken + AGAIN_TASKS && now < at + AGAIN_MAX {
            return None;
        }
        let (used, unused): (Vec<_>, Vec<_>) =
            queues.iter().partition(|queue| self.known(**queue).is_used);
        self.due(&used, now).or_else(|| self.due(&unused, now))
    }

    /// Notes the answer to a pull. `chance` is a random number from 0 to 1.
    pub fn answered(&mut self, pull: Pull, answer: Answer, now: Duration, chance: f64) {
        let known = &mut self.queues[pull.queue.index()];
        known.open = known.open.saturating_sub(1);
        known.again = now + AGAIN_MIN + AGAIN_SPREAD.mul_f64(chance.clamp(0.0, 1.0));
        match answer {
            Answer::Task { pending, again } => {
                known.in_hand += 1;
                known.waiting = pending.max(u64::from(again || pull.unprompted));
                known.is_used = true;
                self.taken += 1;
            }
            Answer::Nothing => {
                known.waiting = 0;
                known.doubted = pull.hinted && !known.hinted;
            }
            Answer::Failed => known.waiting = 0,
        }
    }

    /// Frees the slot of a task. `after` is the delay with which its message was handed back, if it was.
    pub fn ended(&mut self, queue: TaskQueue, after: Option<Duration>, now: Duration, chance: f64) {
        let known = &mut self.queues[queue.index()];
        known.in_hand = known.in_hand.saturating_sub(1);
        // A message that is handed back at once is for another node.
        if let Some(after) = after.filter(|after| !after.is_zero()) {
            let spread = RETURN_SPREAD.mul_f64(chance.clamp(0.0, 1.0));
            let at = now.saturating_add(after).saturating_add(RETURN_SLACK + spread);
            *known.returns.entry(at).or_default() += 1;
        }
    }

    /// When [`Self::next`] may have a pull although no hint came and no slot became free. `None` if no slot is free, or no queue may be
    /// asked.
    #[must_use]
    pub fn wakes(&self) -> Option<Duration> {
        if !self.has_free_slot() {
            return None;
        }
        let when = |queue: TaskQueue| {
            let known = self.known(queue);
            // An open pull has an answer first.
            let again = (known.open == 0).then(|| known.again.max(self.paced_from()));
            again.into_iter().chain(known.returns.keys().next().copied()).min()
        };
        self.allowed().into_iter().filter_map(when).min()
    }

    /// Changes the number of slots. Tasks in hand and open pulls keep theirs.
    pub fn resize(&mut self, all: usize) {
        self.slots.all = all;
    }

    /// Tasks in hand.
    #[must_use]
    pub fn busy(&self) -> usize {
        self.queues.iter().map(|known| known.in_hand).sum()
    }

    /// Tasks of a group in hand.
    #[must_use]
    pub fn in_hand(&self, group: Group) -> usize {
        let own = TaskQueue::all().filter(|queue| queue.group == group);
        own.map(|queue| self.known(queue).in_hand).sum()
    }

    /// Whether no task is in hand and no pull is open.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queues.iter().all(|known| known.slots() == 0)
    }

    fn has_free_slot(&self) -> bool {
        self.queues.iter().map(Known::slots).sum::<usize>() < self.slots.all
    }

    fn known(&self, queue: TaskQueue) -> &Known {
        &self.queues[queue.index()]
    }

    fn paced_from(&self) -> Duration {
        self.paced.saturating_sub(AGAIN_PERIOD * (AGAIN_BURST - 1))
    }

    /// Queues that a free slot may ask, in its order of preference.
    fn allowed(&self) -> Vec<TaskQueue> {
        let (mut open, mut common, mut by_group) = (0, 0, [0; URGENCY.len()]);
        for (queue, known) in TaskQueue::all().zip(&self.queues) {
            open += known.open as u64;
            common += if queue.lane == Lane::High { 0 } else { known.slots() };
            by_group[queue.group as usize] += known.slots();
        }
        // However few slots are open, one is for every lane.
        let for_all = self.slots.all.saturating_sub(self.slots.for_high).max(1);
        let has_room = |group: &Group| {
            self.slots.of_groups.get(group).is_none_or(|most| by_group[*group as usize] < *most)
        };
        let groups: Vec<Group> = URGENCY.into_iter().filter(has_room).collect();
        // A pull that finds nothing gives its turn back.
        let lanes = lane::turn(self.taken + open).into_iter();
        let lanes = lanes.filter(|lane| *lane == Lane::High || common < for_all);
        let of_lane = |lane| groups.iter().map(move |group| TaskQueue::new(lane, *group));
        lanes.flat_map(of_lane).filter(|queue| self.known(*queue).is_taken).collect()
    }
}

#[cfg(test)]
#[path = "dispatch_tests.rs"]
mod tests;
