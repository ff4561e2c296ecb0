//! Limits of a source, and the budget of the codec that follows from them.
//!
//! Invariant: a limit bounds work before it is started, and nothing in the pipeline grows with an upload beyond it. The values are
//! settings. Each field documents the reason of its default.

use serde::{Deserialize, Serialize};

use crate::codec::wire::Budget;
use crate::plan::{Plan, PlannedTask, Work};

/// Limits of a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Most pixels of one frame. 8192x8192 is the largest of H.264 level 6.2, and decodes in about 0.5 GB.
    pub pixels_max: u64,
    /// Most streams of a container. Discs and broadcasts stay below 64; each costs the demuxer memory.
    pub streams_max: u32,
    /// Most frames of a source: 12 h at 60 frames per second are 2.6 million.
    pub frames_max: u64,
    /// Longest source in seconds. 12 h cover a day's recording in two files.
    pub seconds_max: f64,
    /// Most seconds between neighbouring frames without audio. Beyond it the timestamps are damaged: a slide stands for some minutes.
    pub gap_seconds_max: f64,
    /// Most damaged packets in one task before the source counts as broken.
    pub damage_max: u64,
    /// Highest frame rate. Above it a source is corrupt or an attack: high-speed cameras store at 240 to 300, and a file of 300 kB can
    /// claim 20,000 frames at 1000.
    pub frame_rate_max: f64,
    /// Most audio tracks that are encoded. Further ones are left out with a warning.
    pub audio_tracks_max: usize,
    /// Largest upload in bytes. Raw videos of 10 GB are the rule; the default allows a hundred times as much.
    pub upload_bytes_max: u64,
}

/// Audio packets per second that no codec exceeds (Opus frames of 2.5 ms are 400).
const AUDIO_PACKETS_PER_SECOND_MAX: f64 = 1000.0;

/// Frames that a task may decode beyond twice the packets of its track, so that a short source does not fail by rounding.
const FRAMES_SLACK: u64 = 250;

impl Limits {
    /// Budget of a probe.
    #[must_use]
    pub fn budget(&self) -> Budget {
        Budget {
            pixels_max: self.pixels_max,
            streams_max: self.streams_max,
            frames_max: self.frames_max,
            gap_seconds_max: self.gap_seconds_max,
            damage_max: self.damage_max,
            seconds_max: self.seconds_max,
        }
    }

    /// Budget of a planned task. The probe has counted the packets, so a decoder that returns far more frames is out of control.
    #[must_use]
    pub fn task_budget(&self, plan: &Plan, task: &PlannedTask) -> Budget {
        let frames_max = match &task.work {
            Work::Video { .. } | Work::Package { .. } | Work::Images | Work::Batch(_) => {
                let packets = plan.facts.video.as_ref().map_or(0, |video| video.packets);
                packets.saturating_mul(2).saturating_add(FRAMES_SLACK).min(self.frames_max)
            }
            Work::Audio(_) => (self.seconds_max * AUDIO_PACKETS_PER_SECOND_MAX) as u64,
        };
        Budget { frames_max, ..self.budget() }
    }
}

#[cfg(test)]
mod tests {
    use crate::id::{Group, OrderId, TaskId, VideoId};
    use crate::plan::planner;
    use crate::sample;

    #[test]
    fn a_task_may_decode_about_twice_the_packets_of_its_track() {
        let order = OrderId::new(VideoId::from_bits(1), 1);
        let (policy, limits) = (sample::policy(), sample::limits());
        let plan = planner::plan(order, sample::facts(), &policy, &limits, "build", false).unwrap();
        let budget = |group| limits.task_budget(&plan, plan.task(TaskId::new(group, 0)).unwrap());
        assert_eq!(budget(Group::Main).frames_max, 3250);
        assert_eq!(budget(Group::Audio).frames_max, 43_200_000);
        assert_eq!(budget(Group::Main).pixels_max, limits.budget().pixels_max);
    }
}
