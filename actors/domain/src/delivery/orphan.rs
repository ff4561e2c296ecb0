//! Which messages of a work queue their consumer has given up, when all it tells is how many it accounts for.
//!
//! A consumer stops delivering a message after its last allowed delivery, and says so once, to whoever listens at that moment. The
//! message stays, and blocks its subject. What it accounts for is known (not delivered yet, or in hand); that something is missing
//! shows in the count, but not what.

use std::collections::BTreeMap;

/// Suspects of one queue, over several looks.
#[derive(Debug, Clone, Default)]
pub struct Suspects {
    since: BTreeMap<u64, u64>,
}

/// A message that was delivered, is still there, and never left for this long is an orphan whatever else is in hand: longer than a task
/// with its retries usually takes. Seconds.
const LONG: u64 = 3600;
/// Even an idle queue is looked at twice: counts are not read at one moment. Seconds.
const SHORT: u64 = 20;

impl Suspects {
    /// Messages that are there although they were delivered once, how many of them are in hand, and the time in seconds since any fixed
    /// moment. Gives those that are orphans for certain.
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
