//! How long the pictures of a recording last, by their times.
//!
//! A container may declare a number of pictures per second that is wrong. The mean says little of a recording that stands still between
//! movements: it is far above the distance of pictures that move.

use serde::{Deserialize, Serialize};

use crate::media::Rational;
use crate::preroll::PRESSED_SECONDS;

/// How long pictures last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lasting {
    /// The median of their distances, ticks; 0 where it is not known.
    pub usual: i64,
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
