//! Retries: a time budget, and pauses that grow with jitter.

use std::time::Duration;

use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_millis(25);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Time budget of a retry loop.
#[derive(Debug)]
pub(super) struct Patience {
    deadline: Instant,
    pause: Duration,
}

impl Patience {
    /// Retries for `budget`.
    pub(super) fn new(budget: Duration) -> Self {
        Self { deadline: Instant::now() + budget, pause: FIRST_PAUSE }
    }

    /// Waits before the next try. Returns `false` at once if the budget is spent.
    pub(super) async fn pause(&mut self) -> bool {
        if Instant::now() + self.pause >= self.deadline {
            return false;
        }
        // Jitter between half and all of the pause, so that many clients do not reconnect at once.
        let spread = uuid::Uuid::new_v4().as_u128() as u32 % 512;
        tokio::time::sleep(self.pause.mul_f64((512.0 + f64::from(spread)) / 1024.0)).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn patience_ends_with_its_budget() {
        let mut patience = Patience::new(Duration::from_millis(60));
        let mut tries = 0;
        while patience.pause().await {
            tries += 1;
        }
        assert!((1..=4).contains(&tries), "{tries}");
    }
}
