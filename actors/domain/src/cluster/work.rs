//! What is uploaded, and how long its tasks take: about as long as five tiers up to 1080p with the preset veryfast take on one core.

use std::sync::Arc;

use super::clock::Rng;
use crate::id::{Group, TaskId};
use crate::order::lane::Lane;
use crate::order::release::Step;

/// Seconds of the first chunk, and of the others.
const FIRST_SECONDS: u64 = 3;
const CHUNK_SECONDS: u64 = 10;
/// Time to encode a second of picture for all tiers, in milliseconds.
const PICTURE_MS: u64 = 1000;
const AUDIO_MS: u64 = 10;
const PACKAGE_MS: u64 = 6;
const IMAGES_MS: u64 = 200;
/// Seconds of a part of audio.
const PART_SECONDS: u64 = 30;

/// A task with its times in milliseconds.
#[derive(Debug, Clone)]
pub(crate) struct Timed {
    pub(crate) step: Step,
    /// How long it takes.
    pub(crate) takes: u64,
    /// When its first part is there.
    pub(crate) first_part: u64,
    /// Delays after its failures, before it is tried again.
    pub(crate) retries: Vec<u64>,
}

/// The release list of an order with its times.
#[derive(Debug, Clone)]
pub(crate) struct Work(pub(crate) Vec<Timed>);

fn timed(group: Group, index: u64, takes: u64, needs: &[TaskId]) -> Timed {
    let task = TaskId::new(group, index as u32);
    let step = Step { task, needs: needs.to_vec() };
    Timed { step, takes: takes.max(1), first_part: takes.max(1), retries: Vec::new() }
}

impl Work {
    /// A video of so many seconds, in the order of [`crate::plan::tasks`].
    pub(crate) fn video(seconds: u64) -> Self {
        let first = FIRST_SECONDS.min(seconds);
        let takes = first * PICTURE_MS / 2;
        let mut list = vec![timed(Group::First, 0, takes, &[]), timed(Group::First, 1, takes, &[])];
        let mut audio = timed(Group::Audio, 0, seconds * AUDIO_MS, &[]);
        audio.first_part = seconds.min(PART_SECONDS) * AUDIO_MS;
        list.push(audio);
        let mut left = seconds - first;
        let mut index = 0;
        while left > 0 {
            let chunk = left.min(CHUNK_SECONDS);
            list.push(timed(Group::Main, index, chunk * PICTURE_MS, &[]));
            (left, index) = (left - chunk, index + 1);
        }
        let all: Vec<TaskId> = list.iter().map(|timed| timed.step.task).collect();
        let (images, package) = (IMAGES_MS + seconds, seconds * PACKAGE_MS);
        if seconds < 600 {
            // A short source has one task for both.
            list.push(timed(Group::Images, 0, images + package, &all));
        } else {
            list.push(timed(Group::Images, 0, images, &all));
            list.extend((0..5).map(|tier| timed(Group::Package, tier, package / 5, &all)));
        }
        Self(list)
    }

    /// So many tasks of a lazy tier.
    pub(crate) fn lazy(tasks: u64) -> Self {
        Self(
            (0..tasks)
                .map(|index| timed(Group::Top, index, CHUNK_SECONDS * PICTURE_MS, &[]))
                .collect(),
        )
    }

    /// One task that decodes the source in one go.
    pub(crate) fn single(takes: u64) -> Self {
        Self(vec![timed(Group::Main, 0, takes, &[])])
    }

    /// All times, each multiplied by a number up to `spread` above or below 1.
    pub(crate) fn spread(mut self, spread: f64, rng: &mut Rng) -> Self {
        for timed in &mut self.0 {
            let unit = rng.below(10_001) as f64 / 5000.0 - 1.0;
            timed.takes = ((timed.takes as f64 * (1.0 + unit * spread)) as u64).max(1);
            timed.first_part = timed.first_part.min(timed.takes);
        }
        self
    }

    /// Time of all tasks together.
    pub(crate) fn takes(&self) -> u64 {
        self.0.iter().map(|timed| timed.takes).sum()
    }

    /// A task of the list.
    pub(crate) fn timed(&self, task: TaskId) -> &Timed {
        self.0.iter().find(|timed| timed.step.task == task).expect("a task of the list")
    }

    /// The release list.
    pub(crate) fn steps(&self) -> Vec<Step> {
        self.0.iter().map(|timed| timed.step.clone()).collect()
    }
}

/// An upload.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// Milliseconds since the start.
    pub(crate) at: u64,
    pub(crate) lane: Lane,
    pub(crate) owner: String,
    pub(crate) work: Arc<Work>,
}

impl Job {
    /// An upload at that time, without an owner, in the lane of most.
    pub(crate) fn new(at: u64, work: &Arc<Work>) -> Self {
        Self { at, lane: Lane::Normal, owner: String::new(), work: Arc::clone(work) }
    }
}
