//! Claims: which worker runs a task, and how often it was tried. Attempts belong to the task, not to the delivery.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::order::unknown::Unknown;
use crate::words::failure::Failure;

/// Schema version written into every claim.
pub const VERSION: u32 = 1;

/// Version of claims without a version field.
fn first() -> u32 {
    1
}

/// The document at `claims/<video>.<number>.<task>`. Its revision in the bucket is the fence: only the holder of the newest revision may
/// hand back, fail or bury the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Schema version.
    #[serde(default = "first")]
    pub v: u32,
    /// UUID of the attempt. The keys of its objects end with it.
    pub attempt_id: String,
    /// Name of the node that runs the task. Empty if no node has taken it.
    pub node: String,
    /// Stream sequence of the message that was claimed.
    pub sequence: u64,
    /// Attempts charged so far, including this one.
    pub attempts: u32,
    /// The newest [`HISTORY_MAX`] attempts, oldest first, including this one.
    #[serde(default)]
    pub history: Vec<Attempt>,
    /// Whether no worker runs the task: the attempt failed or was handed back.
    #[serde(default)]
    pub released: bool,
    /// Attempts that ended with a fault of the task itself. The retry schedule counts these. An attempt without a report is not among them.
    #[serde(default)]
    pub faults: u32,
    /// Failure of the last charged attempt.
    #[serde(default)]
    pub last: Option<Failure>,
    /// Number of the task's checkpoints when the attempt count was last reset. More checkpoints mean progress.
    #[serde(default)]
    pub parts: u32,
    /// Fields of a newer program.
    #[serde(skip)]
    pub unknown: Unknown,
}

/// One attempt at a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Number of the attempt, from 1. An uncharged attempt shares its number with the next one.
    pub number: u32,
    /// Name of the node that made it.
    pub node: String,
    /// Id of that start of the node, under which it reports itself. Empty if an older program made the attempt.
    #[serde(default)]
    pub start: String,
    /// When this start of the node last reported itself, by its own clock, as known to a worker that took the claim after it.
    #[serde(default)]
    pub heard: Option<i64>,
    /// When it began, in seconds since the Unix epoch.
    pub at: i64,
    /// Code of the failure that ended it. `None` while it runs, and for good if its node ended with it.
    #[serde(default)]
    pub error: Option<String>,
    /// Fields of a newer program. The list drops attempts anywhere, so each keeps its own.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// Time for which a process must have gone on reporting before its attempt counts as a lost lease, in seconds. A report that was written
/// before another worker took the claim is known to that worker by then.
const GOES_ON: i64 = 90;

/// Attempts that a claim remembers. More than any schedule has, and few enough for a header.
pub const HISTORY_MAX: usize = 16;

/// What a delivery may do about a claim that it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Take the claim and charge an attempt.
    Take,
    /// Acknowledge this delivery as a duplicate: the claim belongs to another lane's message for the same task, which is still queued.
    Duplicate,
    /// Hand this delivery back: nobody has taken the task, and its message may be about to be this one, or the other one.
    Wait,
}

/// Decides about a found claim. `other_queued`: the message that the claim names is still in its stream.
#[must_use]
pub fn decide(found: Option<&Claim>, sequence: u64, other_queued: bool) -> Verdict {
    match found {
        Some(claim) if claim.sequence != sequence && other_queued && claim.is_untaken() => {
            Verdict::Wait
        }
        Some(claim) if claim.sequence != sequence && other_queued => Verdict::Duplicate,
        Some(_) | None => Verdict::Take,
    }
}

/// Whether the message at `sequence` of a whole order was overtaken: a newer message of the order was claimed and does its work. A log keeps
/// both, and each would be delivered again and again.
#[must_use]
pub fn is_outdated(found: Option<&Claim>, sequence: u64) -> bool {
    found.is_some_and(|claim| sequence < claim.sequence)
}

/// The claim that a worker writes over the one it found, with one more attempt charged.
#[must_use]
pub fn take(
    found: Option<Claim>,
    attempt_id: String,
    node: String,
    sequence: u64,
    now: i64,
) -> Claim {
    let mut claim = found.unwrap_or_else(Claim::nobodys);
    claim.attempts = claim.attempts.saturating_add(1);
    let start = String::new();
    let attempt = Attempt {
        number: claim.attempts,
        node: node.clone(),
        start,
        heard: None,
        at: now,
        error: None,
        unknown: BTreeMap::new(),
    };
    claim.history.push(attempt);
    let surplus = claim.history.len().saturating_sub(HISTORY_MAX);
    claim.history.drain(..surplus);
    Claim { attempt_id, node, sequence, released: false, ..claim }
}

impl Claim {
    /// The taken claim, with the start of the node that took it.
    #[must_use]
    pub fn by_start(mut self, start: &str) -> Self {
        if let Some(attempt) = self.history.last_mut() {
            attempt.start = start.to_owned();
        }
        self
    }

    /// A claim without a holder and without history.
    #[must_use]
    pub fn nobodys() -> Self {
        Self {
            v: VERSION,
            attempt_id: String::new(),
            node: String::new(),
            sequence: 0,
            attempts: 0,
            history: Vec::new(),
            released: true,
            faults: 0,
            last: None,
            parts: 0,
            unknown: Unknown::default(),
        }
    }

    /// Whether no node has ever taken it.
    #[must_use]
    pub fn is_untaken(&self) -> bool {
        self.node.is_empty()
    }

    /// The released claim, with the failure that ended the attempt, charged or not.
    #[must_use]
    pub fn given_up(&self, failure: Option<&Failure>, charged: bool) -> Self {
        let mut claim = self.clone();
        claim.released = true;
        claim.attempts = claim.attempts.saturating_sub(u32::from(!charged));
        if failure.is_none() && !charged {
            // The attempt was stopped from outside, or never began: it does not count.
            claim.history.pop();
        } else if let Some(attempt) = claim.history.last_mut() {
            attempt.error = failure.map(|failure| failure.code.clone());
        }
        if charged {
            claim.faults += u32::from(failure.is_some());
            claim.last = failure.cloned();
        }
        claim
    }

    /// The claim of a replayed task: its attempt count starts again.
    #[must_use]
    pub fn replayed(&self, attempt_id: String) -> Self {
        Self { attempt_id, attempts: 0, faults: 0, released: true, last: None, ..self.clone() }
    }

    /// The claim with the current attempt counted as its first, if checkpoints were written since the last reset. `None` if there was no
    /// progress.
    #[must_use]
    pub fn progressed(&self, parts: u32) -> Option<Self> {
        if parts <= self.parts {
            return None;
        }
        let attempt = self.history.last().cloned().map(|last| Attempt { number: 1, ..last });
        let history = attempt.into_iter().collect();
        Some(Self { parts, attempts: 1, faults: 0, last: None, history, ..self.clone() })
    }

    /// The claim without the attempts that only lost their leases. `heard` tells when a start of a node last reported itself. `None` if
    /// nothing changed.
    ///
    /// A process that goes on reporting long after another worker took the claim was not killed by the task. The first report known after
    /// that is the measure, however long the attempt took before.
    #[must_use]
    pub fn without_lost_leases(&self, heard: impl Fn(&str) -> Option<i64>) -> Option<Self> {
        let (current, before) = self.history.split_last()?;
        let mut claim = Self { history: Vec::new(), ..self.clone() };
        let mut removed = 0;
        for (index, attempt) in before.iter().enumerate() {
            let mut attempt = attempt.clone();
            if let Some(at) = heard(&attempt.start).filter(|_| attempt.error.is_none()) {
                let first = *attempt.heard.get_or_insert(at);
                if at > first.saturating_add(GOES_ON) {
                    removed += u32::from(self.counts(index));
                    continue;
                }
            }
            attempt.number = attempt.number.saturating_sub(removed);
            claim.history.push(attempt);
        }
        claim.attempts = claim.attempts.saturating_sub(removed);
        claim.history.push(Attempt { number: claim.attempts, ..current.clone() });
        (claim != *self).then_some(claim)
    }

    /// Whether an attempt before the current one that ended without a report is among [`Claim::attempts`]. Numbers start again at each
    /// reset, and an attempt that counts has a lower number than the next.
    fn counts(&self, index: usize) -> bool {
        let mut numbers = self.history.iter().skip(index).map(|attempt| attempt.number);
        let (own, next) = (numbers.next(), numbers.clone().next());
        own < next && numbers.is_sorted()
    }

    /// The claim of successful work that may be requested again: earlier attempts do not count.
    #[must_use]
    pub fn done(&self) -> Self {
        Self { history: Vec::new(), ..self.replayed(self.attempt_id.clone()) }
    }

    /// When the task was first tried, in seconds since the Unix epoch.
    #[must_use]
    pub fn first_seen(&self) -> i64 {
        self.history.first().map_or(0, |attempt| attempt.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(found: Option<Claim>) -> Claim {
        take(found, "id".into(), "node".into(), 3, 9)
    }

    #[test]
    fn an_attempt_is_charged_when_it_begins_and_given_back_only_where_it_was_not_its_fault() {
        let first = taken(None);
        assert_eq!((first.attempts, first.history.len()), (1, 1));
        let again =
            taken(Some(first.given_up(Some(&Failure::dependency("storage-failed", "")), false)));
        assert_eq!(again.attempts, 1, "a fault of the storage costs no attempt");
        let third = taken(Some(again.given_up(Some(&Failure::task("codec-signal", "")), true)));
        assert_eq!(third.attempts, 2);
        let errors: Vec<_> = third.history.iter().map(|attempt| attempt.error.as_deref()).collect();
        assert_eq!(errors, [Some("storage-failed"), Some("codec-signal"), None]);
    }

    #[test]
    fn attempts_keep_the_fields_that_a_newer_program_added() {
        let mut written = serde_json::to_value(lost(None, "start", HISTORY_MAX as u32)).unwrap();
        for (index, attempt) in written["history"].as_array_mut().unwrap().iter_mut().enumerate() {
            attempt["colour"] = index.into();
        }
        let claim = taken(Some(serde_json::from_value(written).unwrap()));
        let written = serde_json::to_value(claim).unwrap();
        let history = written["history"].as_array().unwrap().iter();
        let colours: Vec<_> =
            history.map(|attempt| attempt.get("colour").and_then(Value::as_u64)).collect();
        let kept = (1..HISTORY_MAX as u64).map(Some);
        assert_eq!(colours, kept.chain([None]).collect::<Vec<_>>());
    }

    #[test]
    fn an_older_message_of_an_order_is_outdated_once_a_newer_one_was_claimed() {
        let claim = Claim { sequence: 5, ..Claim::nobodys() };
        assert!(is_outdated(Some(&claim), 4));
        assert!(!is_outdated(Some(&claim), 5) && !is_outdated(Some(&claim), 6));
        assert!(!is_outdated(None, 4));
    }

    #[test]
    fn what_ended_well_begins_anew() {
        let failed = taken(None).given_up(Some(&Failure::task("plan-changed", "")), true);
        let again = taken(Some(taken(Some(failed)).done()));
        assert_eq!((again.attempts, again.faults, again.history.len()), (1, 0, 1));
        assert_eq!(again.last, None);
    }

    /// Takes the claim so often, and loses it each time.
    fn lost(claim: Option<Claim>, start: &str, times: u32) -> Claim {
        (0..times).fold(claim, |claim, _| Some(taken(claim).by_start(start))).unwrap()
    }

    /// What remains of a claim when a process reported itself at 100, and then at the given time.
    fn after(claim: &Claim, at: i64) -> Claim {
        let known = |at| move |start: &str| (start == "lives").then_some(at);
        let claim = claim.without_lost_leases(known(100)).unwrap_or_else(|| claim.clone());
        claim.without_lost_leases(known(at)).unwrap_or(claim)
    }

    #[test]
    fn a_lost_lease_is_forgotten_and_a_dead_node_is_not() {
        let claim = taken(Some(lost(Some(lost(None, "dead", 2)), "lives", 3)));
        let claim = lost(Some(claim), "dead", 1);
        assert_eq!(claim.attempts, 7);
        let still = after(&claim, 100 + GOES_ON);
        assert_eq!((still.attempts, still.history.len()), (7, 7), "it may be dead");
        let rest = after(&claim, 101 + GOES_ON);
        let numbers: Vec<_> = rest.history.iter().map(|attempt| attempt.number).collect();
        assert_eq!((rest.attempts, numbers), (4, vec![1, 2, 3, 4]));
        assert_eq!(after(&rest, 1000), rest, "they are forgotten once");
        assert_eq!(taken(Some(rest)).attempts, 5);
    }

    #[test]
    fn any_number_of_lost_leases_is_forgotten() {
        let mut claim = lost(None, "lives", 1);
        for at in 0..100 {
            claim = taken(Some(claim)).by_start("lives");
            let known = |_: &str| Some(at * 100);
            claim = claim.without_lost_leases(known).unwrap_or(claim);
            assert!(claim.attempts <= 3 && claim.history.len() <= 3, "{}", claim.attempts);
        }
    }

    #[test]
    fn a_lost_lease_of_before_a_replay_takes_nothing_from_the_count() {
        for times in [1, 3] {
            let claim = lost(Some(lost(None, "lives", times).replayed("id".into())), "dead", 3);
            assert_eq!(after(&claim, 1000).attempts, 3, "{times}");
            assert_eq!(after(&claim, 1000).history.len(), 3);
        }
    }

    #[test]
    fn a_long_history_keeps_its_newest_attempts() {
        let claim = (0..100).fold(taken(None), |claim, _| taken(Some(claim)));
        assert_eq!((claim.attempts, claim.history.len()), (101, HISTORY_MAX));
        assert_eq!(claim.history.last().map(|attempt| attempt.number), Some(101));
    }
}
