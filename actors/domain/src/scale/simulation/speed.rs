//! The measured speed of a slot: costs of finished tasks, divided by their wall time. Older tasks count less.

/// Seconds after which a task counts half.
const HALF_LIFE_SECONDS: f64 = 120.0;
/// Seconds of work at the assumed speed with which the measurement begins.
const BELIEF_SECONDS: f64 = 60.0;

/// The measurement.
#[derive(Debug, Clone)]
pub(super) struct Speed {
    cost: f64,
    wall: f64,
}

impl Speed {
    /// A measurement that begins with an assumption.
    pub(super) fn assumed(speed: f64) -> Self {
        Self { cost: speed * BELIEF_SECONDS, wall: BELIEF_SECONDS }
    }

    /// Counts a finished task.
    pub(super) fn finished(&mut self, cost: f64, wall_seconds: f64) {
        self.cost += cost;
        self.wall += wall_seconds;
    }

    /// Lets time pass.
    pub(super) fn age(&mut self, seconds: f64) {
        let left = 0.5_f64.powf(seconds / HALF_LIFE_SECONDS);
        // The belief never fades quite, so that an idle cluster keeps its last speed.
        if self.wall * left > BELIEF_SECONDS {
            self.cost *= left;
            self.wall *= left;
        }
    }

    /// Encode seconds that a slot does in a second.
    pub(super) fn now(&self) -> f64 {
        self.cost / self.wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_what_was_finished_lately_and_keeps_it_while_idle() {
        let mut speed = Speed::assumed(1.0);
        for _ in 0..200 {
            speed.finished(40.0, 80.0);
            speed.age(5.0);
        }
        assert!((speed.now() - 0.5).abs() < 0.02, "{}", speed.now());
        let before = speed.now();
        (0..10_000).for_each(|_| speed.age(5.0));
        assert!((speed.now() - before).abs() < 1e-9);
    }
}
