//! Which source frames a tier keeps.
//!
//! Rule: `target = fps / ceil(fps / limit)`; a tier keeps the first frame of a chunk, then each whose PTS is at least
//! `last kept + 1/target - half a source frame`. A source within the limit keeps every frame, however irregular its clock is.

use serde::{Deserialize, Serialize};

use crate::media::Rational;

/// The frame-rate rule of a tier, in ticks of the source. Keeps every frame where `spacing` is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FrameRule {
    /// Least distance from the last kept frame, ticks.
    pub spacing: i64,
}

impl FrameRule {
    /// The rule that keeps everything.
    pub const ALL: Self = Self { spacing: 0 };

    /// The rule for a source of `frame_rate` under `limit` frames per second, in ticks of `time_base`.
    #[must_use]
    pub fn new(frame_rate: Rational, limit: u32, time_base: Rational) -> Self {
        let fps = frame_rate.as_f64();
        let limit = f64::from(limit.max(1));
        // A tenth of a per cent over the limit is clock noise, not a faster source.
        if fps <= limit * 1.001 {
            return Self::ALL;
        }
        let target = target_rate(fps, limit);
        Self { spacing: time_base.ticks(1.0 / target - 0.5 / fps).max(1) }
    }
}

/// `fps / ceil(fps / limit)`: the highest even division of the source's rate within the limit.
#[must_use]
pub fn target_rate(fps: f64, limit: f64) -> f64 {
    fps / (fps / limit - 0.001).ceil().max(1.0)
}

/// Applies a rule to the frames of one chunk, in order of PTS.
#[derive(Debug, Clone)]
pub struct Keeper {
    rule: FrameRule,
    last: Option<i64>,
}

impl Keeper {
    /// A keeper at the start of a chunk.
    #[must_use]
    pub fn new(rule: FrameRule) -> Self {
        Self { rule, last: None }
    }

    /// Whether the tier keeps the frame at `pts`. Frames come in ascending order.
    pub fn keep(&mut self, pts: i64) -> bool {
        let kept = self.last.is_none_or(|last| pts >= last.saturating_add(self.rule.spacing));
        if kept {
            self.last = Some(pts);
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(fps: i64, limit: u32, frames: i64) -> Vec<i64> {
        let rule = FrameRule::new(Rational::new(fps, 1), limit, Rational::new(1, fps));
        let mut keeper = Keeper::new(rule);
        (0..frames).filter(|pts| keeper.keep(*pts)).collect()
    }

    #[test]
    fn sixty_under_thirty_keeps_every_second_frame() {
        assert_eq!(kept(60, 30, 7), [0, 2, 4, 6]);
        assert_eq!(kept(50, 30, 7), [0, 2, 4, 6]);
        assert_eq!(kept(120, 30, 9), [0, 4, 8]);
    }

    #[test]
    fn a_source_within_the_limit_keeps_everything_even_when_irregular() {
        assert_eq!(kept(30, 30, 4), [0, 1, 2, 3]);
        let mut keeper =
            Keeper::new(FrameRule::new(Rational::new(30_000, 1001), 30, Rational::new(1, 90_000)));
        assert!([0, 1, 2, 9000].into_iter().all(|pts| keeper.keep(pts)));
    }
}
