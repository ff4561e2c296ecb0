//! What becomes of a task that failed.

use std::time::Duration;

use crate::failure::{Failure, Severity};

/// What a worker does with the delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Give it back.
    HandBack {
        /// Not before this time has passed.
        after: Duration,
        /// The attempt does not count.
        uncharged: bool,
    },
    /// The task is dead, and with it the order fails.
    Fail,
}

/// Wait before a task that was given back is delivered again.
const DELAY: Duration = Duration::from_secs(5);

/// How often a crash of the codec is put down to chance (memory pressure, an operator's signal) before the video is blamed.
const CRASHES_MAX: u32 = 3;

/// Claims of a task before it is given up unseen: a task that takes its whole node down never lives to report a failure.
/// Well above what crashes of the codec, restarts and rival deliveries charge a sound task.
const CLAIMS_MAX: u32 = 8;

/// The failure of a task that was claimed too often; `None` where it may be tried.
#[must_use]
pub fn spent(attempts: u32) -> Option<Failure> {
    (attempts > CLAIMS_MAX).then(|| {
        let message =
            format!("{CLAIMS_MAX} attempts ended without a word: the video may bring nodes down");
        Failure::task("attempts-spent", message)
    })
}

/// Decides. `attempts` are those charged so far, the failed one included.
#[must_use]
pub fn settle(failure: &Failure, attempts: u32) -> Disposition {
    match (failure.severity, failure.code.as_str()) {
        // Another build would make other bytes: a node that has the plan's build takes it.
        (Severity::DependencyFault, _) | (_, "codec-build") => {
            Disposition::HandBack { after: DELAY, uncharged: true }
        }
        (Severity::TaskFault, "codec-signal") if attempts <= CRASHES_MAX => {
            Disposition::HandBack { after: DELAY, uncharged: false }
        }
        (Severity::TaskFault | Severity::Permanent, _) => Disposition::Fail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::CodecDeath;

    #[test]
    fn a_task_that_never_reports_is_given_up() {
        assert_eq!(spent(CLAIMS_MAX), None);
        let failure = spent(CLAIMS_MAX + 1).unwrap();
        assert_eq!(settle(&failure, CLAIMS_MAX + 1), Disposition::Fail);
    }

    const UNCHARGED: Disposition =
        Disposition::HandBack { after: Duration::from_secs(5), uncharged: true };

    #[test]
    fn a_permanent_failure_is_never_retried() {
        assert_eq!(settle(&Failure::permanent("no-video", ""), 1), Disposition::Fail);
    }

    #[test]
    fn somebody_elses_fault_costs_no_attempt_however_often() {
        assert_eq!(settle(&Failure::dependency("storage", ""), 1000), UNCHARGED);
        assert_eq!(settle(&Failure::task("codec-build", ""), 1000), UNCHARGED);
    }

    #[test]
    fn a_crash_is_tried_three_more_times_and_a_spent_budget_is_not() {
        let crash = Failure::from(CodecDeath::Signal(11));
        let charged = Disposition::HandBack { after: DELAY, uncharged: false };
        for attempt in 1..=3 {
            assert_eq!(settle(&crash, attempt), charged);
        }
        assert_eq!(settle(&crash, 4), Disposition::Fail);
        assert_eq!(settle(&Failure::from(CodecDeath::Cpu), 1), Disposition::Fail);
    }
}
