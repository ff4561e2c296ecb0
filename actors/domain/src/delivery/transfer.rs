//! Moves a queued task to another lane of its order.
//!
//! ```text
//! queued in the new lane ─► claim handed over to that message ─► old message removed
//! ```
//! Both messages may be delivered at any moment in between. The claim decides which of them is the task's. Before a node takes the task, a
//! delivery of the other message is handed back, for it may become the task's; afterwards it is acknowledged as a duplicate. So the old
//! message is removed only when the claim names the new one, and no message is acknowledged that the claim may come to name.
//!
//! A task that any node has taken stays where it is: its worker, or its next attempt, finishes it. Its other messages may have been
//! acknowledged as duplicates, so the claim must not name another one.

use crate::delivery::claim::Claim;

/// Next step for a task that is queued in a lane that is not its order's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A node has taken the task there. It is not moved.
    Leave,
    /// Queue it in the new lane.
    Queue,
    /// Let the claim name the message of the new lane, which has this stream sequence.
    HandOver(u64),
    /// Remove the message of the old lane.
    Remove,
}

/// Decides the next step. `new` is the stream sequence of the task's message in the new lane, read before the claim.
#[must_use]
pub fn step(claim: Option<&Claim>, new: Option<u64>) -> Step {
    match (claim, new) {
        (Some(claim), Some(new)) if claim.sequence == new => Step::Remove,
        (Some(claim), _) if !claim.is_untaken() => Step::Leave,
        (_, None) => Step::Queue,
        (_, Some(new)) => Step::HandOver(new),
    }
}

/// The claim of a task that no node has taken, for the message at `sequence`.
#[must_use]
pub fn handed_over(found: Option<Claim>, attempt_id: String, sequence: u64) -> Claim {
    Claim { attempt_id, sequence, ..found.unwrap_or_else(Claim::nobodys) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::claim::{Verdict, decide, take};
    use crate::words::failure::Failure;

    /// Sequences of the messages in the old and in the new lane.
    const OLD: u64 = 3;
    const NEW: u64 = 9;

    fn taken(sequence: u64) -> Claim {
        take(None, "id".into(), "node".into(), sequence, 0)
    }

    #[test]
    fn a_task_that_nobody_has_begun_moves_in_three_steps() {
        assert_eq!(step(None, None), Step::Queue);
        assert_eq!(step(None, Some(NEW)), Step::HandOver(NEW));
        let claim = handed_over(None, "id".into(), NEW);
        assert_eq!(step(Some(&claim), Some(NEW)), Step::Remove);
        // The order may change its lane again before anybody takes the task.
        assert_eq!(step(Some(&claim), None), Step::Queue);
        assert_eq!(step(Some(&claim), Some(12)), Step::HandOver(12));
    }

    #[test]
    fn after_each_step_one_of_the_messages_is_the_tasks() {
        let verdicts = |claim: Option<&Claim>| {
            let queued = |sequence| claim.is_some_and(|claim| claim.sequence != sequence);
            [OLD, NEW].map(|sequence| decide(claim, sequence, queued(sequence)))
        };
        // Whichever comes first takes the claim, and the other one is a duplicate then.
        assert_eq!(verdicts(None), [Verdict::Take, Verdict::Take]);
        assert_eq!(verdicts(Some(&taken(OLD))), [Verdict::Take, Verdict::Duplicate]);
        let handed = handed_over(None, "id".into(), NEW);
        assert_eq!(verdicts(Some(&handed)), [Verdict::Wait, Verdict::Take]);
        assert_eq!(verdicts(Some(&taken(NEW))), [Verdict::Duplicate, Verdict::Take]);
    }

    #[test]
    fn a_task_that_was_begun_stays() {
        let failed = taken(OLD).given_up(Some(&Failure::task("codec-signal", "")), true);
        let handed_back = taken(OLD).given_up(None, false);
        for begun in [taken(OLD), failed, handed_back, taken(OLD).replayed("id".into())] {
            assert_eq!(step(Some(&begun), None), Step::Leave);
            assert_eq!(step(Some(&begun), Some(NEW)), Step::Leave);
        }
        assert_eq!(step(Some(&taken(NEW)), Some(NEW)), Step::Remove, "begun in the new lane");
    }
}
