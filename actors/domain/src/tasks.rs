//! The release list: which tasks an order has, in the order in which they may be released.
//!
//! First seconds, default sound, the rest of the picture by time, other sound, pictures for people, progressive files.
//! Invariant: a task stands after every task it needs, so release never blocks.

use crate::cost;
use crate::id::{Group, TaskId};
use crate::ladder::TierPlan;
use crate::media::VideoTrack;
use crate::plan::{Class, Plan, PlannedTask, Work};
use crate::planner::PlanPolicy;

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
            list.first(policy.first_split);
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
    list.images();
    if policy.package {
        list.packages();
    }
    list.tasks
}

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

    /// The first chunk; split, a task per tier, the dearest first, so that slots working in parallel end together.
    fn first(&mut self, split: bool) {
        let tiers: Vec<usize> = (0..self.plan.tiers.len()).collect();
        let size = if split { 1 } else { tiers.len().max(1) };
        for (index, tiers) in tiers.chunks(size).enumerate() {
            self.picture(TaskId::new(Group::First, index as u32), vec![0], tiers.to_vec());
        }
    }

    fn picture(&mut self, task: TaskId, chunks: Vec<u32>, tiers: Vec<usize>) {
        let plans: Vec<&TierPlan> = tiers.iter().filter_map(|t| self.plan.tiers.get(*t)).collect();
        let seconds = chunks.iter().map(|chunk| self.plan.chunk_seconds(*chunk)).sum();
        let cost = cost::video(self.video, seconds, &plans, self.preset);
        let images = self.plan.images.is_some_and(|images| tiers.contains(&images.tier));
        self.push(task, Work::Video { chunks, tiers, images }, Vec::new(), cost);
    }

    fn sound(&mut self, tracks: std::ops::Range<usize>) {
        for track in tracks.start..tracks.end.min(self.plan.audio.len()) {
            let cost = cost::audio(self.plan.audio_seconds(track));
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
        let cost = cost::images(self.plan.source_seconds() / interval);
        self.push(TaskId::new(Group::Images, 0), Work::Images, needs, cost);
    }

    fn packages(&mut self) {
        for (tier, planned) in self.plan.tiers.iter().enumerate() {
            let holds = |task: &PlannedTask| match &task.work {
                Work::Video { tiers, .. } => tiers.contains(&tier),
                Work::Audio(track) => *track == 0,
                Work::Images | Work::Package { .. } => false,
            };
            let needs =
                self.tasks.iter().filter(|task| holds(task)).map(|task| task.task).collect();
            let verify = tier + 1 == self.plan.tiers.len();
            let cost = cost::package(self.video, self.plan.source_seconds(), planned, verify);
            let task = TaskId::new(Group::Package, tier as u32);
            self.push(task, Work::Package { tier, verify }, needs, cost);
        }
    }
}
