//! Speed of a busy slot, measured by finished tasks.

/// Weight of a measurement after the next one. The last hundred tasks or so count.
const KEEP: f64 = 0.98;

/// Encode seconds and wall seconds of recently finished tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Speed {
    encode: f64,
    wall: f64,
}

impl Speed {
    /// Records a finished task of so many encode seconds. A wall time that is not positive is not known.
    pub fn add(&mut self, encode_seconds: f64, wall_seconds: f64) {
        if wall_seconds.is_finite() && wall_seconds > 0.0 && encode_seconds > 0.0 {
            self.encode = self.encode * KEEP + encode_seconds;
            self.wall = self.wall * KEEP + wall_seconds;
        }
    }

    /// Encode seconds that a busy slot does in a second; 1 before the first measurement.
    #[must_use]
    pub fn get(&self) -> f64 {
        if self.wall > 0.0 { self.encode / self.wall } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_tasks_count_more_than_old_ones() {
        let mut speed = Speed::default();
        assert_eq!(speed.get(), 1.0);
        speed.add(4.0, 0.0);
        speed.add(4.0, f64::NAN);
        assert_eq!(speed.get(), 1.0);
        (0..100).for_each(|_| speed.add(4.0, 2.0));
        assert!((speed.get() - 2.0).abs() < 1e-9);
        (0..300).for_each(|_| speed.add(4.0, 8.0));
        assert!((speed.get() - 0.5).abs() < 0.01, "{}", speed.get());
    }
}
