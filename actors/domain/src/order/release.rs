//! Selects the tasks of an order that may be queued now.
//!
//! An order stands in line for the tasks that playback needs first, and for its bulk, see [`crate::order::line`]. Of either it has at most
//! as many tasks queued beyond its finished ones as its window says. So a long film does not delay other orders, and a new priority or a
//! cancellation affects all tasks that are not yet queued. A task that waited for others of its order is queued when these are finished: it
//! ends an order that has begun. Queueing a task twice is harmless, so the result holds every task that may be queued, including those queued
//! already.

use std::collections::BTreeMap;

use crate::id::{Group, TaskId};
use crate::order::ledger::View;
use crate::order::line::Phase;
use crate::plan::{Plan, PlannedTask};

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

/// How many tasks of an order may be released beyond the finished ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Of those that playback needs first.
    pub first: usize,
    /// Of its bulk.
    pub bulk: usize,
}

impl Windows {
    /// Everything may be released.
    pub const OPEN: Self = Self { first: usize::MAX, bulk: usize::MAX };

    fn of(&self, phase: Phase) -> usize {
        match phase {
            Phase::First => self.first,
            Phase::Bulk => self.bulk,
        }
    }
}

/// For what an order stands in line to have a task released. `None` for a task that needs others: it waits for them alone.
///
/// `split`: the first seconds are tasks of their own. Without, they are a part of the picture, and the sound alone is no use.
fn phase(task: TaskId, needs: &[TaskId], split: bool) -> Option<Phase> {
    if !needs.is_empty() {
        return None;
    }
    Some(match task.group {
        Group::First => Phase::First,
        Group::Audio if task.index == 0 && split => Phase::First,
        Group::Audio | Group::Main | Group::Top | Group::Images | Group::Package => Phase::Bulk,
    })
}

/// Number of unfinished tasks of a release list for which the order stands, or stood, in line. All are released if they fit in the window.
#[must_use]
pub fn left(steps: &[Step], phase: Phase, finished: impl Fn(TaskId) -> bool) -> usize {
    let phases = phases(steps.iter().map(|step| (step.task, step.needs.as_slice())));
    phases.filter(|(task, _, found)| *found == Some(phase) && !finished(*task)).count()
}

/// Whether all of an order's bulk is released by a window.
#[must_use]
pub fn is_tail(plan: &Plan, view: &View, window: usize) -> bool {
    let list = plan.tasks.iter().map(|planned| (planned.task, planned.needs.as_slice()));
    let bulk = phases(list).filter(|(_, _, phase)| *phase == Some(Phase::Bulk));
    bulk.filter(|(task, _, _)| !view.is_finished(*task)).count() <= window
}

/// Unfinished tasks that may be queued now, in order of release.
#[must_use]
pub fn due(plan: &Plan, view: &View, windows: Windows) -> Vec<TaskId> {
    let list = plan.tasks.iter().map(|planned| (planned.task, planned.needs.as_slice()));
    due_in(list, |task| view.is_finished(task), windows)
}

/// Like [`due`], computed from the release list alone.
#[must_use]
pub fn due_of(steps: &[Step], finished: impl Fn(TaskId) -> bool, windows: Windows) -> Vec<TaskId> {
    due_in(steps.iter().map(|step| (step.task, step.needs.as_slice())), finished, windows)
}

/// Tasks with their needs and phases.
fn phases<'a>(
    list: impl Iterator<Item = (TaskId, &'a [TaskId])> + Clone,
) -> impl Iterator<Item = (TaskId, &'a [TaskId], Option<Phase>)> + Clone {
    let split = list.clone().any(|(task, _)| task.group == Group::First);
    list.map(move |(task, needs)| (task, needs, phase(task, needs, split)))
}

fn due_in<'a>(
    list: impl Iterator<Item = (TaskId, &'a [TaskId])> + Clone,
    finished: impl Fn(TaskId) -> bool,
    windows: Windows,
) -> Vec<TaskId> {
    let list = phases(list);
    let end = |phase| {
        let done = list.clone().filter(|(task, _, of)| *of == Some(phase) && finished(*task));
        done.count().saturating_add(windows.of(phase))
    };
    let mut left = BTreeMap::from([Phase::First, Phase::Bulk].map(|phase| (phase, end(phase))));
    let mut due = Vec::new();
    for (task, needs, phase) in list {
        let in_window = phase.and_then(|phase| left.get_mut(&phase)).is_none_or(|left| {
            let is_in = *left > 0;
            *left = left.saturating_sub(1);
            is_in
        });
        if in_window && !finished(task) && needs.iter().all(|need| finished(*need)) {
            due.push(task);
        }
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(task: &str, needs: &[&str]) -> Step {
        let id = |text: &&str| text.parse().unwrap();
        Step { task: id(&task), needs: needs.iter().map(id).collect() }
    }

    fn list() -> Vec<Step> {
        let all = ["first-0", "main-0", "main-1", "main-2"];
        vec![
            step("first-0", &[]),
            step("audio-0", &[]),
            step("main-0", &[]),
            step("main-1", &[]),
            step("main-2", &[]),
            step("audio-1", &[]),
            step("images-0", &all),
        ]
    }

    fn due(done: &[&str], first: usize, bulk: usize) -> Vec<String> {
        let finished = |task: TaskId| done.iter().any(|text| *text == short(task));
        let due = due_of(&list(), finished, Windows { first, bulk });
        due.into_iter().map(short).collect()
    }

    fn short(task: TaskId) -> String {
        format!("{}-{}", task.group, task.index)
    }

    #[test]
    fn each_window_goes_on_with_what_is_finished() {
        assert_eq!(due(&[], 0, 0), [""; 0]);
        assert_eq!(due(&[], 1, 0), ["first-0"]);
        assert_eq!(due(&["first-0"], 1, 0), ["audio-0"]);
        assert_eq!(due(&[], 9, 2), ["first-0", "audio-0", "main-0", "main-1"]);
        assert_eq!(due(&["first-0", "main-1"], 9, 2), ["audio-0", "main-0", "main-2"]);
        assert_eq!(due(&["main-0", "main-1", "main-2"], 0, 1), ["audio-1"]);
        let all = due_of(&list(), |_| false, Windows::OPEN);
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn what_ends_an_order_waits_for_its_needs_alone() {
        let done = ["first-0", "audio-0", "main-0", "main-1", "main-2"];
        assert_eq!(due(&done, 0, 0), ["images-0"]);
    }

    #[test]
    fn the_sound_of_a_source_that_is_decoded_in_one_go_is_not_urgent() {
        let steps = [step("audio-0", &[]), step("main-0", &[])];
        let count = |phase| left(&steps, phase, |_| false);
        assert_eq!((count(Phase::First), count(Phase::Bulk)), (0, 2));
        let count = |phase| left(&list(), phase, |_| false);
        assert_eq!((count(Phase::First), count(Phase::Bulk)), (2, 4));
    }
}
