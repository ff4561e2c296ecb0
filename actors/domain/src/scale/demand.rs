//! What the scaler knows: the load of the cluster at one moment, and the machine it runs on.

use serde::{Deserialize, Serialize};

/// Slowest speed that is believed. A measurement below it would want a node for every task.
const SPEED_MIN: f64 = 0.01;

/// The load of the cluster at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Demand {
    /// Time on a clock that never goes back. Only differences count.
    pub now_seconds: f64,
    /// Released tasks that wait or are in hand: the sum of `num_pending` and `num_ack_pending` over the consumers of the encode stage.
    pub lag_tasks: u64,
    /// Unfinished tasks of open orders, released or not, from plans and ledgers. Releases keep queues short, so the lag alone does not
    /// show a backlog.
    pub unfinished_tasks: u64,
    /// Encode seconds of these tasks: the sum of their costs in the plans.
    pub backlog_seconds: f64,
    /// Encode seconds that arrive in a second, from [`super::arrivals::Arrivals`].
    pub arrivals_per_second: f64,
    /// Age of the oldest open order with unfinished tasks, from its upload. Not the age of a message: unreleased work has none.
    pub oldest_seconds: f64,
    /// Encode seconds that a busy slot does in a second: costs of recently finished tasks, divided by their wall time from claim to ledger
    /// entry. 1 where nothing was measured yet.
    pub speed: f64,
    /// Slots with a task in hand, on all nodes.
    pub busy_slots: u32,
    /// Slots of a node, as the nodes report them.
    pub slots_per_node: u32,
}

impl Demand {
    /// Tasks that more slots could take.
    #[must_use]
    pub fn tasks(&self) -> u64 {
        self.unfinished_tasks.max(self.lag_tasks)
    }

    /// Encode seconds that a node does in a second.
    #[must_use]
    pub fn node_rate(&self) -> f64 {
        f64::from(self.slots_per_node.max(1)) * self.speed.max(SPEED_MIN)
    }

    /// Nodes that hold the work in hand, if it is packed.
    #[must_use]
    pub fn nodes_in_hand(&self) -> u32 {
        self.busy_slots.div_ceil(self.slots_per_node.max(1))
    }
}

/// What a machine offers to its slots.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Machine {
    /// Cores that codec processes may use: the limit of the control group, else all.
    pub cores: u32,
    /// Memory that codec processes may use: the limit of the control group or the machine's, without what the node itself needs.
    pub memory_bytes: u64,
    /// Cores of a slot, at least 1.
    pub cores_per_slot: u32,
    /// Memory of a slot: the largest budget of a task that was planned lately.
    pub memory_per_slot_bytes: u64,
}

impl Machine {
    /// Slots that fit. At least one: a single task is tried even on a small machine.
    #[must_use]
    pub fn slots_max(&self) -> u32 {
        let by_cores = self.cores / self.cores_per_slot.max(1);
        let by_memory = self.memory_bytes / self.memory_per_slot_bytes.max(1);
        by_cores.min(u32::try_from(by_memory).unwrap_or(u32::MAX)).max(1)
    }

    /// Slots that this node should have open: its share of `wanted_slots` among `nodes`, within what fits, and never fewer than `busy`.
    #[must_use]
    pub fn slots_here(&self, wanted_slots: u32, nodes: u32, busy: u32) -> u32 {
        let share = wanted_slots.div_ceil(nodes.max(1));
        share.clamp(1, self.slots_max()).max(busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(cores: u32, gib: u64) -> Machine {
        let memory_bytes = gib << 30;
        Machine { cores, memory_bytes, cores_per_slot: 1, memory_per_slot_bytes: 1 << 30 }
    }

    #[test]
    fn the_scarcer_of_cores_and_memory_bounds_the_slots() {
        assert_eq!(machine(8, 64).slots_max(), 8);
        assert_eq!(machine(8, 3).slots_max(), 3);
        assert_eq!(machine(8, 0).slots_max(), 1);
        assert_eq!(Machine { cores_per_slot: 2, ..machine(8, 64) }.slots_max(), 4);
    }

    #[test]
    fn a_node_opens_its_share_and_keeps_what_it_has_in_hand() {
        assert_eq!(machine(8, 64).slots_here(20, 5, 0), 4);
        assert_eq!(machine(8, 64).slots_here(100, 5, 0), 8);
        assert_eq!(machine(8, 64).slots_here(0, 5, 0), 1);
        assert_eq!(machine(8, 64).slots_here(0, 5, 6), 6);
    }
}
