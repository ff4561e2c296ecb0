//! A circuit breaker: a node whose store or broker fails stops pulling until a probe succeeds.
//!
//! ```text
//! closed ──fault──► open ──time──► probing ──ok──► closed
//!                    ▲                └──fault──► open, longer
//! ```
//! Times count from any fixed moment and never go back.

use std::time::Duration;

/// First pause. It doubles with each further fault without a success in between.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest pause: how long a dependency that works again may stay unused.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The breaker of one node.
#[derive(Debug, Clone, Default)]
pub struct Breaker {
    state: State,
    faults: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Closed,
    Open {
        until: Duration,
    },
    Probing,
}

/// Answer to a request for work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Pull.
    Go,
    /// Ask again at this time, or when the breaker changes.
    Wait(Duration),
    /// Probe the dependencies now, and report the result.
    Probe,
    /// Another task probes. Ask again when the breaker changes.
    Watch,
}

impl Breaker {
    /// Whether nothing may be pulled now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    /// Reports a fault of a dependency. `chance` (0 to 1) spreads the probes of many nodes.
    pub fn on_fault(&mut self, now: Duration, chance: f64) {
        if matches!(self.state, State::Open { .. }) {
            // Work that was in hand when the breaker opened fails too. This is no new fault.
            return;
        }
        let pause = PAUSE_MIN.saturating_mul(2_u32.saturating_pow(self.faults)).min(PAUSE_MAX);
        self.faults = self.faults.saturating_add(1);
        self.state = State::Open { until: now + pause.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0) };
    }

    /// Answers a request for work.
    pub fn turn(&mut self, now: Duration) -> Turn {
        match self.state {
            State::Closed => Turn::Go,
            State::Open { until } if now < until => Turn::Wait(until),
            State::Open { .. } => {
                self.state = State::Probing;
                Turn::Probe
            }
            State::Probing => Turn::Watch,
        }
    }

    /// Reports a successful probe.
    pub fn on_probe(&mut self) {
        self.state = State::Closed;
    }

    /// Reports successful work: the next fault starts with the shortest pause again.
    pub fn on_success(&mut self) {
        self.faults = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn one_probe_decides_for_all() {
        let mut breaker = Breaker::default();
        assert_eq!(breaker.turn(S(0)), Turn::Go);
        breaker.on_fault(S(0), 1.0);
        assert_eq!(breaker.turn(S(0)), Turn::Wait(S(1)));
        assert_eq!(breaker.turn(S(1)), Turn::Probe);
        assert_eq!(breaker.turn(S(1)), Turn::Watch);
        breaker.on_probe();
        assert_eq!(breaker.turn(S(1)), Turn::Go);
    }

    #[test]
    fn pauses_grow_until_work_ends_well() {
        let mut breaker = Breaker::default();
        let mut pauses = Vec::new();
        for _ in 0..7 {
            breaker.on_fault(S(0), 1.0);
            let Turn::Wait(until) = breaker.turn(S(0)) else { panic!("not open") };
            pauses.push(until.as_secs());
            assert_eq!(breaker.turn(until), Turn::Probe);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        breaker.on_probe();
        breaker.on_success();
        breaker.on_fault(S(0), 0.0);
        assert_eq!(breaker.turn(S(0)), Turn::Wait(Duration::from_millis(500)));
    }

    #[test]
    fn what_fails_while_it_is_open_does_not_prolong_it() {
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            breaker.on_fault(S(0), 1.0);
        }
        assert_eq!(breaker.turn(S(0)), Turn::Wait(S(1)));
    }
}
