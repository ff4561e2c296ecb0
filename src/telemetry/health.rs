//! Whether the collector takes spans, and what the log says about it.

use std::time::{Duration, Instant};

/// Pause between two warnings about a collector that takes nothing.
const PAUSE: Duration = Duration::from_secs(60);

/// What is to be logged after an export.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    Nothing,
    /// The collector takes no spans. So many were lost since the last warning.
    Fails {
        lost: usize,
    },
    /// The collector takes spans again. So many were lost since the last warning.
    Recovered {
        lost: usize,
    },
}

/// Exports so far.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// When the log last warned of the current trouble. `None` while exports succeed.
    warned: Option<Instant>,
    /// Spans lost since then.
    lost: usize,
}

impl Health {
    /// Notes an export that succeeded.
    pub(super) fn succeeded(&mut self) -> Word {
        if self.warned.take().is_none() {
            return Word::Nothing;
        }
        Word::Recovered { lost: std::mem::take(&mut self.lost) }
    }

    /// Notes an export that failed, with its number of spans.
    pub(super) fn failed(&mut self, spans: usize, now: Instant) -> Word {
        self.lost += spans;
        let quiet = |at: Instant| now.saturating_duration_since(at) < PAUSE;
        if self.warned.is_some_and(quiet) {
            return Word::Nothing;
        }
        self.warned = Some(now);
        Word::Fails { lost: std::mem::take(&mut self.lost) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_outage_is_logged_once_a_minute_with_what_it_cost() {
        let (mut health, start) = (Health::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(health.succeeded(), Word::Nothing);
        assert_eq!(health.failed(3, at(0)), Word::Fails { lost: 3 });
        assert_eq!(health.failed(4, at(5)), Word::Nothing);
        assert_eq!(health.failed(5, at(59)), Word::Nothing);
        assert_eq!(health.failed(6, at(60)), Word::Fails { lost: 15 });
        assert_eq!(health.failed(7, at(61)), Word::Nothing);
        assert_eq!(health.succeeded(), Word::Recovered { lost: 7 });
        assert_eq!(health.succeeded(), Word::Nothing);
        assert_eq!(health.failed(1, at(62)), Word::Fails { lost: 1 });
    }
}
