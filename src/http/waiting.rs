//! What the tasks of a job wait for when no live node takes them now.

use std::collections::BTreeMap;

use jetreel_domain::delivery::dispatch::TaskQueue;
use jetreel_domain::delivery::label::Label;
use jetreel_domain::id::Group;
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::ledger::View;
use jetreel_domain::order::release::{self, Windows};
use jetreel_domain::plan::Plan;
use jetreel_domain::upkeep::waits::{Wait, by_wait};
use serde::Serialize;

use super::time::rfc3339;

/// Groups of tasks that wait for the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Waiting {
    /// `node` or `hours`.
    reason: &'static str,
    groups: Vec<Group>,
    /// Labels that a node needs; empty if it only needs to encode, or if hours are the reason.
    needs: Vec<Label>,
    /// When a node takes the tasks; `None` if only a change of nodes or settings helps.
    until: Option<String>,
    /// A sentence for people.
    message: String,
}

/// What the unfinished tasks of an order wait for, as far as they need no other tasks of the order first.
pub(super) fn waiting(
    lane: Lane,
    plan: &Plan,
    view: &View,
    waits: &BTreeMap<TaskQueue, Wait>,
) -> Vec<Waiting> {
    let due = release::due(plan, view, Windows::OPEN).into_iter();
    let queues = due.map(|task| TaskQueue::new(lane, task.group));
    let found = queues.filter_map(|queue| Some((queue, waits.get(&queue)?.clone())));
    let told = by_wait(found).into_iter().map(|(wait, groups)| {
        let message = wait.sentence(&groups, lane.as_str());
        let (reason, needs, until) = match wait {
            Wait::Node(labels) => ("node", labels.into_iter().collect(), None),
            Wait::Hours { until, .. } => ("hours", Vec::new(), until.map(rfc3339)),
        };
        Waiting { reason, groups: groups.into_iter().collect(), needs, until, message }
    });
    told.collect()
}
