//! How many nodes and slots the cluster should have: a pure function of load, rules and what it decided before.
//!
//! The need, in nodes, is
//!
//! ```text
//!        backlog seconds                   arriving encode seconds a second
//!  ───────────────────────────────────  +  ────────────────────────────────
//!  time left × slots of a node × speed         slots of a node × speed
//! ```
//!
//! - *Time left* is the target less the age of the oldest unfinished order, at least a tenth of the target. So a burst keeps its nodes until
//!   it is done, instead of losing them as it shrinks, and work that is late gets more of them.
//! - The first term is at most the unfinished tasks divided by the slots of a node: more slots would have nothing to do.
//! - Step rules bound the need: while more tasks than an `above` rule says are unfinished, its nodes are the least; while fewer than a `below`
//!   rule says, its nodes are the most. Of several rules the largest least and the smallest most count. A least wins over a most, because
//!   waiting is worse than paying, and `nodes-min` and `nodes-max` win over all. Between its thresholds a pair of rules says nothing. Without a
//!   target the rules act on the number that is there.
//! - More nodes are wanted at once, as soon as the need exceeds the present number by the hysteresis.
//! - Fewer nodes are wanted only when the need stayed below the present number, less the hysteresis, for all of `stable-seconds`, and
//!   `cooldown-seconds` have passed since the last change; then as many as the highest need of that time, and never fewer than the work in hand
//!   fills.
//!
//! Invariants, tested: the result grows with the backlog; it lies within min and max; a load that varies by less than the hysteresis allows
//! causes no change once the number has settled.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::demand::Demand;
use super::policy::Policy;

/// Smallest time left, as a share of the target.
const TIME_LEFT_MIN: f64 = 0.1;
/// Rounding errors of a need that is a whole number.
const ROUNDING: f64 = 1e-9;

/// What the scaler remembers between two decisions. A new leader starts with [`Memory::new`], and so takes no node away before it has watched
/// for `stable-seconds`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Memory {
    /// Nodes that were wanted last.
    nodes: u32,
    /// When this memory began.
    since_seconds: f64,
    /// When the number of nodes last changed.
    changed_seconds: f64,
    /// Times and needs of the last `stable-seconds` of which no later one is higher: times ascend, needs descend.
    needs: VecDeque<(f64, f64)>,
}

/// What the cluster should have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Wanted {
    /// Nodes.
    pub nodes: u32,
    /// Slots of all nodes together that have something to do.
    pub slots: u32,
    /// The need of this moment in nodes, before bounds, hysteresis, stable time and cooldown.
    pub need: f64,
    /// What became of the number of nodes, and why.
    pub change: Change,
}

/// What became of the number of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// More than before.
    Out,
    /// Fewer than before.
    In,
    /// The need lies within the hysteresis.
    Steady,
    /// Fewer nodes are needed, but not for long enough yet, or the last change is too recent.
    Waiting,
    /// Fewer nodes are needed, but the work in hand fills these.
    InHand,
}

impl Memory {
    /// The memory of a scaler that begins with so many nodes.
    #[must_use]
    pub fn new(now_seconds: f64, nodes: u32) -> Self {
        let needs = VecDeque::new();
        Self { nodes, since_seconds: now_seconds, changed_seconds: now_seconds, needs }
    }

    /// Nodes that were wanted last.
    #[must_use]
    pub fn nodes(&self) -> u32 {
        self.nodes
    }

    /// Records a need and returns the highest one of the last `stable_seconds`.
    fn highest(&mut self, now: f64, need: f64, stable_seconds: f64) -> f64 {
        while self.needs.back().is_some_and(|(_, earlier)| *earlier <= need) {
            self.needs.pop_back();
        }
        self.needs.push_back((now, need));
        while self.needs.front().is_some_and(|(at, _)| *at < now - stable_seconds) {
            self.needs.pop_front();
        }
        self.needs.front().map_or(need, |(_, highest)| *highest)
    }
}

/// Decides, and returns what is to be remembered for the next decision.
#[must_use]
pub fn decide(policy: &Policy, demand: &Demand, mut memory: Memory) -> (Wanted, Memory) {
    let tasks = demand.tasks();
    let (floor, ceiling) = (policy.floor(tasks), policy.ceiling(tasks));
    let present = memory.nodes.clamp(policy.nodes_min, policy.nodes_max);
    let unbounded = if policy.target_drain_seconds > 0.0 {
        need(policy.target_drain_seconds, demand)
    } else {
        f64::from(present)
    };
    let need = unbounded.clamp(f64::from(floor), f64::from(ceiling));
    let now = demand.now_seconds;
    let highest = memory.highest(now, need, policy.stable_seconds);
    let (wish, change) = wish(policy, demand, &memory, (present, need, highest));
    let nodes = wish.max(floor).min(policy.nodes_max);
    let change = match nodes.cmp(&memory.nodes) {
        std::cmp::Ordering::Greater => Change::Out,
        std::cmp::Ordering::Less => Change::In,
        std::cmp::Ordering::Equal => change,
    };
    if nodes != memory.nodes {
        memory.changed_seconds = now;
        memory.nodes = nodes;
    }
    let slots = whole(need * f64::from(demand.slots_per_node.max(1)));
    (Wanted { nodes, slots, need: unbounded, change }, memory)
}

/// Nodes that the load needs by itself.
fn need(target_seconds: f64, demand: &Demand) -> f64 {
    let left = (target_seconds - demand.oldest_seconds).max(target_seconds * TIME_LEFT_MIN);
    let drain = demand.backlog_seconds.max(0.0) / (left * demand.node_rate());
    let width = demand.tasks() as f64 / f64::from(demand.slots_per_node.max(1));
    drain.min(width) + demand.arrivals_per_second.max(0.0) / demand.node_rate()
}

/// The number of nodes before the bounds, with why it stays if it does.
fn wish(
    policy: &Policy,
    demand: &Demand,
    memory: &Memory,
    (present, need, highest): (u32, f64, f64),
) -> (u32, Change) {
    let now = demand.now_seconds;
    if need > f64::from(present) * (1.0 + policy.hysteresis) + ROUNDING {
        return (whole(need), Change::Out);
    }
    let lower = whole(highest).min(present);
    if highest >= f64::from(present) * (1.0 - policy.hysteresis) || lower == present {
        return (present, Change::Steady);
    }
    let watched = now - memory.since_seconds >= policy.stable_seconds;
    let rested = now - memory.changed_seconds >= policy.cooldown_seconds;
    if !watched || !rested {
        return (present, Change::Waiting);
    }
    let in_hand = demand.nodes_in_hand();
    if in_hand >= present {
        return (present, Change::InHand);
    }
    (lower.max(in_hand), Change::In)
}

fn whole(need: f64) -> u32 {
    (need - ROUNDING).ceil().clamp(0.0, f64::from(u32::MAX)) as u32
}
