//! Fractions, as containers give time bases and rates.

use serde::{Deserialize, Serialize};

/// A fraction such as a time base (seconds per tick) or a frame rate (frames per second). `den` is never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rational {
    pub num: i64,
    pub den: i64,
}

impl Rational {
    /// `num / den`; a zero denominator becomes `0/1`, as libav uses 0/0 for unknown.
    #[must_use]
    pub fn new(num: i64, den: i64) -> Self {
        if den == 0 { Self { num: 0, den: 1 } } else { Self { num, den } }
    }

    /// The value as a float.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.num as f64 / self.den as f64
    }

    /// Seconds in `ticks` of this time base.
    #[must_use]
    pub fn seconds(self, ticks: i64) -> f64 {
        ticks as f64 * self.num as f64 / self.den as f64
    }

    /// The tick nearest to `seconds` in this time base.
    #[must_use]
    pub fn ticks(self, seconds: f64) -> i64 {
        (seconds * self.den as f64 / self.num as f64).round() as i64
    }
}
