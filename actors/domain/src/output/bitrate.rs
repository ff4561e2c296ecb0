//! Measured bit rates, as HLS defines them.

/// Size and duration of a media segment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weight {
    /// Size in bytes.
    pub bytes: u64,
    /// Duration in seconds.
    pub seconds: f64,
}

/// Bit rates of a rendition, in bits per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BitRate {
    /// Largest rate of any run of segments that lasts between 0.5 and 1.5 target durations (RFC 8216, section 4.1).
    pub peak: u64,
    /// Average over all segments.
    pub average: u64,
}

/// Measures a rendition. Segments that fit into no allowed run are measured alone or together, so that the peak is never below the average.
#[must_use]
pub fn measure(segments: &[Weight], target_duration: f64) -> BitRate {
    let rate = |bytes: u64, seconds: f64| {
        if seconds > 0.0 { (bytes as f64 * 8.0 / seconds).ceil() as u64 } else { 0 }
    };
    let (mut bytes, mut seconds) = (0, 0.0);
    let mut peak = 0;
    for (first, segment) in segments.iter().enumerate() {
        bytes += segment.bytes;
        seconds += segment.seconds;
        let mut run = Weight { bytes: 0, seconds: 0.0 };
        for next in &segments[first..] {
            run.bytes += next.bytes;
            run.seconds += next.seconds;
            if run.seconds > 1.5 * target_duration {
                break;
            }
            if run.seconds >= 0.5 * target_duration {
                peak = peak.max(rate(run.bytes, run.seconds));
            }
        }
    }
    let average = rate(bytes, seconds);
    BitRate { peak: peak.max(average), average }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(segments: &[(u64, f64)]) -> Vec<Weight> {
        segments.iter().map(|&(bytes, seconds)| Weight { bytes, seconds }).collect()
    }

    #[test]
    fn the_peak_is_taken_over_runs_of_about_a_target_duration() {
        let rates = measure(&weights(&[(1000, 4.0), (3000, 4.0), (500, 4.0)]), 4.0);
        assert_eq!(rates, BitRate { peak: 6000, average: 3000 });
    }

    #[test]
    fn a_tiny_tail_does_not_make_a_peak_of_its_own() {
        let rates = measure(&weights(&[(1000, 4.0), (1000, 0.1)]), 4.0);
        assert_eq!(rates.peak, (2000.0_f64 * 8.0 / 4.1).ceil() as u64);
    }

    #[test]
    fn nothing_measures_as_nothing_and_short_clips_as_their_average() {
        assert_eq!(measure(&[], 6.0), BitRate::default());
        assert_eq!(measure(&weights(&[(100, 1.0)]), 6.0), BitRate { peak: 800, average: 800 });
    }
}
