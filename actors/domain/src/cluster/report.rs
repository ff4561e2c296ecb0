//! What came of a simulation.

use crate::order::lane::Lane;

/// What became of an upload. Times are in milliseconds since the start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    pub(crate) at: u64,
    pub(crate) lane: Lane,
    pub(crate) owner: String,
    /// When its first task began.
    pub(crate) started: Option<u64>,
    pub(crate) playable: Option<u64>,
    pub(crate) completed: Option<u64>,
}

impl Told {
    /// Time from the upload to its completion.
    pub(crate) fn took(&self) -> u64 {
        self.completed.expect("a completed order") - self.at
    }
}

/// What came of all uploads.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) told: Vec<Told>,
    /// Time of all slots together in which they worked.
    pub(crate) worked: u64,
    pub(crate) end: u64,
    /// Most tasks of one row that waited at once.
    pub(crate) deepest: usize,
    /// Evaluations.
    pub(crate) evaluations: u64,
    /// Of these, for lanes found empty.
    pub(crate) asked_again: u64,
}

impl Report {
    /// Times of completion, ascending.
    pub(crate) fn completions(&self) -> Vec<u64> {
        let mut times: Vec<u64> = self.told.iter().filter_map(|told| told.completed).collect();
        times.sort_unstable();
        times
    }

    /// Completions in `from..to`, in milliseconds.
    pub(crate) fn completed_within(&self, from: u64, to: u64) -> usize {
        self.completions().into_iter().filter(|at| (from..to).contains(at)).count()
    }

    /// Largest number of later uploads of a lane and owner that were completed before an earlier one.
    pub(crate) fn overtaken_most(&self) -> usize {
        let same = |a: &Told, b: &Told| a.lane == b.lane && a.owner == b.owner;
        let by = |(index, told): (usize, &Told)| {
            let later = self.told[index + 1..].iter().filter(|later| same(told, later));
            later.filter(|later| later.completed < told.completed).count()
        };
        self.told.iter().enumerate().map(by).max().unwrap_or(0)
    }

    /// Share of the time of `slots` slots that was work.
    pub(crate) fn efficiency(&self, slots: usize) -> f64 {
        self.worked as f64 / (self.end as f64 * slots as f64)
    }

    /// Longest time from an upload to its first playback.
    pub(crate) fn playable_latest(&self) -> u64 {
        let waited = |told: &Told| told.playable.expect("a playable order") - told.at;
        self.told.iter().map(waited).max().unwrap_or(0)
    }
}
