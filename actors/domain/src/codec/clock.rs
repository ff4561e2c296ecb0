//! The clock of the outputs: its ticks and its origin, in integers.

use crate::plan::media::{AudioTrack, VideoTrack};
use crate::plan::rational::Rational;
use crate::words::failure::Failure;
use crate::words::reason::{OverLimit, Reason};
use crate::words::warning::Warning;

/// Finest clock in ticks per second. MP4 sample durations have 32 bits: at this rate they hold seven minutes.
const TIMESCALE_MAX: i64 = 10_000_000;

/// Time base that replaces a finer one.
const MICROSECONDS: Rational = Rational { num: 1, den: 1_000_000 };

/// Coarsest clock in ticks per second, so that audio and pictures differ by at most a millisecond.
const TIMESCALE_MIN: i64 = 1000;

/// Time base of a source's timestamps inside Jetreel: the source's own, or microseconds if that is finer than MP4 supports (Matroska ticks
/// of a nanosecond, odd clocks of Theora and MP4).
#[must_use]
pub fn working(own: Rational) -> Rational {
    let divisor = gcd(own.num, own.den).max(1);
    if own.den / divisor > TIMESCALE_MAX { MICROSECONDS } else { own }
}

/// Output ticks per second for a source with this time base. One source tick is a whole number of them.
///
/// # Errors
/// Permanent: the source's clock is finer than MP4 supports.
pub fn timescale(time_base: Rational) -> Result<u32, Failure> {
    let divisor = gcd(time_base.num, time_base.den).max(1);
    let exact = time_base.den / divisor;
    let whole = if exact < TIMESCALE_MIN { exact * ceiling(TIMESCALE_MIN, exact) } else { exact };
    match u32::try_from(whole) {
        Ok(timescale) if timescale > 0 && whole <= TIMESCALE_MAX => Ok(timescale),
        Ok(_) | Err(_) => {
            let detail = format!("{whole} ticks per second");
            Err(Failure::from(Reason::from(OverLimit::Fineness)).with_detail(detail))
        }
    }
}

/// Source tick of output time 0: the earlier of first picture and first audio, rounded down to a tick of the picture's clock. Audio that
/// starts more than `lead_seconds_max` before the pictures does not count, and is reported in the warning.
#[must_use]
pub fn origin(
    video: &VideoTrack,
    audio: &[&AudioTrack],
    lead_seconds_max: f64,
) -> (i64, Option<Warning>) {
    let earliest = video.time_base.ticks(lead_seconds_max).saturating_neg();
    let starts = audio.iter().map(|track| convert(track.start, track.time_base, video.time_base));
    let leads = |start: &i64| start.saturating_sub(video.start) < earliest;
    let (early, others): (Vec<i64>, Vec<i64>) = starts.partition(leads);
    let warning = early.into_iter().min().map(|first| Warning::SoundBeforePicture {
        lead: video.time_base.seconds(video.start.saturating_sub(first)),
        picture: video.time_base.seconds(video.end.saturating_sub(video.start)),
        limit: lead_seconds_max,
    });
    (others.into_iter().fold(video.start, i64::min), warning)
}

/// Source tick at which every output ends: the later of last picture and last audio, at most `seconds_max` after `origin`. Audio that is
/// cut off is reported in the warning.
#[must_use]
pub fn end(
    video: &VideoTrack,
    audio: &[&AudioTrack],
    origin: i64,
    seconds_max: f64,
) -> (i64, Option<Warning>) {
    // A track of length 0 was left out completely, so no picture stands for it.
    let heard = audio.iter().filter(|track| track.seconds > 0.0);
    let ends = heard.map(|track| {
        let start = convert(track.start, track.time_base, video.time_base);
        start.saturating_add(video.time_base.ticks(track.seconds))
    });
    let heard = ends.fold(video.end, i64::max);
    let latest = origin.saturating_add(video.time_base.ticks(seconds_max)).max(video.end);
    if heard <= latest {
        return (heard, None);
    }
    let seconds = |tick: i64| video.time_base.seconds(tick.saturating_sub(origin));
    let (sound, picture, kept) = (seconds(heard), seconds(video.end), seconds(latest));
    (latest, Some(Warning::SoundCut { sound, picture, kept }))
}

/// `tick` of the clock `from` in ticks of the clock `to`, rounded up: no instant that rounds down to `tick` is after the result.
#[must_use]
pub fn rescale_up(tick: i64, from: Rational, to: Rational) -> i64 {
    if from == to { tick } else { convert(tick.saturating_add(1), from, to) }
}

/// A tick of another clock, rounded down.
#[must_use]
pub fn convert(tick: i64, from: Rational, to: Rational) -> i64 {
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
    fn a_clock_finer_than_mp4_can_carry_is_worked_with_in_microseconds() {
        let microseconds = Rational::new(1, 1_000_000);
        for den in [1_000_000_000, 30_000_299, 16_000_000] {
            assert_eq!(working(Rational::new(1, den)), microseconds, "{den}");
        }
        assert_eq!(working(Rational::new(1, 10_000_000)), Rational::new(1, 10_000_000));
        assert_eq!(working(Rational::new(1001, 30_000)), Rational::new(1001, 30_000));
        let own = Rational::new(1, 16_000_000);
        // A seek must not fall short of the key picture by rounding.
        assert_eq!(rescale_up(1_000_000, microseconds, own), 16_000_016);
        assert_eq!(rescale_up(7, own, own), 7);
    }

    #[test]
    fn a_clock_finer_than_mp4_can_carry_is_refused() {
        assert_eq!(timescale(Rational::new(1, 1_000_000_000)).unwrap_err().code, "time-base");
        assert!(timescale(Rational::new(1, 10_000_000)).is_ok());
    }

    #[test]
    fn outputs_end_with_the_later_of_last_picture_and_last_sound() {
        let video = crate::sample::track();
        let mut sound = crate::sample::sound();
        sound.seconds = 50.0;
        assert_eq!(end(&video, &[&sound], 0, 1e5), (video.end, None));
        (sound.start, sound.seconds) = (48_000, 70.0);
        assert_eq!(end(&video, &[&sound], 0, 1e5), (71 * 90_000, None));
        let mut left_out = crate::sample::sound();
        (left_out.start, left_out.seconds) = (48_000 * 700, 0.0);
        assert_eq!(end(&video, &[&left_out], 0, 1e5), (video.end, None));
        let (cut, warning) = end(&video, &[&sound], 0, 65.0);
        assert_eq!(cut, 65 * 90_000);
        let warning = warning.unwrap();
        let warning = warning.sentence();
        assert!(warning.contains("71 s") && warning.contains("60 s"), "{warning}");
    }

    #[test]
    fn time_zero_is_the_earlier_of_first_picture_and_first_sound() {
        let video = crate::sample::track();
        let mut early = crate::sample::sound();
        early.start = -1;
        // One sample before 0 is 1.875 ticks: rounded down.
        assert_eq!(origin(&video, &[&early], 60.0), (-2, None));
        early.start = 48_000;
        assert_eq!(origin(&video, &[&early], 60.0), (video.start, None));
        for absurd in [i64::MIN, i64::MAX, -48_000 * 3600] {
            early.start = absurd;
            assert_eq!(origin(&video, &[&early], 60.0).0, video.start);
        }
    }
    #[test]
    fn sound_long_before_the_picture_is_left_out_with_a_warning() {
        let video = crate::sample::track();
        let [mut long, mut short] = [crate::sample::sound(), crate::sample::sound()];
        (long.start, short.start) = (-48_000 * 700, -48_000 * 30);
        let (start, warning) = origin(&video, &[&short, &long], 600.0);
        assert_eq!(start, -90_000 * 30);
        let sentence = warning.unwrap().sentence();
        let lengths = ["700 s", "60 s", "600 s"];
        assert!(lengths.iter().all(|length| sentence.contains(length)), "{sentence}");
        long.start = -48_000 * 600;
        assert_eq!(origin(&video, &[&long], 600.0), (-90_000 * 600, None));
    }
}
