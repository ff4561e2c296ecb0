//! Frames far after their predecessor wait here until later ones confirm or contradict their times.
//!
//! Invariant: frames leave in their order, and at most [`WILD_MAX`] of them wait.

use std::collections::VecDeque;

use jetreel_domain::codec::misplaced::WILD_MAX;

/// A frame whose time is in doubt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Held<T> {
    pub picture: T,
    pub pts: i64,
    /// Time of its predecessor.
    pub before: i64,
    /// Whether it is far after its predecessor. Others only follow one that is.
    pub far: bool,
}

/// Waiting frames.
#[derive(Debug)]
pub(crate) struct Doubt<T> {
    held: VecDeque<Held<T>>,
    /// Number of frames, from the first on, that are confirmed.
    settled: usize,
}

impl<T> Doubt<T> {
    /// Without frames.
    pub(crate) fn new() -> Self {
        Self { held: VecDeque::with_capacity(WILD_MAX), settled: 0 }
    }

    /// Whether any frame waits.
    pub(crate) fn any(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether no more frames may wait.
    pub(crate) fn is_full(&self) -> bool {
        self.held.len() >= WILD_MAX
    }

    /// Adds a frame.
    pub(crate) fn hold(&mut self, frame: Held<T>) {
        self.held.push_back(frame);
    }

    /// Confirms all frames.
    pub(crate) fn settle(&mut self) {
        self.settled = self.held.len();
    }

    /// The next confirmed frame.
    pub(crate) fn next(&mut self) -> Option<Held<T>> {
        self.settled = self.settled.checked_sub(1)?;
        self.held.pop_front()
    }

    /// Removes the frames that one at `pts` contradicts: it is before them, and after their predecessors.
    pub(crate) fn contradicted(&mut self, pts: i64) -> Vec<Held<T>> {
        let wild = |held: &Held<T>| held.far && held.before < pts && pts < held.pts;
        match self.held.iter().position(wild) {
            Some(first) => self.held.drain(first..).collect(),
            None => Vec::new(),
        }
    }

    /// Returns frames whose times one at `pts` contradicts, evenly between it and their predecessors.
    pub(crate) fn put_between(&mut self, frames: Vec<Held<T>>, pts: i64) {
        let Some(start) = frames.first().map(|first| first.before) else { return };
        let parts = frames.len() as i64 + 1;
        let mut before = start;
        for (part, frame) in (1..).zip(frames) {
            let place = start.saturating_add(pts.saturating_sub(start) / parts * part);
            let place = place.max(before.saturating_add(1));
            self.held.push_back(Held { pts: place, before, far: false, ..frame });
            before = place;
        }
        self.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(pts: i64, before: i64, far: bool) -> Held<i64> {
        Held { picture: pts, pts, before, far }
    }

    fn with(frames: &[(i64, i64, bool)]) -> Doubt<i64> {
        let mut doubt = Doubt::new();
        frames.iter().for_each(|(pts, before, far)| doubt.hold(held(*pts, *before, *far)));
        doubt
    }

    fn pictures(frames: &[Held<i64>]) -> Vec<i64> {
        frames.iter().map(|held| held.picture).collect()
    }

    #[test]
    fn two_wild_frames_side_by_side_are_contradicted_together() {
        let mut doubt = with(&[(900, 40, true), (940, 900, false)]);
        assert!(doubt.is_full() && doubt.next().is_none());
        assert_eq!(pictures(&doubt.contradicted(160)), [900, 940]);
        assert!(!doubt.any());
    }

    #[test]
    fn a_frame_after_a_pause_stays_where_the_second_one_is_wild() {
        let mut doubt = with(&[(900, 40, true), (5000, 900, true)]);
        assert_eq!(pictures(&doubt.contradicted(940)), [5000]);
        doubt.settle();
        assert_eq!(doubt.next(), Some(held(900, 40, true)));
        assert_eq!(doubt.next(), None);
    }

    #[test]
    fn what_only_follows_is_not_contradicted_by_what_lies_before_it() {
        let mut doubt = with(&[(900, 40, true), (940, 900, false)]);
        assert_eq!(pictures(&doubt.contradicted(920)), [0_i64; 0]);
        assert_eq!(pictures(&doubt.contradicted(40)), [0_i64; 0]);
    }

    #[test]
    fn contradicted_frames_find_a_place_between_their_neighbours() {
        let mut doubt = with(&[(300, 40, true), (340, 300, false)]);
        let frames = doubt.contradicted(160);
        doubt.put_between(frames, 160);
        let places = std::iter::from_fn(|| doubt.next().map(|held| held.pts)).collect::<Vec<_>>();
        assert_eq!(places, [80, 120]);
    }
}
