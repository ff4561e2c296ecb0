//! The clock of the outputs: its ticks and its zero, in whole numbers throughout.

use crate::failure::Failure;
use crate::media::{AudioTrack, Rational, VideoTrack};

/// Finest clock, ticks per second. MP4 sample durations have 32 bits: at this rate they hold seven minutes.
const TIMESCALE_MAX: i64 = 10_000_000;

/// Coarsest clock, ticks per second, so that sound and picture can be told apart by a millisecond.
const TIMESCALE_MIN: i64 = 1000;

/// Output ticks per second for a source with that time base: one source tick is a whole number of them.
///
/// # Errors
/// Permanent, where the source's clock is finer than an MP4 can carry.
pub fn timescale(time_base: Rational) -> Result<u32, Failure> {
    let divisor = gcd(time_base.num, time_base.den).max(1);
    let exact = time_base.den / divisor;
    let whole = if exact < TIMESCALE_MIN { exact * ceiling(TIMESCALE_MIN, exact) } else { exact };
    match u32::try_from(whole) {
        Ok(timescale) if timescale > 0 && whole <= TIMESCALE_MAX => Ok(timescale),
        Ok(_) | Err(_) => Err(Failure::permanent(
            "time-base",
            format!("the clock of the video is too fine ({whole} ticks a second); export it again"),
        )),
    }
}

/// Source tick that is time 0 of every output: the earlier of first picture and first sound, rounded down to a tick of the
/// picture's clock. Sound that starts more than `lead_seconds_max` before the picture is a lie and does not count.
#[must_use]
pub fn origin(video: &VideoTrack, audio: &[&AudioTrack], lead_seconds_max: f64) -> i64 {
    let earliest = video.time_base.ticks(lead_seconds_max).saturating_neg();
    let starts = audio.iter().map(|track| convert(track.start, track.time_base, video.time_base));
    starts.filter(|start| start.saturating_sub(video.start) >= earliest).fold(video.start, i64::min)
}

/// A tick of another clock, rounded down.
fn convert(tick: i64, from: Rational, to: Rational) -> i64 {
    let dividend = i128::from(tick)
        .checked_mul(i128::from(from.num))
        .and_then(|product| product.checked_mul(i128::from(to.den)));
    let divisor = i128::from(from.den) * i128::from(to.num);
    match dividend {
        Some(dividend) if divisor > 0 => {
            i64::try_from(dividend.div_euclid(divisor)).unwrap_or(i64::MIN)
        }
        Some(_) | None => i64::MIN,
    }
}

fn ceiling(dividend: i64, divisor: i64) -> i64 {
    let divisor = divisor.max(1);
    (dividend + divisor - 1) / divisor
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_tick_is_a_whole_number_of_output_ticks() {
        let cases = [
            ((1, 90_000), 90_000),
            ((1, 1000), 1000),
            ((1, 25), 1000),
            ((1, 24), 1008),
            ((1001, 30_000), 30_000),
            ((2, 50), 1000),
            ((10, 1), 1000),
        ];
        for ((num, den), expected) in cases {
            let found = timescale(Rational::new(num, den)).unwrap();
            assert_eq!(found, expected, "{num}/{den}");
            assert_eq!(i64::from(found) * num % den, 0);
        }
    }

    #[test]
    fn a_clock_finer_than_mp4_can_carry_is_refused() {
        assert_eq!(timescale(Rational::new(1, 1_000_000_000)).unwrap_err().code, "time-base");
        assert!(timescale(Rational::new(1, 10_000_000)).is_ok());
    }

    #[test]
    fn time_zero_is_the_earlier_of_first_picture_and_first_sound() {
        let video = crate::sample::track();
        let mut early = crate::sample::sound();
        early.start = -1;
        // One sample before 0 is 1.875 ticks: rounded down.
        assert_eq!(origin(&video, &[&early], 60.0), -2);
        early.start = 48_000;
        assert_eq!(origin(&video, &[&early], 60.0), video.start);
        for absurd in [i64::MIN, i64::MAX, -48_000 * 3600] {
            early.start = absurd;
            assert_eq!(origin(&video, &[&early], 60.0), video.start);
        }
    }
}
