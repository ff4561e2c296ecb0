//! Times of pictures that are partly guessed, or that precede the end of another recording.
//!
//! An MPEG program stream stamps one picture of a PES packet, which may hold a dozen. libav counts the others from there, and assigns the
//! stamp to the wrong picture if a header is in one packet and its picture in the next. Decoders return pictures in order: a picture whose
//! time precedes its predecessor's is counted from it, and the next stamp after it counts again.

/// Most pictures in a row that are counted if times are guessed.
const COUNTED_MAX: u32 = 12;

/// Most seconds by which a time may precede its predecessor's and still count as a guess.
pub const BEHIND_SECONDS_MAX: f64 = 1.0;

/// The pace of a picture track.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Most pictures in a row that are counted. Further ones come at double pace until their times follow their predecessors'.
    counted_max: u32,
    /// Number of pictures in a row whose times preceded their predecessor's.
    behind: u32,
}

impl Pace {
    /// For times that are partly guessed.
    #[must_use]
    pub fn guessed() -> Self {
        Self { counted_max: COUNTED_MAX, behind: 0 }
    }

    /// For recordings that overlap.
    #[must_use]
    pub fn overlapping() -> Self {
        Self { counted_max: 0, behind: 0 }
    }

    /// Time at which a picture is shown that is stamped `told` and follows one at `last`, in ticks of `tick` seconds. A picture lasts
    /// `step` ticks. `None` if the picture is not shown.
    pub fn place(&mut self, told: i64, last: i64, step: i64, tick: f64) -> Option<i64> {
        if told > last {
            self.behind = 0;
            return Some(told);
        }
        if last.saturating_sub(told) as f64 * tick > BEHIND_SECONDS_MAX {
            return None;
        }
        self.behind = self.behind.saturating_add(1);
        let step = if self.behind <= self.counted_max { step } else { step / 2 };
        Some(last.saturating_add(step.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At 25 pictures per second of 90 kHz.
    const STEP: i64 = 3600;
    const TICK: f64 = 1.0 / 90_000.0;

    fn placed(told: &[i64], mut pace: Pace) -> Vec<Option<i64>> {
        let mut last = i64::MIN;
        let place = |told: &i64| {
            let place = pace.place(told * STEP / 2, last, STEP, TICK);
            last = place.unwrap_or(last);
            place.map(|place| place * 2 / STEP)
        };
        told.iter().map(place).collect()
    }

    #[test]
    fn a_picture_with_the_stamp_of_an_earlier_one_is_counted_on() {
        // Half pictures.
        assert_eq!(placed(&[0, 2, 0, 6], Pace::guessed()), [0, 2, 4, 6].map(Some));
        let two = placed(&[0, 2, 4, 0, 2, 10], Pace::guessed());
        assert_eq!(two, [0, 2, 4, 6, 8, 10].map(Some));
    }

    #[test]
    fn a_clock_that_goes_back_a_little_is_caught_up_with_and_loses_no_picture() {
        let told: Vec<i64> = (0..50).chain(45..95).map(|index| index * 2).collect();
        for pace in [Pace::guessed(), Pace::overlapping()] {
            let placed: Vec<i64> =
                placed(&told, pace).into_iter().map(|place| place.unwrap()).collect();
            assert!(placed.windows(2).all(|pair| pair[0] < pair[1]), "{placed:?}");
            assert_eq!(placed[99], 94 * 2);
        }
    }

    #[test]
    fn a_time_long_before_has_no_place() {
        let far: Vec<i64> = [100, 102, 20, 104].into();
        assert_eq!(placed(&far, Pace::guessed()), [Some(100), Some(102), None, Some(104)]);
    }
}
