//! Decides how often a supervisor restarts a child before it fails itself.

use std::time::Duration;

/// Restarts allowed within a window, with a growing delay. Times count from any fixed moment and never go back.
#[derive(Debug, Clone)]
pub struct RestartBudget {
    max: u32,
    window: Duration,
    failures: Vec<Duration>,
}

/// Decision about a failed child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Start it again after this delay.
    RestartAfter(Duration),
    /// Too many failures: the supervisor fails too, so that its parent decides.
    Escalate,
}

/// Delay before the first restart. It doubles with each further failure in the window.
const DELAY_MIN: Duration = Duration::from_millis(100);

/// Longest delay.
const DELAY_MAX: Duration = Duration::from_secs(30);

impl RestartBudget {
    /// A budget of `max` restarts within `window`.
    #[must_use]
    pub fn new(max: u32, window: Duration) -> Self {
        Self { max, window, failures: Vec::new() }
    }

    /// Counts a failure at `now` and decides.
    pub fn on_failure(&mut self, now: Duration) -> Verdict {
        let window = self.window;
        self.failures.retain(|at| now.saturating_sub(*at) < window);
        if self.failures.len() >= self.max as usize {
            return Verdict::Escalate;
        }
        let doublings = u32::try_from(self.failures.len()).unwrap_or(u32::MAX);
        self.failures.push(now);
        let factor = 2_u32.saturating_pow(doublings);
        Verdict::RestartAfter(DELAY_MIN.saturating_mul(factor).min(DELAY_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_until_the_budget_is_spent() {
        let mut budget = RestartBudget::new(3, Duration::from_secs(60));
        let at =
            |budget: &mut RestartBudget, seconds| budget.on_failure(Duration::from_secs(seconds));
        for millis in [100, 200, 400] {
            let expected = Verdict::RestartAfter(Duration::from_millis(millis));
            assert_eq!(at(&mut budget, 1), expected);
        }
        assert_eq!(at(&mut budget, 60), Verdict::Escalate);
    }

    #[test]
    fn failures_outside_the_window_are_forgotten() {
        let mut budget = RestartBudget::new(1, Duration::from_secs(60));
        let first = Verdict::RestartAfter(DELAY_MIN);
        assert_eq!(budget.on_failure(Duration::ZERO), first);
        assert_eq!(budget.on_failure(Duration::from_secs(60)), first);
        assert_eq!(budget.on_failure(Duration::from_secs(61)), Verdict::Escalate);
    }

    #[test]
    fn delays_never_grow_beyond_their_limit() {
        let mut budget = RestartBudget::new(100, Duration::from_secs(60));
        let last = (0..100).map(|_| budget.on_failure(Duration::ZERO)).last();
        assert_eq!(last, Some(Verdict::RestartAfter(DELAY_MAX)));
    }
}
