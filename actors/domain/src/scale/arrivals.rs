//! The rate at which work arrives, as far as it is steady.
//!
//! A burst is backlog, and backlog is counted once. So the rate is the median of the last minutes: one minute with 500 uploads leaves it
//! as it was, a steady stream is seen within five minutes.

use std::collections::VecDeque;

/// Length of a bucket.
const BUCKET_SECONDS: f64 = 60.0;
/// Buckets of which the median is taken.
const BUCKETS: usize = 9;

/// Work that arrived in each of the last minutes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Arrivals {
    /// Number of the bucket that is being filled, from the start of the clock.
    current: u64,
    filling: f64,
    /// Encode seconds of the complete buckets, the newest last.
    complete: VecDeque<f64>,
}

impl Arrivals {
    /// Records work of so many encode seconds that arrives at `now_seconds`.
    pub fn add(&mut self, now_seconds: f64, encode_seconds: f64) {
        self.advance(now_seconds);
        self.filling += encode_seconds.max(0.0);
    }

    /// Encode seconds that arrive in a second.
    pub fn per_second(&mut self, now_seconds: f64) -> f64 {
        self.advance(now_seconds);
        let mut sorted: Vec<f64> = self.complete.iter().copied().collect();
        // Minutes before the first one count as empty.
        sorted.resize(BUCKETS, 0.0);
        sorted.sort_by(f64::total_cmp);
        sorted[BUCKETS / 2] / BUCKET_SECONDS
    }

    fn advance(&mut self, now_seconds: f64) {
        let bucket = (now_seconds.max(0.0) / BUCKET_SECONDS) as u64;
        let passed = bucket.saturating_sub(self.current);
        for _ in 0..passed.min(BUCKETS as u64 + 1) {
            self.complete.push_back(std::mem::take(&mut self.filling));
        }
        while self.complete.len() > BUCKETS {
            self.complete.pop_front();
        }
        self.current = self.current.max(bucket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_is_a_rate_and_a_burst_is_none() {
        let mut arrivals = Arrivals::default();
        arrivals.add(1.0, 1e6);
        for minute in 1..20 {
            assert_eq!(arrivals.per_second(f64::from(minute) * 60.0), 0.0);
        }
        for second in 1200..2400 {
            arrivals.add(f64::from(second), 3.0);
        }
        assert!((arrivals.per_second(2400.0) - 3.0).abs() < 1e-9);
        assert_eq!(arrivals.per_second(2400.0 + 600.0), 0.0);
    }

    #[test]
    fn a_clock_that_jumps_ahead_empties_it_in_a_few_steps() {
        let mut arrivals = Arrivals::default();
        arrivals.add(0.0, 60.0);
        assert_eq!(arrivals.per_second(1e18), 0.0);
        assert_eq!(arrivals.complete.len(), BUCKETS);
    }
}
