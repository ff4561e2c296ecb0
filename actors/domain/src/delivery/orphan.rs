//! Finds the messages of a work queue that their consumer gave up, from the number of messages that the consumer accounts for.
//!
//! A consumer stops delivering a message after its last allowed delivery, and sends one advisory to current subscribers. The message stays
//! and blocks its subject. The consumer reports how many messages are undelivered or in hand. A lower number than the queue's shows that
//! messages are given up, but not which.

use std::collections::BTreeMap;

/// Suspected messages of one queue, over several looks.
#[derive(Debug, Clone, Default)]
pub struct Suspects {
    since: BTreeMap<u64, u64>,
}

/// A message that was delivered once and is still there after this time is an orphan, whatever else is in hand. In seconds. Longer than a
/// task with its retries usually takes.
const LONG: u64 = 3600;
/// Time between the two looks at an idle queue, in seconds. Two looks are needed because the counts are not read at one moment.
const SHORT: u64 = 20;

impl Suspects {
    /// Updates the suspects and returns those that are certainly orphans. `there` holds the messages that were delivered once and still
    /// exist, `in_hand` how many of them are in hand, `now` seconds since any fixed moment.
    pub fn look(&mut self, there: &[u64], in_hand: u64, now: u64) -> Vec<u64> {
        self.since.retain(|sequence, _| there.contains(sequence));
        for sequence in there {
            self.since.entry(*sequence).or_insert(now);
        }
        let wait = if in_hand == 0 { SHORT } else { LONG };
        let old = |since: &u64| now.saturating_sub(*since) >= wait;
        self.since.iter().filter(|(_, since)| old(since)).map(|(sequence, _)| *sequence).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_nothing_in_hand_all_that_stays_is_lost() {
        let mut suspects = Suspects::default();
        assert!(suspects.look(&[3, 4], 0, 100).is_empty(), "one look is none");
        assert_eq!(suspects.look(&[4, 5], 0, 100 + SHORT), [4]);
    }

    #[test]
    fn with_something_in_hand_only_what_stays_long_is_lost() {
        let mut suspects = Suspects::default();
        assert!(suspects.look(&[3, 4], 1, 0).is_empty());
        assert!(suspects.look(&[3, 4], 1, LONG - 1).is_empty());
        assert_eq!(suspects.look(&[3], 1, LONG), [3]);
    }

    #[test]
    fn what_went_away_in_between_is_new_when_it_is_back() {
        let mut suspects = Suspects::default();
        suspects.look(&[3], 0, 0);
        suspects.look(&[], 0, SHORT);
        assert!(suspects.look(&[3], 0, SHORT).is_empty());
    }
}
