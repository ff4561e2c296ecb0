//! Which tasks of an order may be queued now.
//!
//! An order has at most K tasks queued beyond those that are finished, so a long film never stands before everybody's first
//! seconds, and a change of priority or a cancel acts on all that is not yet queued. Queueing a task twice is harmless, so the
//! answer names every task that may be queued, not only those that are not.

use crate::id::TaskId;
use crate::order::ledger::View;
use crate::plan::{Plan, PlannedTask};

/// Fewest tasks an order may have queued: enough for one node to stay busy between two evaluations.
const WINDOW_MIN: usize = 8;

/// How many tasks of one order may be queued: its share of twice the cluster's slots.
#[must_use]
pub fn window(cluster_slots: usize, open_orders: usize) -> usize {
    (cluster_slots.saturating_mul(2) / open_orders.max(1)).max(WINDOW_MIN)
}

/// A task's place in the release list of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The task.
    pub task: TaskId,
    /// Tasks that must be finished before it is queued.
    pub needs: Vec<TaskId>,
}

/// The release list of a plan by itself.
#[must_use]
pub fn steps(plan: &Plan) -> Vec<Step> {
    let step = |planned: &PlannedTask| Step { task: planned.task, needs: planned.needs.clone() };
    plan.tasks.iter().map(step).collect()
}

/// The tasks that may be queued now and are not finished, in order of release: those at a position below `window` plus the
/// number of finished tasks whose needs are in.
#[must_use]
pub fn due(plan: &Plan, view: &View, window: usize) -> Vec<TaskId> {
    let list = plan.tasks.iter().map(|planned| (planned.task, planned.needs.as_slice()));
    due_in(list, |task| view.is_finished(task), window)
}

/// As [`due`], from the release list alone.
#[must_use]
pub fn due_of(steps: &[Step], finished: impl Fn(TaskId) -> bool, window: usize) -> Vec<TaskId> {
    due_in(steps.iter().map(|step| (step.task, step.needs.as_slice())), finished, window)
}

fn due_in<'a>(
    list: impl Iterator<Item = (TaskId, &'a [TaskId])> + Clone,
    finished: impl Fn(TaskId) -> bool,
    window: usize,
) -> Vec<TaskId> {
    let done = list.clone().filter(|(task, _)| finished(*task)).count();
    list.take(done.saturating_add(window.max(1)))
        .filter(|(task, needs)| !finished(*task) && needs.iter().all(|need| finished(*need)))
        .map(|(task, _)| task)
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
