//! Which ledger entries a publisher has received without a gap.
//!
//! Publishers share one consumer, so a publisher may receive only some of the entries. The consumer delivers every message of the stream in
//! order. As long as the sequences that a publisher receives follow one another, it has received every entry in between, and needs no
//! request to know them.

/// An unbroken stretch of stream sequences. Empty at first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stretch {
    first: u64,
    /// 0 if the stretch is empty.
    last: u64,
}

impl Stretch {
    /// An entry was received. `delivered` is the number of its deliveries, this one included.
    pub fn receive(&mut self, sequence: u64, delivered: u64) {
        if self.last > 0 && sequence == self.last + 1 {
            self.last = sequence;
        } else if sequence > self.last || delivered <= 1 {
            // Another publisher received what lies in between, or the stream or its consumer begins anew.
            *self = Self { first: sequence, last: sequence };
        }
    }

    /// Whether every entry after this sequence, up to [`Self::last`], was received.
    #[must_use]
    pub fn covers(&self, after: u64) -> bool {
        self.last > 0 && self.first <= after.saturating_add(1)
    }

    /// The last sequence. 0 if the stretch is empty.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(received: &[(u64, u64)]) -> Stretch {
        let mut stretch = Stretch::default();
        received.iter().for_each(|(sequence, delivered)| stretch.receive(*sequence, *delivered));
        stretch
    }

    #[test]
    fn sequences_that_follow_one_another_leave_nothing_out() {
        let stretch = stretch(&[(5, 1), (6, 1), (7, 1)]);
        assert_eq!(stretch.last(), 7);
        let covered = [0, 3, 4, 5, 9].map(|after| stretch.covers(after));
        assert_eq!(covered, [false, false, true, true, true]);
        assert!(!Stretch::default().covers(0), "nothing was received");
    }

    #[test]
    fn a_gap_begins_a_new_stretch() {
        let stretch = stretch(&[(5, 1), (6, 1), (8, 1), (9, 1)]);
        assert!(!stretch.covers(6) && stretch.covers(7));
        assert_eq!(stretch.last(), 9);
    }

    #[test]
    fn an_entry_that_is_delivered_again_changes_nothing() {
        assert_eq!(stretch(&[(5, 1), (6, 1), (5, 2)]), stretch(&[(5, 1), (6, 1)]));
        let other = stretch(&[(5, 1), (9, 2), (10, 1)]);
        assert!(!other.covers(5) && other.covers(8), "others had what lies in between");
    }

    #[test]
    fn a_stream_or_a_consumer_that_begins_anew_begins_a_new_stretch() {
        assert_eq!(stretch(&[(5, 1), (6, 1), (1, 1), (2, 1)]), stretch(&[(1, 1), (2, 1)]));
        assert_eq!(stretch(&[(5, 1), (6, 1), (6, 1)]), stretch(&[(6, 1)]));
    }
}
