//! Durations of the pictures of a recording, from their times.
//!
//! A container may declare a wrong frame rate. The mean rate says little about a recording that stands still between movements: the mean
//! distance is far above the distance of moving pictures.

use serde::{Deserialize, Serialize};

use crate::codec::preroll::PRESSED_SECONDS;
use crate::plan::rational::Rational;

/// Durations of pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lasting {
    /// Median of their distances in ticks; 0 if unknown.
    pub usual: i64,
    /// Duration of the last picture in ticks if its packet declares none, or a wrong one. 0 if the packet is right.
    #[serde(default)]
    pub last: i64,
}

/// Longest duration of a last picture in seconds, as derived from the distances before it.
const LAST_SECONDS_MAX: f64 = 1.0;

/// Distances before the last picture from which its duration is derived.
const LAST_DISTANCES: usize = 5;

/// The declared duration of a packet is right if it differs from the distance to the next picture by at most one part in this many.
const TOLD_PART: i64 = 4;

/// A picture of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown {
    /// Its time in ticks.
    pub at: i64,
    /// Duration that its packet declares in ticks; 0 if none.
    pub told: i64,
}

/// Duration in ticks of the last of `pictures`, which are in order of time. `None` if the declared duration of its packet is right, or
/// nothing is known. `exact`: an index declares it.
#[must_use]
pub fn last(pictures: &[Shown], exact: bool, time_base: Rational) -> Option<i64> {
    let told = pictures.last().is_some_and(|last| last.told > 0);
    let distance = |pair: &[Shown]| pair[1].at.saturating_sub(pair[0].at);
    let is_right = |pair: &&[Shown]| {
        let off = pair[0].told.saturating_sub(distance(pair)).abs();
        // Clocks of milliseconds round.
        pair[0].told > 0 && off <= (distance(pair) / TOLD_PART).max(1)
    };
    let pairs = pictures.len().saturating_sub(1);
    let right = || pictures.windows(2).filter(is_right).count();
    if told && (exact || pairs == 0 || right() * 2 > pairs) {
        return None;
    }
    let recent = &pictures[pairs.saturating_sub(LAST_DISTANCES)..];
    let distances = recent.windows(2).map(distance).filter(|distance| *distance > 0).collect();
    median(distances).map(|ticks| ticks.min(time_base.ticks(LAST_SECONDS_MAX)).max(1))
}

/// The median distance of pictures in ticks; `None` if there is none. `times` may be in any order. Pictures with nearly the same time do
/// not count.
#[must_use]
pub fn usual(times: &[i64], time_base: Rational) -> Option<i64> {
    let mut times = times.to_vec();
    times.sort_unstable();
    let pressed = time_base.ticks(PRESSED_SECONDS);
    let distances = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
    let distances: Vec<i64> = distances.filter(|distance| *distance > pressed).collect();
    median(distances)
}

fn median(mut all: Vec<i64>) -> Option<i64> {
    let middle = all.len() / 2;
    if all.is_empty() { None } else { Some(*all.select_nth_unstable(middle).1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECONDS: Rational = Rational { num: 1, den: 1000 };

    #[test]
    fn what_moves_says_how_long_a_picture_lasts() {
        // A second of movement after each ten seconds without.
        let burst = |from: i64| (0..60).map(move |index| from + index * 50 / 3);
        let recording: Vec<i64> = (0..20).flat_map(|index| burst(index * 11_000)).collect();
        assert_eq!(usual(&recording, MILLISECONDS), Some(17));
        let even: Vec<i64> = (0..50).map(|index| index * 40).collect();
        assert_eq!(usual(&even, MILLISECONDS), Some(40));
        // In decoding order.
        assert_eq!(usual(&[0, 120, 40, 80, 240, 160, 200], MILLISECONDS), Some(40));
    }

    fn pictures(times: impl IntoIterator<Item = i64>, told: i64) -> Vec<Shown> {
        times.into_iter().map(|at| Shown { at, told }).collect()
    }

    #[test]
    fn the_last_picture_lasts_as_long_as_those_before_it() {
        let rests = || (0..30).map(|index| index * 5000).chain((1..9).map(|i| 145_000 + i * 40));
        let last = |pictures: &[Shown]| last(pictures, false, MILLISECONDS);
        assert_eq!(last(&pictures(rests(), 0)), Some(40));
        // As a wrong header declares.
        for told in [1, 500, 2000] {
            assert_eq!(last(&pictures((0..50).map(|index| index * 40), told)), Some(40));
        }
        // A pause before it.
        assert_eq!(last(&pictures((0..50).map(|index| index * 40).chain([9000]), 0)), Some(40));
        assert_eq!(last(&pictures([0, 70_000], 40)), Some(1000));
        assert_eq!((last(&[]), last(&pictures([5], 0))), (None, None));
    }

    #[test]
    fn a_packet_that_tells_how_long_it_lasts_is_believed_where_others_tell_the_truth() {
        let mut told = pictures((0..50).map(|index| index * 40), 40);
        told[49].told = 20_000;
        assert_eq!(last(&told, false, MILLISECONDS), None);
        told[49].told = 0;
        assert_eq!(last(&told, false, MILLISECONDS), Some(40));
        assert_eq!(last(&pictures([5], 20_000), false, MILLISECONDS), None);
        // With an index.
        assert_eq!(last(&pictures([0, 70_000], 40), true, MILLISECONDS), None);
    }

    #[test]
    fn pictures_that_share_a_time_or_stand_alone_say_nothing() {
        assert_eq!(usual(&[], MILLISECONDS), None);
        assert_eq!(usual(&[7], MILLISECONDS), None);
        assert_eq!(usual(&[7, 7, 8, 9], MILLISECONDS), None);
        let pressed: Vec<i64> = (0..90).chain((1..30).map(|index| 89 + index * 40)).collect();
        assert_eq!(usual(&pressed, MILLISECONDS), Some(40));
        // Ticks of a picture.
        assert_eq!(usual(&[0, 1, 2], Rational::new(1, 25)), Some(1));
    }
}
