//! Decides about a message whose attempt failed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::delivery::claim::Claim;
use crate::delivery::stage::Stage;
use crate::words::failure::{Failure, Severity};

/// How a worker settles the delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Hand the message back.
    HandBack {
        /// Delay before the next delivery.
        after: Duration,
        /// Whether the attempt is charged.
        charged: bool,
    },
    /// Bury the message in the dead letters.
    Bury,
}

/// Retry delays of a stage, one for each retry.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Delays before the second, third, … attempt.
    pub delays: Vec<Duration>,
    /// Share by which each delay varies up or down, so that messages that failed together are not retried together.
    pub jitter: f64,
}

impl Default for Schedule {
    /// Three retries: they outlast a restart, a short trouble and a longer one.
    fn default() -> Self {
        const MINUTE: u64 = 60;
        Self {
            delays: [1, 5, 25].map(|minutes| Duration::from_secs(minutes * MINUTE)).to_vec(),
            jitter: 0.1,
        }
    }
}

/// Retry schedule of each stage.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Schedules {
    /// Schedule of a stage that has none of its own.
    pub others: Schedule,
    /// Own schedules of stages.
    pub own: BTreeMap<Stage, Schedule>,
}

impl Schedules {
    /// The schedule of a stage.
    #[must_use]
    pub fn of(&self, stage: Stage) -> &Schedule {
        self.own.get(&stage).unwrap_or(&self.others)
    }
}

/// Delay before a message that failed for a dependency's fault is delivered again. It serves other nodes, whose path to the dependency may
/// work; this node pulls again when its breaker closes.
const NOT_ITS_FAULT: Duration = Duration::from_secs(5);

/// Delay before a message that only a newer node may process is delivered again. Each delivery counts towards the broker's limit.
pub const NEWER_WAIT: Duration = Duration::from_secs(60);

/// Fewest claims of a task before it is buried for attempts without a report. A task that takes down its whole node never reports a
/// failure. The number is well above what restarts and rival deliveries charge a sound task.
const SILENT_CLAIMS_MAX: u32 = 8;

impl Schedule {
    /// Number of attempts in all.
    #[must_use]
    pub fn attempts_max(&self) -> u32 {
        u32::try_from(self.delays.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Delay after `attempts` attempts, spread by `chance` (0 to 1). `None` after the last one.
    fn delay(&self, attempts: u32, chance: f64) -> Option<Duration> {
        let delay = self.delays.get(attempts.saturating_sub(1) as usize)?;
        let spread = 1.0 + self.jitter * (2.0 * chance - 1.0);
        Some(delay.mul_f64(spread.max(0.0)))
    }
}

/// The disposition of a message about which nothing can be decided because of a dependency's fault.
#[must_use]
pub fn put_off() -> Disposition {
    Disposition::HandBack { after: NOT_ITS_FAULT, charged: false }
}

/// Decides about a failed attempt. `attempts` counts those that ended with a fault of the task itself, this one included; a lost lease or a
/// lost node does not count. `chance` is a random number from 0 to 1.
#[must_use]
pub fn settle(failure: &Failure, attempts: u32, schedule: &Schedule, chance: f64) -> Disposition {
    if failure.code == NEWER {
        return Disposition::HandBack { after: NEWER_WAIT, charged: false };
    }
    if is_not_its_fault(failure) {
        return put_off();
    }
    match failure.severity {
        Severity::Permanent => Disposition::Bury,
        Severity::TaskFault | Severity::DependencyFault => schedule
            .delay(attempts, chance)
            .map_or(Disposition::Bury, |after| Disposition::HandBack { after, charged: true }),
    }
}

/// Codes of failures that are no fault of the task. The plan pins another codec build; only a newer program may change the state; or a
/// forged entry blocks the place of the result and is being removed.
const NOT_ITS_FAULTS: [&str; 3] = ["codec-build", NEWER, "entry-contradicts"];
const NEWER: &str = "newer-document";

/// Whether the failure is a dependency's, or one of [`NOT_ITS_FAULTS`].
fn is_not_its_fault(failure: &Failure) -> bool {
    let severe = failure.severity == Severity::DependencyFault;
    severe || NOT_ITS_FAULTS.contains(&failure.code.as_str())
}

/// Code of a message that is buried because its attempts ended without a report.
pub const ATTEMPTS_SPENT: &str = "attempts-spent";

/// Why a claimed message must be buried before it is processed: its last failure was final but its holder died before the burial, or no
/// attempt ever reported. `None` if the message may be tried. Lost leases must have been removed ([`Claim::without_lost_leases`]). On
/// [`ATTEMPTS_SPENT`] the caller must also check for progress ([`Claim::progressed`]).
#[must_use]
pub fn doomed(claim: &Claim, schedule: &Schedule) -> Option<Failure> {
    let before = claim.attempts.saturating_sub(1);
    if let Some(last) = &claim.last
        && settle(last, claim.faults, schedule, 0.0) == Disposition::Bury
    {
        return Some(last.clone());
    }
    let most = SILENT_CLAIMS_MAX.max(schedule.attempts_max());
    (before >= most).then(|| {
        let message =
            format!("{most} attempts ended without a word. The video may bring nodes down: look at the log before it is tried again.");
        Failure::task(ATTEMPTS_SPENT, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::death::CodecDeath;
    use crate::delivery::claim;

    const SECOND: Duration = Duration::from_secs(1);

    fn schedule() -> Schedule {
        Schedule { delays: vec![5 * SECOND, 25 * SECOND, 125 * SECOND], jitter: 0.0 }
    }

    fn crash() -> Failure {
        Failure::from(CodecDeath::Signal(11))
    }

    #[test]
    fn a_permanent_failure_is_never_retried() {
        let failure = Failure::permanent("no-video", "");
        assert_eq!(settle(&failure, 1, &schedule(), 0.5), Disposition::Bury);
    }

    #[test]
    fn somebody_elses_fault_costs_no_attempt_however_often() {
        let others = NOT_ITS_FAULTS.map(|code| Failure::task(code, ""));
        for failure in others.into_iter().chain([Failure::dependency("storage-failed", "")]) {
            let seconds = if failure.code == "newer-document" { 60 } else { 5 };
            let after = Duration::from_secs(seconds);
            let uncharged = Disposition::HandBack { after, charged: false };
            assert_eq!(settle(&failure, 1000, &schedule(), 0.5), uncharged);
        }
    }

    #[test]
    fn a_task_fault_follows_the_schedule_and_then_is_dead() {
        for (attempts, seconds) in [(1, 5), (2, 25), (3, 125)] {
            let after = Duration::from_secs(seconds);
            let wanted = Disposition::HandBack { after, charged: true };
            assert_eq!(settle(&crash(), attempts, &schedule(), 0.5), wanted);
        }
        assert_eq!(settle(&crash(), 4, &schedule(), 0.5), Disposition::Bury);
    }

    #[test]
    fn what_failed_together_does_not_come_back_together() {
        let schedule = Schedule { jitter: 0.1, ..schedule() };
        let after = |chance| match settle(&crash(), 1, &schedule, chance) {
            Disposition::HandBack { after, .. } => after.as_secs_f64(),
            Disposition::Bury => f64::NAN,
        };
        assert!((after(0.0) - 4.5).abs() < 1e-9 && (after(1.0) - 5.5).abs() < 1e-9);
    }

    fn claimed(times: u32, last: Option<&Failure>) -> Claim {
        let mut claim = claim::take(None, String::new(), String::new(), 1, 0);
        for _ in 1..times {
            if let Some(failure) = last {
                claim = claim.given_up(Some(failure), true);
            }
            claim = claim::take(Some(claim), String::new(), String::new(), 1, 0);
        }
        claim
    }

    #[test]
    fn a_task_that_never_reports_is_given_up() {
        assert_eq!(doomed(&claimed(SILENT_CLAIMS_MAX, None), &schedule()), None);
        let failure = doomed(&claimed(SILENT_CLAIMS_MAX + 1, None), &schedule()).unwrap();
        assert_eq!(failure.code, "attempts-spent");
    }

    #[test]
    fn a_last_failure_whose_holder_died_before_the_burial_is_not_tried_again() {
        assert_eq!(doomed(&claimed(4, Some(&crash())), &schedule()), None);
        assert_eq!(doomed(&claimed(5, Some(&crash())), &schedule()).unwrap().code, "codec-signal");
        let refused = Failure::permanent("no-video", "");
        assert_eq!(doomed(&claimed(2, Some(&refused)), &schedule()), Some(refused));
    }

    #[test]
    fn progress_counts_attempts_from_the_start_and_poison_without_progress_dies() {
        let mut claim = claimed(1, None);
        for parts in 1..=4 {
            for _ in 0..SILENT_CLAIMS_MAX {
                claim = claim::take(Some(claim), String::new(), String::new(), 1, 0);
            }
            assert!(doomed(&claim, &schedule()).is_some());
            claim = claim.progressed(parts).unwrap();
            assert_eq!((claim.attempts, claim.history.len(), claim.parts), (1, 1, parts));
            assert_eq!(doomed(&claim, &schedule()), None);
        }
        for _ in 0..SILENT_CLAIMS_MAX {
            claim = claim::take(Some(claim), String::new(), String::new(), 1, 0);
        }
        assert_eq!(doomed(&claim, &schedule()).unwrap().code, ATTEMPTS_SPENT);
        assert_eq!(claim.progressed(4), None);
    }
}
