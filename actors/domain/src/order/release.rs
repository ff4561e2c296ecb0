//! Selects the tasks of an order that may be queued now.
//!
//! An order has at most K tasks queued beyond its finished ones. So a long film does not delay the first seconds of other orders, and a new
//! priority or a cancellation affects all tasks that are not yet queued. Queueing a task twice is harmless, so the result holds every task
//! that may be queued, including those queued already.

use crate::id::TaskId;
use crate::order::ledger::View;
use crate::plan::{Plan, PlannedTask};

/// Fewest tasks that an order may have queued. They keep one node busy between two evaluations.
const WINDOW_MIN: usize = 8;

/// Number of tasks that one order may have queued: its share of twice the cluster's slots.
#[must_use]
pub fn window(cluster_slots: usize, open_orders: usize) -> usize {
    (cluster_slots.saturating_mul(2) / open_orders.max(1)).max(WINDOW_MIN)
}

/// A task in the release list of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub task: TaskId,
    /// Tasks that must be finished before it is queued.
    pub needs: Vec<TaskId>,
}

/// The release list of a plan.
#[must_use]
pub fn steps(plan: &Plan) -> Vec<Step> {
    let step = |planned: &PlannedTask| Step { task: planned.task, needs: planned.needs.clone() };
    plan.tasks.iter().map(step).collect()
}

/// Unfinished tasks that may be queued now, in order of release. Their position is below `window` plus the number of finished tasks, and
/// the tasks they need are finished.
#[must_use]
pub fn due(plan: &Plan, view: &View, window: usize) -> Vec<TaskId> {
    let list = plan.tasks.iter().map(|planned| (planned.task, planned.needs.as_slice()));
    due_in(list, |task| view.is_finished(task), window)
}

/// Like [`due`], computed from the release list alone.
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
