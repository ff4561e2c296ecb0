//! The tasks and costs of a video that nobody has uploaded, by the product's own planner.

use serde::{Deserialize, Serialize};

use crate::codec::limits::Limits;
use crate::id::{Group, OrderId, VideoId};
use crate::plan::media::{AudioTrack, ProbeFacts, RandomAccess, VideoTrack};
use crate::plan::policy::PlanPolicy;
use crate::plan::rational::Rational;
use crate::plan::{Plan, planner};
use crate::words::failure::Failure;

/// Ticks per second.
const TIMESCALE: i64 = 90_000;
/// 8 Mbit/s.
const BYTES_PER_SECOND: f64 = 1e6;
/// Distance of key pictures, as cameras and phones record them.
const KEY_SECONDS: f64 = 2.0;

/// A video with stereo sound, in H.264 as phones record it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Clip {
    pub seconds: f64,
    pub width: u32,
    pub height: u32,
    /// Frames per second.
    pub frame_rate: f64,
}

/// The tasks of an order.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// In the order of release.
    pub tasks: Vec<Task>,
}

/// A task of an order.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Whether it makes the first seconds.
    pub urgent: bool,
    /// Encode seconds.
    pub cost: f64,
    /// Number of tasks that it needs.
    pub needs: usize,
    /// Indices of the tasks that need it.
    pub feeds: Vec<usize>,
}

impl Clip {
    /// The plan of this video.
    ///
    /// # Errors
    /// The limits refuse it, or no tier fits it.
    pub fn plan(&self, policy: &PlanPolicy, limits: &Limits) -> Result<Plan, Failure> {
        let order = OrderId::new(VideoId::from_bits(0), 1);
        planner::plan(order, self.facts(), policy, limits, "", false)
    }

    /// The tasks of this video.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub fn job(&self, policy: &PlanPolicy, limits: &Limits) -> Result<Job, Failure> {
        Ok(Job::of(&self.plan(policy, limits)?))
    }

    fn facts(&self) -> ProbeFacts {
        ProbeFacts {
            format: "mov,mp4,m4a,3gp,3g2,mj2".to_owned(),
            bytes: ((self.seconds * BYTES_PER_SECOND) as u64).max(1),
            video: Some(self.track()),
            audio: vec![sound(self.seconds)],
            unused_audio: Vec::new(),
            subtitles: Vec::new(),
            streams: 2,
            truncated: false,
            warnings: Vec::new(),
        }
    }

    fn track(&self) -> VideoTrack {
        let ticks = |seconds: f64| (seconds * TIMESCALE as f64).round() as i64;
        let frame = ticks(1.0 / self.frame_rate);
        let keys = (self.seconds / KEY_SECONDS).ceil() as i64;
        let key = |index: i64| RandomAccess {
            pts: index * ticks(KEY_SECONDS),
            dts: index * ticks(KEY_SECONDS) - 2 * frame,
        };
        VideoTrack {
            time_base: Rational::new(1, TIMESCALE),
            frame_rate: Rational::new((self.frame_rate * 1000.0).round() as i64, 1000),
            end: ticks(self.seconds),
            packets: (self.seconds * self.frame_rate).round() as u64,
            random_access: (0..keys).map(key).collect(),
            largest_gap: frame,
            ..VideoTrack::ordinary(self.width, self.height)
        }
    }
}

fn sound(seconds: f64) -> AudioTrack {
    AudioTrack {
        stream: 1,
        codec: "aac".to_owned(),
        sample_rate: 48_000,
        channels: 2,
        time_base: Rational::new(1, 48_000),
        start: 0,
        seconds,
        continued: Vec::new(),
        clock: Vec::new(),
        language: "und".to_owned(),
        title: String::new(),
        default: true,
        number: 1,
        secondary: false,
        counted: false,
        mixed: false,
    }
}

impl Job {
    /// The tasks of a plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let mut tasks: Vec<Task> = plan
            .tasks
            .iter()
            .map(|planned| Task {
                urgent: planned.task.group == Group::First,
                cost: planned.cost,
                needs: planned.needs.len(),
                feeds: Vec::new(),
            })
            .collect();
        let place = |task| plan.tasks.iter().position(|planned| planned.task == task);
        for (index, planned) in plan.tasks.iter().enumerate() {
            for need in planned.needs.iter().filter_map(|need| place(*need)) {
                tasks[need].feeds.push(index);
            }
        }
        Self { tasks }
    }

    /// Encode seconds of all tasks.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.tasks.iter().map(|task| task.cost).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_clip_is_cut_and_costs_as_a_real_one_of_its_kind() {
        let clip = Clip { seconds: 60.0, width: 1280, height: 720, frame_rate: 25.0 };
        let (policy, limits) = (sample::policy(), sample::limits());
        let order = OrderId::new(VideoId::from_bits(0), 1);
        let real = planner::plan(order, sample::facts(), &policy, &limits, "", false).unwrap();
        let plan = clip.plan(&policy, &limits).unwrap();
        assert_eq!(plan.chunks, real.chunks);
        assert_eq!(plan.tasks, real.tasks);
        let job = Job::of(&plan);
        assert_eq!(job.tasks.len(), plan.tasks.len());
        let needs: usize = job.tasks.iter().map(|task| task.needs).sum();
        let feeds: usize = job.tasks.iter().map(|task| task.feeds.len()).sum();
        assert!(needs > 0 && needs == feeds);
        assert!(job.tasks[0].urgent && !job.tasks[job.tasks.len() - 1].urgent);
    }
}
