//! Frame-rate rules: which source frames a tier keeps.
//!
//! Rule: `target = fps / ceil(fps / (limit + 5 %))`; a tier keeps the first frame of a chunk, then each whose PTS is at least
//! `last kept + 1/target - half a source frame`. A source within the limit keeps every frame, however irregular its clock is.

use serde::{Deserialize, Serialize};

use crate::plan::rational::Rational;

/// Factor by which a source may exceed a limit without losing frames. Phones record at variable rates that average 30.0 to 31.2 or 60.3 to
/// 62 frames per second, and a limit of 30 would halve them to 15. The next common rates, 48 and 72, are far above.
const TOLERANCE: f64 = 1.05;

/// The frame-rate rule of a tier in ticks of the source. With `spacing` 0 it keeps every frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FrameRule {
    /// Shortest distance from the last kept frame in ticks.
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
        if within(fps, limit) {
            return Self::ALL;
        }
        let target = target_rate(fps, limit);
        Self { spacing: time_base.ticks(1.0 / target - 0.5 / fps).max(1) }
    }
}

/// Whether a rate counts as within `limit`.
#[must_use]
pub fn within(fps: f64, limit: f64) -> bool {
    fps <= limit * TOLERANCE
}

/// The highest even division of the source's rate within the limit.
#[must_use]
pub fn target_rate(fps: f64, limit: f64) -> f64 {
    fps / (fps / (limit * TOLERANCE)).ceil().max(1.0)
}

/// Applies a rule to the frames of one chunk, in order of PTS.
#[derive(Debug, Clone)]
pub struct Keeper {
    rule: FrameRule,
    last: Option<i64>,
}

impl Keeper {
    /// A keeper for the start of a chunk.
    #[must_use]
    pub fn new(rule: FrameRule) -> Self {
        Self { rule, last: None }
    }

    /// Whether the tier keeps the frame at `pts`. Call it in ascending order.
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
    fn a_few_per_cent_above_the_limit_are_no_faster_source() {
        let target = |fps, limit| (target_rate(fps, limit) * 100.0).round() / 100.0;
        for (fps, limit, expected) in [
            (30.12, 30.0, 30.12),
            (31.2, 30.0, 31.2),
            (60.3, 60.0, 60.3),
            (62.0, 60.0, 62.0),
            (62.0, 30.0, 31.0),
            (122.0, 60.0, 61.0),
            (32.0, 30.0, 16.0),
            (48.0, 30.0, 24.0),
            (72.0, 60.0, 36.0),
        ] {
            assert_eq!(target(fps, limit), expected, "{fps} under {limit}");
            let rule = FrameRule::new(
                Rational::new((fps * 100.0) as i64, 100),
                limit as u32,
                Rational::new(1, 90_000),
            );
            assert_eq!(rule == FrameRule::ALL, within(fps, limit), "{fps} under {limit}");
        }
    }

    #[test]
    fn a_source_within_the_limit_keeps_everything_even_when_irregular() {
        assert_eq!(kept(30, 30, 4), [0, 1, 2, 3]);
        let mut keeper =
            Keeper::new(FrameRule::new(Rational::new(30_000, 1001), 30, Rational::new(1, 90_000)));
        assert!([0, 1, 2, 9000].into_iter().all(|pts| keeper.keep(pts)));
    }
}
