//! The release list: the tasks of an order, in the order in which they may be released.
//!
//! The order is: first seconds, default audio, the rest of the picture by time, other audio, images, progressive files. Invariant: a task
//! comes after every task it needs, so a release never blocks.

use std::ops::Range;

use crate::id::{Group, TaskId};
use crate::plan::batch;
use crate::plan::cost;
use crate::plan::ladder::TierPlan;
use crate::plan::media::VideoTrack;
use crate::plan::policy::PlanPolicy;
use crate::plan::{Class, Plan, PlannedTask, Work};

/// The tasks of `plan`, whose list is still empty. `lazy` says which tiers belong to the lazy group.
#[must_use]
pub fn release_list(plan: &Plan, lazy: &[bool], policy: &PlanPolicy) -> Vec<PlannedTask> {
    let Some(video) = plan.facts.video.as_ref() else { return Vec::new() };
    let lazy = |tier: &usize| lazy.get(*tier).copied().unwrap_or(false);
    let (top, main): (Vec<usize>, Vec<usize>) = (0..plan.tiers.len()).partition(lazy);
    let mut list = List { plan, video, preset: &policy.preset, tasks: Vec::new() };
    let all: Vec<u32> = (0..plan.chunks.len() as u32).collect();
    let rest = match plan.class {
        Class::A => {
            list.first(policy.first_tasks);
            list.sound(0..1);
            all[1..].chunks(1).collect()
        }
        Class::B => {
            list.sound(0..1);
            vec![all.as_slice()]
        }
    };
    for (index, chunks) in rest.into_iter().enumerate() {
        for (group, tiers) in [(Group::Main, &main), (Group::Top, &top)] {
            if !tiers.is_empty() {
                list.picture(TaskId::new(group, index as u32), chunks.to_vec(), tiers.clone());
            }
        }
    }
    list.sound(1..plan.audio.len());
    let end = list.tasks.len();
    list.images();
    if policy.package {
        list.packages();
    }
    let tail = list.tasks.split_off(end);
    list.tasks.extend(batch::joined(tail));
    list.tasks
}

/// Indices of `costs` in at most `runs` consecutive runs. Each run grows until it has its share of the rest.
fn balanced(costs: &[f64], runs: usize) -> Vec<Range<usize>> {
    let mut left: f64 = costs.iter().sum();
    let mut found = Vec::new();
    let mut start = 0;
    while start < costs.len() {
        let share = left / runs.saturating_sub(found.len()).max(1) as f64;
        let mut end = start;
        let mut taken = 0.0;
        while end < costs.len() && (end == start || taken < share * ENOUGH) {
            taken += costs[end];
            end += 1;
        }
        if found.len() + 1 >= runs {
            end = costs.len();
        }
        left -= taken;
        found.push(start..end);
        start = end;
    }
    found
}

/// A run with this much of its share takes no further tier.
const ENOUGH: f64 = 0.9;

struct List<'a> {
    plan: &'a Plan,
    video: &'a VideoTrack,
    preset: &'a str,
    tasks: Vec<PlannedTask>,
}

impl List<'_> {
    fn push(&mut self, task: TaskId, work: Work, needs: Vec<TaskId>, cost: f64) {
        self.tasks.push(PlannedTask { task, work, needs, cost });
    }

    /// The first chunk, split into at most `tasks` runs of tiers of about the same cost, the most expensive first, so that slots working in
    /// parallel end together.
    fn first(&mut self, tasks: usize) {
        let seconds = self.picture_seconds(&[0]);
        let cost = |tier: &TierPlan| cost::video(self.video, seconds, &[tier], self.preset);
        let costs: Vec<f64> = self.plan.tiers.iter().map(cost).collect();
        for (index, tiers) in balanced(&costs, tasks).into_iter().enumerate() {
            self.picture(TaskId::new(Group::First, index as u32), vec![0], tiers.collect());
        }
    }

    fn picture(&mut self, task: TaskId, chunks: Vec<u32>, tiers: Vec<usize>) {
        let plans: Vec<&TierPlan> = tiers.iter().filter_map(|t| self.plan.tiers.get(*t)).collect();
        let seconds = self.picture_seconds(&chunks);
        let cost = cost::video(self.video, seconds, &plans, self.preset);
        let images = self.plan.images.is_some_and(|images| tiers.contains(&images.tier));
        self.push(task, Work::Video { chunks, tiers, images }, Vec::new(), cost);
    }

    fn picture_seconds(&self, chunks: &[u32]) -> f64 {
        let parts = chunks.iter().map(|chunk| self.plan.moving_and_standing(*chunk));
        parts.map(|(moving, standing)| cost::picture_seconds(self.video, moving, standing)).sum()
    }

    fn sound(&mut self, tracks: Range<usize>) {
        for track in tracks.start..tracks.end.min(self.plan.audio.len()) {
            let cost = cost::audio(self.plan.seconds());
            self.push(
                TaskId::new(Group::Audio, track as u32),
                Work::Audio(track),
                Vec::new(),
                cost,
            );
        }
    }

    fn images(&mut self) {
        let Some(images) = self.plan.images else { return };
        let keeps = |task: &PlannedTask| matches!(&task.work, Work::Video { images: true, .. });
        let needs = self.tasks.iter().filter(|task| keeps(task)).map(|task| task.task).collect();
        let interval = self.plan.time_base.seconds(images.interval);
        let cost = cost::images(self.plan.seconds() / interval);
        self.push(TaskId::new(Group::Images, 0), Work::Images, needs, cost);
    }

    fn packages(&mut self) {
        let all: Vec<u32> = (0..self.plan.chunks.len() as u32).collect();
        let seconds = self.picture_seconds(&all);
        for (tier, planned) in self.plan.tiers.iter().enumerate() {
            let holds = |task: &PlannedTask| match &task.work {
                Work::Video { tiers, .. } => tiers.contains(&tier),
                Work::Audio(track) => *track == 0,
                Work::Images | Work::Package { .. } | Work::Batch(_) => false,
            };
            let needs =
                self.tasks.iter().filter(|task| holds(task)).map(|task| task.task).collect();
            let verify = tier + 1 == self.plan.tiers.len();
            let cost = cost::package(self.video, seconds, planned, verify);
            let task = TaskId::new(Group::Package, tier as u32);
            self.push(task, Work::Package { tier, verify }, needs, cost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_tiers_cost_about_the_same() {
        let costs = [50.0, 25.0, 13.0, 8.0, 4.0];
        assert_eq!(balanced(&costs, 1), std::slice::from_ref(&(0..5)));
        assert_eq!(balanced(&costs, 2), [0..1, 1..5]);
        assert_eq!(balanced(&costs, 3), [0..1, 1..2, 2..5]);
        assert_eq!(balanced(&costs, 9), [0..1, 1..2, 2..3, 3..4, 4..5]);
        assert_eq!(balanced(&[1.0, 1.0, 1.0, 1.0], 2), [0..2, 2..4]);
        assert!(balanced(&[], 2).is_empty());
    }
}
