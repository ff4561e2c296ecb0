//! Node processes on the scaler's own machine: which to start, to drain and to kill.
//!
//! ```text
//!   ─── wanted ──► running ── not wanted ──► draining ── ended ──► gone
//!                  │    ▲                       └─ the limit of a drain has passed: killed
//!             died │    │ after a delay
//!                  ▼    │
//!                   down
//! ```
//! Invariants: never more processes than the maximum, those that drain included. A process is killed only after its drain had its time.
//!
//! Times count from any fixed moment and never go back.

use std::collections::BTreeMap;
use std::time::Duration;

/// Bounds of the number of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub min: u32,
    pub max: u32,
}

impl Bounds {
    /// Processes that should run when so many nodes are wanted.
    #[must_use]
    pub fn of_wanted(&self, nodes: u32) -> u32 {
        nodes.min(self.max).max(self.min.min(self.max))
    }
}

/// What to do with the process of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Start(u32),
    Drain(u32),
    Kill(u32),
}

/// Processes by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub running: usize,
    pub draining: usize,
    /// Died, and wait for their restart.
    pub down: usize,
}

/// A process that ran for so long was no failure from its start.
const STEADY: Duration = Duration::from_secs(60);
/// Delay before the first restart. It doubles with each further failure.
const DELAY_MIN: Duration = Duration::from_secs(1);
const DELAY_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
enum State {
    Running { since: Duration, failures: u32 },
    Draining { since: Duration, killed: bool },
    Down { until: Duration, failures: u32 },
}

/// The processes by number, from 1.
#[derive(Debug, Clone)]
pub struct Locals {
    max: u32,
    /// Time that a drain may take.
    limit: Duration,
    nodes: BTreeMap<u32, State>,
}

impl Locals {
    /// No processes yet; at most `max`, whose drains may take `limit`.
    #[must_use]
    pub fn new(max: u32, limit: Duration) -> Self {
        Self { max, limit, nodes: BTreeMap::new() }
    }

    /// What is to be done so that `target` processes run. The caller does all of it.
    pub fn act(&mut self, target: u32, now: Duration) -> Vec<Act> {
        let mut acts = self.overdue(now);
        let wanted = target.min(self.max) as usize;
        // The highest numbers go first, and those that are down before any that runs.
        while self.serving() > wanted {
            let down = self.last(|state| matches!(state, State::Down { .. }));
            if let Some(number) = down {
                self.nodes.remove(&number);
                continue;
            }
            let Some(number) = self.last(|state| matches!(state, State::Running { .. })) else {
                break;
            };
            self.nodes.insert(number, State::Draining { since: now, killed: false });
            acts.push(Act::Drain(number));
        }
        acts.extend(self.due(now));
        while self.serving() < wanted {
            let Some(number) = (1..=self.max).find(|number| !self.nodes.contains_key(number))
            else {
                break;
            };
            self.nodes.insert(number, State::Running { since: now, failures: 0 });
            acts.push(Act::Start(number));
        }
        acts
    }

    /// Records that a process ended, or could not be started.
    pub fn ended(&mut self, number: u32, now: Duration) {
        match self.nodes.get(&number).copied() {
            Some(State::Running { since, failures }) => {
                let steady = now.saturating_sub(since) >= STEADY;
                let before = if steady { 0 } else { failures };
                let delay = DELAY_MIN.saturating_mul(2_u32.saturating_pow(before)).min(DELAY_MAX);
                let down = State::Down { until: now + delay, failures: before.saturating_add(1) };
                self.nodes.insert(number, down);
            }
            Some(State::Draining { .. }) => {
                self.nodes.remove(&number);
            }
            Some(State::Down { .. }) | None => {}
        }
    }

    /// When [`Self::act`] has something to do although nothing else happens.
    #[must_use]
    pub fn wakes(&self) -> Option<Duration> {
        let when = |state: &State| match state {
            State::Down { until, .. } => Some(*until),
            State::Draining { since, killed: false } => Some(*since + self.limit),
            State::Draining { killed: true, .. } | State::Running { .. } => None,
        };
        self.nodes.values().filter_map(when).min()
    }

    /// Processes by state.
    #[must_use]
    pub fn count(&self) -> Count {
        let mut count = Count::default();
        for state in self.nodes.values() {
            match state {
                State::Running { .. } => count.running += 1,
                State::Draining { .. } => count.draining += 1,
                State::Down { .. } => count.down += 1,
            }
        }
        count
    }

    /// Numbers of the processes that drain.
    pub fn draining(&self) -> impl Iterator<Item = u32> {
        let drains = |state: &State| matches!(state, State::Draining { .. });
        self.nodes.iter().filter(move |(_, state)| drains(state)).map(|(number, _)| *number)
    }

    /// Whether no process is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Processes that run or will be started again.
    fn serving(&self) -> usize {
        let Count { running, down, .. } = self.count();
        running + down
    }

    fn last(&self, is: impl Fn(&State) -> bool) -> Option<u32> {
        self.nodes.iter().rev().find(|(_, state)| is(state)).map(|(number, _)| *number)
    }

    /// Kills whatever drains for longer than it may.
    fn overdue(&mut self, now: Duration) -> Vec<Act> {
        let mut acts = Vec::new();
        for (number, state) in &mut self.nodes {
            if let State::Draining { since, killed } = state
                && !*killed
                && now >= *since + self.limit
            {
                *killed = true;
                acts.push(Act::Kill(*number));
            }
        }
        acts
    }

    /// Starts what has been down for long enough.
    fn due(&mut self, now: Duration) -> Vec<Act> {
        let mut acts = Vec::new();
        for (number, state) in &mut self.nodes {
            if let State::Down { until, failures } = *state
                && now >= until
            {
                *state = State::Running { since: now, failures };
                acts.push(Act::Start(*number));
            }
        }
        acts
    }
}

#[cfg(test)]
#[path = "locals_tests.rs"]
mod tests;
