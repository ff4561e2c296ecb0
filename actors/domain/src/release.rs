//! Which tasks of an order may be queued now.
//!
//! An order has at most K tasks queued beyond those that are finished, so a long film never stands before everybody's first
//! seconds, and a change of priority or a cancel acts on all that is not yet queued. Queueing a task twice is harmless, so the
//! answer names every task that may be queued, not only those that are not.

use crate::id::TaskId;
use crate::ledger::View;
use crate::plan::Plan;

/// Fewest tasks an order may have queued: enough for one node to stay busy between two evaluations.
const WINDOW_MIN: usize = 8;

/// How many tasks of one order may be queued: its share of twice the cluster's slots.
#[must_use]
pub fn window(cluster_slots: usize, open_orders: usize) -> usize {
    (cluster_slots.saturating_mul(2) / open_orders.max(1)).max(WINDOW_MIN)
}

/// The tasks that may be queued now and are not finished, in order of release: those at a position below `window` plus the
/// number of finished tasks whose needs are in.
#[must_use]
pub fn due(plan: &Plan, view: &View, window: usize) -> Vec<TaskId> {
    let finished = plan.tasks.iter().filter(|planned| view.is_finished(planned.task)).count();
    plan.tasks
        .iter()
        .take(finished.saturating_add(window.max(1)))
        .filter(|planned| !view.is_finished(planned.task))
        .filter(|planned| planned.needs.iter().all(|need| view.is_finished(*need)))
        .map(|planned| planned.task)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_the_orders_share_of_twice_the_slots_but_never_tiny() {
        assert_eq!(window(100, 4), 50);
        assert_eq!(window(4, 100), 8);
        assert_eq!(window(4, 0), 8);
    }
}
