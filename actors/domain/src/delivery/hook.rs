//! Calls about dead letters to a system of somebody else's: a pager, a tracker of tickets, a chat.

use std::time::Duration;

use crate::delivery::deadletter::Buried;

/// Wait after the first call that was not taken.
const FIRST: Duration = Duration::from_secs(5);
/// The longest wait: what is down for a day is asked about a hundred times, not ten thousand.
const LONGEST: Duration = Duration::from_secs(900);

/// A burial that meets a rival takes its letter back, a moment after it was written.
pub const SETTLED_AFTER: Duration = Duration::from_secs(5);

/// Whether a letter may be taken back yet. `now` is in seconds since the Unix epoch.
#[must_use]
pub fn is_early(buried: &Buried, now: i64) -> bool {
    // A clock that is behind the broker's makes no letter early for ever.
    (0..SETTLED_AFTER.as_secs().cast_signed()).contains(&now.saturating_sub(buried.at))
}

/// The same for every call about one letter, and for no other letter, also after the stream was made anew: by this the one who is
/// called knows a repeat.
#[must_use]
pub fn key(buried: &Buried) -> String {
    format!("jetreel-{}-{}", buried.sequence, buried.at)
}

/// Wait before the next call, when so many calls about a letter were not taken: twice as long each time.
#[must_use]
pub fn again_after(calls: u64) -> Duration {
    let doublings = u32::try_from(calls.saturating_sub(1)).unwrap_or(u32::MAX);
    let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
    FIRST.checked_mul(factor).map_or(LONGEST, |wait| wait.min(LONGEST))
}

/// One line for whoever is called.
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
