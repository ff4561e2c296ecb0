//! What the scaler tells all nodes, and how many slots a node opens.

use serde::{Deserialize, Serialize};

use super::demand::Machine;

/// Seconds after which an unchanged wish is written again.
pub const RENEWED_SECONDS: u64 = 30;
/// Seconds without a new wish after which no scaler counts as deciding.
pub const STALE_SECONDS: u64 = 150;
const _: () = assert!(STALE_SECONDS > 4 * RENEWED_SECONDS, "some renewals may be lost");

/// Seconds after which a memory budget is forgotten, at most twice.
const BUDGET_SECONDS: u64 = 600;
/// Memory of a slot before any task is known: the budget of a 1080p chunk.
const BUDGET_FIRST: u64 = 1 << 30;

/// The wish of the deciding scaler, in the bucket `nodes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Schema version.
    pub v: u32,
    /// Nodes that the cluster should have.
    pub nodes: u32,
    /// Slots of all nodes together that have something to do.
    pub slots: u32,
    /// Name of the node that decided, for display.
    pub decided_by: String,
}

/// Revision of the newest wish, and when it was first met. Tells a wish that is renewed from one that is left over.
#[derive(Debug, Clone, Default)]
pub struct Freshness {
    met: Option<(u64, u64)>,
}

impl Freshness {
    /// Whether the wish with this revision was renewed lately. `now` is in seconds since any fixed moment.
    pub fn is_fresh(&mut self, revision: u64, now: u64) -> bool {
        match self.met {
            Some((met, at)) if met == revision => now.saturating_sub(at) < STALE_SECONDS,
            Some(_) | None => {
                self.met = Some((revision, now));
                true
            }
        }
    }
}

/// The largest memory budget of the tasks of the last ten to twenty minutes.
#[derive(Debug, Clone, Default)]
pub struct Budgets {
    since: u64,
    current: u64,
    previous: u64,
}

impl Budgets {
    /// Records the budget of a task. `now` is in seconds since any fixed moment.
    pub fn note(&mut self, now: u64, bytes: u64) {
        self.forget(now);
        self.current = self.current.max(bytes);
    }

    /// Memory that a slot may need.
    pub fn largest(&mut self, now: u64) -> u64 {
        self.forget(now);
        match self.current.max(self.previous) {
            0 => BUDGET_FIRST,
            bytes => bytes,
        }
    }

    fn forget(&mut self, now: u64) {
        let periods = now.saturating_sub(self.since) / BUDGET_SECONDS;
        if periods > 0 {
            self.previous = if periods == 1 { self.current } else { 0 };
            (self.current, self.since) = (0, now);
        }
    }
}

/// Slots that a node opens: its share of the wish within the machine, at most `most`. `nodes` are the nodes that encode now.
#[must_use]
pub fn slots_open(wish: &Wish, machine: &Machine, nodes: u32, busy: u32, most: usize) -> usize {
    let here = machine.slots_here(wish.slots, nodes, busy);
    usize::try_from(here).unwrap_or(usize::MAX).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_that_is_not_renewed_does_not_count_for_ever() {
        let mut freshness = Freshness::default();
        assert!(freshness.is_fresh(7, 1000) && freshness.is_fresh(7, 1149));
        assert!(!freshness.is_fresh(7, 1150));
        assert!(freshness.is_fresh(8, 1150) && !freshness.is_fresh(8, 1300));
    }

    #[test]
    fn the_largest_budget_of_late_counts() {
        let mut budgets = Budgets::default();
        assert_eq!(budgets.largest(0), BUDGET_FIRST);
        budgets.note(10, 5);
        budgets.note(20, 9);
        assert_eq!(budgets.largest(599), 9);
        budgets.note(700, 3);
        assert_eq!(budgets.largest(700), 9, "of the period before");
        assert_eq!(budgets.largest(1300), 3);
        assert_eq!(budgets.largest(9000), BUDGET_FIRST);
    }

    #[test]
    fn a_node_opens_its_share_and_never_more_than_its_setting() {
        let wish = Wish { v: 1, nodes: 5, slots: 20, decided_by: String::new() };
        let machine = Machine {
            cores: 8,
            memory_bytes: 8 << 30,
            cores_per_slot: 1,
            memory_per_slot_bytes: 1 << 30,
        };
        assert_eq!(slots_open(&wish, &machine, 5, 0, 8), 4);
        assert_eq!(slots_open(&wish, &machine, 2, 0, 8), 8, "the others have not started yet");
        assert_eq!(slots_open(&wish, &machine, 2, 0, 6), 6);
        assert_eq!(slots_open(&wish, &machine, 5, 6, 8), 6, "tasks in hand keep their slots");
    }
}
