//! When a picture that stands is encoded again.
//!
//! A single frame may stand for hours: a slide, a screen recording, a cover under a song. Players start and seek only where a frame is,
//! and a playlist's segments are as long as the distance of key pictures allows. So a picture that stands for long is repeated
//! at the instants of the GOP grid, a frame every two seconds instead of every fortieth of one.

/// Between two frames of the source, seconds: up to here a frame simply lasts.
pub const BETWEEN_SECONDS_MAX: f64 = 10.0;

/// Before the first frame, seconds: the first picture stands from the beginning where it comes later than this. hls.js and Chromium
/// pass over a hole of a tenth of a second at the start without a word.
pub const LEAD_SECONDS_MAX: f64 = 0.1;

/// Whether the first picture, `seconds` after the beginning, stands from the beginning on.
#[must_use]
pub fn leads(seconds: f64) -> bool {
    seconds > LEAD_SECONDS_MAX
}

/// Whether a picture is repeated that stands for `seconds` until the next frame; at the end of a video until the end.
#[must_use]
pub fn stands(seconds: f64, at_end: bool, gop_seconds: f64) -> bool {
    seconds > if at_end { gop_seconds } else { BETWEEN_SECONDS_MAX }
}

/// The longest that a frame of an output lasts, seconds, where those of the source last up to `seconds`.
#[must_use]
pub fn longest(seconds: f64, gop_seconds: f64) -> f64 {
    seconds.min(BETWEEN_SECONDS_MAX.max(2.0 * gop_seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slide_is_repeated_and_a_pause_is_not() {
        assert!(stands(70.0, false, 2.0) && !stands(9.0, false, 2.0));
        assert!(stands(9.0, true, 2.0) && !stands(1.0, true, 2.0));
        assert!(leads(0.3) && !leads(0.04));
        assert_eq!([longest(3.0, 2.0), longest(300.0, 2.0)], [3.0, 10.0]);
    }
}
