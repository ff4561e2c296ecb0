//! Places decoded audio on the output's clock, counted in samples. Pure.
//!
//! Invariants: a track is contiguous from sample 0 to its end, with no sample before 0 or at or after the end. A gap, a late start and an
//! early end become silence; an overlap is cut.

/// How a run of samples is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placement {
    /// Samples of silence before it.
    pub silence: u64,
    /// Samples to drop at its start.
    pub skip: usize,
    /// Samples to use after that.
    pub take: usize,
}

impl Placement {
    const NOTHING: Self = Self { silence: 0, skip: 0, take: 0 };
}

/// The clock of an audio track, in samples from output time 0.
#[derive(Debug)]
pub(crate) struct Timeline {
    next: i64,
    end: i64,
    tolerance: i64,
}

impl Timeline {
    /// A timeline that ends at `end`. Steps of up to `tolerance` samples are clock noise.
    pub(crate) fn new(end: i64, tolerance: i64) -> Self {
        Self { next: 0, end, tolerance }
    }

    /// Whether no further sample fits.
    pub(crate) fn full(&self) -> bool {
        self.next >= self.end
    }

    /// Whether `at` is after the end.
    pub(crate) fn ends_before(&self, at: i64) -> bool {
        at >= self.end
    }

    /// Places `samples` samples whose first one belongs at `at`.
    pub(crate) fn place(&mut self, at: i64, samples: usize) -> Placement {
        let samples = i64::try_from(samples).unwrap_or(i64::MAX);
        if at >= self.end || samples == 0 {
            return Placement::NOTHING;
        }
        let step = at.saturating_sub(self.next);
        let noise = self.next > 0 && step.unsigned_abs() <= self.tolerance.unsigned_abs();
        let step = if noise { 0 } else { step };
        let (silence, skip) = (step.max(0), step.min(0).saturating_neg());
        if skip >= samples {
            return Placement::NOTHING;
        }
        let begin = self.next + silence;
        let take = (samples - skip).min((self.end - begin).max(0));
        self.next = begin + take;
        Placement { silence: silence as u64, skip: skip as usize, take: take as usize }
    }

    /// Samples of silence up to the end.
    pub(crate) fn rest(&mut self) -> u64 {
        let rest = self.end.saturating_sub(self.next).max(0);
        self.next += rest;
        rest as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placement(silence: u64, skip: usize, take: usize) -> Placement {
        Placement { silence, skip, take }
    }

    #[test]
    fn a_late_start_is_filled_and_an_early_one_is_cut() {
        let mut late = Timeline::new(10_000, 4);
        assert_eq!(late.place(300, 100), placement(300, 0, 100));
        let mut early = Timeline::new(10_000, 4);
        assert_eq!(early.place(-250, 100), placement(0, 0, 0));
        assert_eq!(early.place(-150, 100), placement(0, 0, 0));
        assert_eq!(early.place(-50, 100), placement(0, 50, 50));
        assert_eq!(early.place(50, 100), placement(0, 0, 100));
        let mut barely = Timeline::new(10_000, 4);
        assert_eq!(barely.place(3, 100), placement(3, 0, 100));
    }

    #[test]
    fn gaps_become_silence_and_overlaps_are_cut() {
        let mut line = Timeline::new(10_000, 4);
        assert_eq!(line.place(0, 100), placement(0, 0, 100));
        assert_eq!(line.place(103, 100), placement(0, 0, 100));
        assert_eq!(line.place(400, 100), placement(200, 0, 100));
        assert_eq!(line.place(460, 100), placement(0, 40, 60));
        assert_eq!(line.place(0, 100), placement(0, 0, 0));
        assert_eq!(line.place(560, 1), placement(0, 0, 1));
    }

    #[test]
    fn nothing_lies_behind_the_end_and_nothing_is_missing_before_it() {
        let mut line = Timeline::new(150, 4);
        assert_eq!(line.place(0, 100), placement(0, 0, 100));
        assert_eq!(line.place(5000, 100), placement(0, 0, 0));
        assert_eq!(line.place(100, 100), placement(0, 0, 50));
        assert!(line.full());
        assert_eq!(line.place(150, 1), placement(0, 0, 0));
        assert_eq!(line.rest(), 0);
        let mut short = Timeline::new(150, 4);
        short.place(0, 100);
        assert_eq!((short.rest(), short.full()), (50, true));
    }

    #[test]
    fn absurd_positions_do_no_harm() {
        let mut line = Timeline::new(150, 4);
        assert_eq!(line.place(i64::MIN, 100), placement(0, 0, 0));
        assert_eq!(line.place(i64::MAX, usize::MAX), placement(0, 0, 0));
        assert_eq!(line.place(0, usize::MAX), placement(0, 0, 150));
        assert_eq!(line.place(i64::MIN, 100), placement(0, 0, 0));
    }
}
