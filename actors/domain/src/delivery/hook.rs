//! Calls about dead letters to a system of the operator: a pager, a ticket tracker, a chat.

use std::time::Duration;

use crate::delivery::deadletter::Buried;

/// Delay after the first failed call.
const FIRST: Duration = Duration::from_secs(5);
/// Longest delay between calls. A system that is down for a day gets about a hundred calls.
const LONGEST: Duration = Duration::from_secs(900);

/// Delay before the first call. Within it, a burial that lost its claim withdraws the letter it has just written.
pub const SETTLED_AFTER: Duration = Duration::from_secs(5);

/// Whether a letter may still be withdrawn. `now` is in seconds since the Unix epoch.
#[must_use]
pub fn is_early(buried: &Buried, now: i64) -> bool {
    // If this clock is behind the broker's, the letter must not stay early forever.
    (0..SETTLED_AFTER.as_secs().cast_signed()).contains(&now.saturating_sub(buried.at))
}

/// Idempotency key: the same for every call about one letter, and different for every other letter, even after the stream was created anew.
#[must_use]
pub fn key(buried: &Buried) -> String {
    format!("jetreel-{}-{}", buried.sequence, buried.at)
}

/// Delay before the next call after `calls` failed calls about a letter. It doubles each time.
#[must_use]
pub fn again_after(calls: u64) -> Duration {
    let doublings = u32::try_from(calls.saturating_sub(1)).unwrap_or(u32::MAX);
    let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
    FIRST.checked_mul(factor).map_or(LONGEST, |wait| wait.min(LONGEST))
}

/// One line that summarises the letter.
#[must_use]
pub fn summary(buried: &Buried) -> String {
    let letter = &buried.letter;
    match &letter.order {
        Some(order) => format!("job {order}: {} failed: {}", letter.task, letter.failure.message),
        None => format!("a message of {} failed: {}", letter.stage, letter.failure.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::deadletter::DeadLetter;

    #[test]
    fn a_letter_is_early_for_a_moment() {
        let letter = DeadLetter::from_parts("a".into(), Vec::new(), Vec::new());
        let buried = Buried { sequence: 17, at: 100, letter };
        let early: Vec<i64> = (98..108).filter(|now| is_early(&buried, *now)).collect();
        assert_eq!(early, [100, 101, 102, 103, 104]);
        assert_eq!(key(&buried), "jetreel-17-100");
    }

    #[test]
    fn waits_grow_to_a_limit() {
        let seconds: Vec<u64> = (1..=9).map(|calls| again_after(calls).as_secs()).collect();
        assert_eq!(seconds, [5, 10, 20, 40, 80, 160, 320, 640, 900]);
        assert_eq!((again_after(0), again_after(u64::MAX)), (FIRST, LONGEST));
    }
}
