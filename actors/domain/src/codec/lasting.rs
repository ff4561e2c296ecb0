//! How long the pictures of a recording last, by their times.
//!
//! A container may declare a number of pictures per second that is wrong. The mean says little of a recording that stands still between
//! movements: it is far above the distance of pictures that move.

use serde::{Deserialize, Serialize};

use crate::codec::preroll::PRESSED_SECONDS;
use crate::plan::rational::Rational;

/// How long pictures last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lasting {
    /// The median of their distances, ticks; 0 where it is not known.
    pub usual: i64,
    /// Ticks of the last one where the packets do not say, or say it wrongly; 0 where they are to be believed.
    #[serde(default)]
    pub last: i64,
}

/// Longest that a last picture lasts by the distances before it, seconds.
const LAST_SECONDS_MAX: f64 = 1.0;

/// Distances before the last picture that say how long it lasts.
const LAST_DISTANCES: usize = 5;

/// What a packet tells of its length is right where it is off the distance to the next picture by no more than one part in this many.
const TOLD_PART: i64 = 4;

/// A picture of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown {
    /// Its time.
    pub at: i64,
    /// Ticks that its packet tells; 0 where it does not.
    pub told: i64,
}

/// Ticks of the last one of `pictures`, which are in order of time; `None` where what its packet tells is to be believed, or nothing is
/// known. `exact`: an index tells.
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

/// The median distance of pictures, ticks; `None` where there is none. `times` come in any order. Pictures that share a time, or
/// nearly, do not count.
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
        // A second of movement after each ten of rest.
        let burst = |from: i64| (0..60).map(move |index| from + index * 50 / 3);
        let recording: Vec<i64> = (0..20).flat_map(|index| burst(index * 11_000)).collect();
        assert_eq!(usual(&recording, MILLISECONDS), Some(17));
        let even: Vec<i64> = (0..50).map(|index| index * 40).collect();
        assert_eq!(usual(&even, MILLISECONDS), Some(40));
        // In the order of decoding.
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
        // What a wrong header makes of it.
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
        // An index.
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
