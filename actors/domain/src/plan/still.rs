//! Repetition of a picture that stands.
//!
//! A single frame may stand for hours: a slide, a screen recording, a cover under a song. Players start and seek only at frames, and a
//! media segment cannot be shorter than the distance of key pictures. So a picture that stands for long is repeated at the instants of the
//! GOP grid: one frame every two seconds.

/// Longest distance of two source frames without a repeated frame between them, in seconds.
pub const BETWEEN_SECONDS_MAX: f64 = 10.0;

/// Latest start of the first picture in seconds. A later one is shown from the beginning on. hls.js and Chromium skip a gap of a tenth of a
/// second at the start by themselves.
pub const LEAD_SECONDS_MAX: f64 = 0.1;

/// Whether a first picture that starts at `seconds` is shown from 0 on.
#[must_use]
pub fn leads(seconds: f64) -> bool {
    seconds > LEAD_SECONDS_MAX
}

/// Whether a picture is repeated that stands for `seconds` until the next frame or, `at_end`, until the end of the video.
#[must_use]
pub fn stands(seconds: f64, at_end: bool, gop_seconds: f64) -> bool {
    seconds > if at_end { gop_seconds } else { BETWEEN_SECONDS_MAX }
}

/// Longest duration of a frame in an output, in seconds. Frames of the source last up to `seconds`.
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
