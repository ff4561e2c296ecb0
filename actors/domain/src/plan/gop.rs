//! The grid of segments and IDR pictures inside a chunk: the same instants in every tier.
//!
//! A chunk of D seconds is divided into `round(D / segment)` equal segments, each into `round(length / gop)` equal groups of
//! pictures. An IDR falls on the first frame at or after a grid instant that *every* tier of the order keeps, so that a
//! tier of half the frame rate has its IDRs at the same instants as the others.

use crate::plan::Chunk;
use crate::plan::framerate::{FrameRule, Keeper};
use crate::plan::rational::Rational;

/// Share of the grid distance by which a repeated picture stays away from the next frame.
const CROWDED: f64 = 0.25;

/// Marks of a frame for the encoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Whether to encode it as an IDR.
    pub idr: bool,
    /// Whether a segment starts with it. Then it is an IDR too.
    pub segment: bool,
}

/// Marks the frames of one chunk.
#[derive(Debug, Clone)]
pub struct Grid {
    start: i64,
    /// Ticks between grid instants, as a fraction, so that rounding does not accumulate.
    step: f64,
    per_segment: u64,
    /// Number of the grid instant of the next IDR.
    next: u64,
    last_segment: Option<u64>,
    keepers: Vec<Keeper>,
}

impl Grid {
    /// The grid of `chunk`. `end` is the known or estimated end of the chunk in ticks. An open-ended chunk uses the probe's end.
    #[must_use]
    pub fn new(
        chunk: &Chunk,
        end: i64,
        time_base: Rational,
        segment_seconds: f64,
        gop_seconds: f64,
        rules: &[FrameRule],
    ) -> Self {
        let seconds = time_base.seconds(end.saturating_sub(chunk.start)).max(0.001);
        let segments = (seconds / segment_seconds).round().max(1.0);
        let groups = (seconds / segments / gop_seconds).round().max(1.0);
        let ticks = end.saturating_sub(chunk.start).max(1) as f64;
        Self {
            start: chunk.start,
            step: ticks / (segments * groups),
            per_segment: groups as u64,
            next: 0,
            last_segment: None,
            keepers: rules.iter().copied().map(Keeper::new).collect(),
        }
    }

    /// The mark of the next frame. Call it once for every source frame of the chunk, in ascending order of PTS.
    pub fn mark(&mut self, pts: i64) -> Mark {
        let mut everywhere = true;
        for keeper in &mut self.keepers {
            // Every keeper must see every frame.
            everywhere &= keeper.keep(pts);
        }
        let first = self.last_segment.is_none();
        if !everywhere || (!first && self.instant(self.next) > pts) {
            return Mark { idr: false, segment: false };
        }
        let elapsed = pts.saturating_sub(self.start).max(0) as f64;
        // Half a tick of tolerance, so that the instant of a frame on the grid does not round away from it.
        let reached = ((elapsed + 0.5) / self.step).floor() as u64;
        self.next = reached + 1;
        let segment = reached / self.per_segment;
        let starts = self.last_segment != Some(segment);
        self.last_segment = Some(segment);
        Mark { idr: true, segment: starts }
    }

    /// Grid instants after `from` and so far before `until` that a frame there does not crowd the one at `until`.
    pub fn between(&self, from: i64, until: i64) -> impl Iterator<Item = i64> + use<> {
        let (start, step) = (self.start, self.step);
        let elapsed = from.saturating_sub(start) as f64 + 0.5;
        let first = if elapsed < 0.0 { 0 } else { (elapsed / step).floor() as u64 + 1 };
        let last = until.saturating_sub((step * CROWDED).ceil() as i64);
        (first..).map(move |index| instant(start, step, index)).take_while(move |at| *at <= last)
    }

    /// Most IDR pictures and most segments of frames before `end`.
    #[must_use]
    pub fn most(&self, end: i64) -> (u64, u64) {
        let elapsed = end.saturating_sub(self.start).max(0) as f64;
        let last = ((elapsed + 0.5) / self.step).floor() as u64;
        (last.saturating_add(1), (last / self.per_segment).saturating_add(1))
    }

    /// Ticks from one segment to the next.
    #[must_use]
    pub fn segment_ticks(&self) -> f64 {
        self.step * self.per_segment as f64
    }

    fn instant(&self, index: u64) -> i64 {
        instant(self.start, self.step, index)
    }
}

fn instant(start: i64, step: f64, index: u64) -> i64 {
    start.saturating_add((step * index as f64 - 0.5).ceil() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(frames: i64, fps: i64, rules: &[FrameRule]) -> Vec<(i64, bool)> {
        let chunk = Chunk { start: 0, end: frames, seek: None };
        let mut grid = Grid::new(&chunk, frames, Rational::new(1, fps), 6.0, 2.0, rules);
        (0..frames)
            .filter_map(|pts| {
                let mark = grid.mark(pts);
                mark.idr.then_some((pts, mark.segment))
            })
            .collect()
    }

    #[test]
    fn twelve_seconds_are_two_segments_of_three_groups() {
        let expected =
            [(0, true), (50, false), (100, false), (150, true), (200, false), (250, false)];
        assert_eq!(marks(300, 25, &[FrameRule::ALL]), expected);
    }

    #[test]
    fn a_picture_that_stands_is_repeated_at_grid_instants() {
        let chunk = Chunk { start: 100, end: 400, seek: None };
        let grid = Grid::new(&chunk, 400, Rational::new(1, 25), 6.0, 2.0, &[]);
        let between = |from, until| grid.between(from, until).collect::<Vec<_>>();
        assert_eq!(between(100, 260), [150, 200]);
        assert_eq!(between(99, 200), [100, 150]);
        assert_eq!(between(-50, 160), [100]);
        assert_eq!(between(149, 170), [150]);
        assert_eq!(between(150, 150), Vec::<i64>::new());
    }

    #[test]
    fn an_idr_falls_only_on_frames_that_every_tier_keeps() {
        let half = FrameRule::new(Rational::new(60, 1), 30, Rational::new(1, 60));
        for (pts, _) in marks(605, 60, &[FrameRule::ALL, half]) {
            assert_eq!(pts % 2, 0);
        }
    }
}
