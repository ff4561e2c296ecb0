//! Calls about dead letters to a system of somebody else's: a pager, a tracker of tickets, a chat.

use std::time::Duration;

use crate::deadletter::Buried;

/// Wait after the first call that was not taken.
const FIRST: Duration = Duration::from_secs(5);
/// The longest wait: what is down for a day is asked about a hundred times, not ten thousand.
const LONGEST: Duration = Duration::from_secs(900);

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

    #[test]
    fn waits_grow_to_a_limit() {
        let seconds: Vec<u64> = (1..=9).map(|calls| again_after(calls).as_secs()).collect();
        assert_eq!(seconds, [5, 10, 20, 40, 80, 160, 320, 640, 900]);
        assert_eq!((again_after(0), again_after(u64::MAX)), (FIRST, LONGEST));
    }
}
