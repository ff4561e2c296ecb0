//! The call of the scaler's hook.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::demand::Demand;
use super::scaler::{Change, Wanted};

/// Version of [`Call`].
pub const VERSION: u32 = 1;

/// Delay before the first repeat of a call. It doubles with each further failure.
const AGAIN_MIN: Duration = Duration::from_secs(2);
const AGAIN_MAX: Duration = Duration::from_secs(120);

/// What a hook receives, as JSON. It says what the cluster should have, not what is to be added: calls may be repeated and skipped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Schema version.
    pub v: u32,
    /// Always `scale`.
    pub event: String,
    /// The same in every repeat of a call.
    pub key: String,
    /// Name of the node that decided.
    pub decided_by: String,
    /// Nodes that the cluster should have.
    pub nodes: u32,
    /// Nodes that were wanted before.
    pub previous_nodes: u32,
    /// Slots of all nodes together that have something to do.
    pub slots: u32,
    /// The need in nodes, before hysteresis, stable time and cooldown.
    pub need_nodes: f64,
    /// Why the number of nodes is what it is.
    pub change: Change,
    /// Unfinished tasks of open orders.
    pub unfinished_tasks: u64,
    /// Encode seconds of these tasks.
    pub backlog_seconds: f64,
    /// Age of the oldest open order.
    pub oldest_seconds: f64,
}

impl Call {
    /// The call about a decision.
    #[must_use]
    pub fn about(
        wanted: &Wanted,
        demand: &Demand,
        previous_nodes: u32,
        (key, decided_by): (String, String),
    ) -> Self {
        Self {
            v: VERSION,
            event: "scale".to_owned(),
            key,
            decided_by,
            nodes: wanted.nodes,
            previous_nodes,
            slots: wanted.slots,
            need_nodes: wanted.need,
            change: wanted.change,
            unfinished_tasks: demand.tasks(),
            backlog_seconds: demand.backlog_seconds,
            oldest_seconds: demand.oldest_seconds,
        }
    }

    /// The numbers as environment variables of a command.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, String); 8] {
        [
            ("JETREEL_WANTED_NODES", self.nodes.to_string()),
            ("JETREEL_PREVIOUS_NODES", self.previous_nodes.to_string()),
            ("JETREEL_WANTED_SLOTS", self.slots.to_string()),
            ("JETREEL_NEED_NODES", format!("{:.3}", self.need_nodes)),
            ("JETREEL_UNFINISHED_TASKS", self.unfinished_tasks.to_string()),
            ("JETREEL_BACKLOG_SECONDS", format!("{:.0}", self.backlog_seconds)),
            ("JETREEL_OLDEST_SECONDS", format!("{:.0}", self.oldest_seconds)),
            ("JETREEL_CALL_KEY", self.key.clone()),
        ]
    }
}

/// Delay after the given number of failures of a call in a row, at least one.
#[must_use]
pub fn again_after(failures: u32) -> Duration {
    let doublings = 2_u32.saturating_pow(failures.saturating_sub(1));
    AGAIN_MIN.saturating_mul(doublings).min(AGAIN_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_come_later_and_later_up_to_two_minutes() {
        let delays = [1, 2, 3, 6, 7, 40].map(|failures| again_after(failures).as_secs());
        assert_eq!(delays, [2, 4, 8, 64, 120, 120]);
    }

    #[test]
    fn a_call_says_what_the_cluster_should_have() {
        let demand = Demand {
            now_seconds: 0.0,
            lag_tasks: 3,
            unfinished_tasks: 70,
            backlog_seconds: 1234.4,
            arrivals_per_second: 0.0,
            oldest_seconds: 9.0,
            speed: 1.0,
            busy_slots: 0,
            slots_per_node: 8,
        };
        let wanted = Wanted { nodes: 4, slots: 31, need: 3.8765, change: Change::Out };
        let call = Call::about(&wanted, &demand, 1, ("k".to_owned(), "one".to_owned()));
        let of = |name| call.variables().into_iter().find(|(own, _)| *own == name).map(|v| v.1);
        assert_eq!(of("JETREEL_WANTED_NODES").as_deref(), Some("4"));
        assert_eq!(of("JETREEL_PREVIOUS_NODES").as_deref(), Some("1"));
        assert_eq!(of("JETREEL_NEED_NODES").as_deref(), Some("3.877"));
        assert_eq!(of("JETREEL_UNFINISHED_TASKS").as_deref(), Some("70"));
        assert_eq!(of("JETREEL_BACKLOG_SECONDS").as_deref(), Some("1234"));
    }
}
