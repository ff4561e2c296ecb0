//! Finds pictures whose presentation times do not fit between those of their neighbours.
//!
//! A decoder returns pictures in presentation order, which a container knows only by the times. A picture with a wild time is either ahead
//! of all that follow, or behind pictures shown long before.

/// Most pictures that a decoder holds back to reorder them: 16 in H.264 and HEVC.
pub(crate) const REORDERED_MAX: usize = 16;

/// Most wild pictures side by side.
pub const WILD_MAX: usize = 2;

/// Pictures that cannot be shown at their times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Misplaced {
    /// Indices of those ahead of all that follow, ascending.
    pub ahead: Vec<usize>,
    /// Number of those behind the pictures shown before them, by more than can be caught up.
    pub behind: usize,
}

/// Examines presentation times in decoding order. `slack` is how many ticks a picture may be behind and still be shown.
#[must_use]
pub fn misplaced(times: &[i64], slack: i64) -> Misplaced {
    let mut found = Misplaced::default();
    // The latest time shown so far, and the latest before the examined picture.
    let (mut latest, mut before) = (i64::MIN, i64::MIN);
    for (index, time) in times.iter().enumerate() {
        if let Some(shown) = index.checked_sub(REORDERED_MAX + 1)
            && found.ahead.binary_search(&shown).is_err()
        {
            latest = latest.max(times[shown]);
        }
        found.behind += usize::from(time.saturating_add(slack) < latest);
        if is_ahead(*time, before, &times[index + 1..]) {
            found.ahead.push(index);
        } else {
            before = before.max(*time);
        }
    }
    found
}

/// Whether a picture is ahead of all that follow, except other wild ones beside it. `before` is the latest time before it.
fn is_ahead(time: i64, before: i64, following: &[i64]) -> bool {
    let Some(next) = following.get(..=REORDERED_MAX) else { return false };
    if next.iter().all(|later| *later < time) {
        return true;
    }
    let Some(next) = following.get(..REORDERED_MAX + WILD_MAX) else { return false };
    let wild = next.iter().filter(|later| **later >= time).count();
    let goes_on = next.iter().filter(|later| **later < time).max();
    // A clock that goes back for good does not pass the time before.
    wild < WILD_MAX && goes_on.is_some_and(|latest| before > i64::MIN && *latest > before)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups of one picture and `between` ones that are shown before it.
    fn reordered(pictures: i64, between: i64) -> Vec<i64> {
        let group = between + 1;
        let time = |index: i64| {
            let place = index % group;
            if place == 0 { index + between } else { index - 1 }
        };
        (0..pictures).map(time).collect()
    }

    #[test]
    fn pictures_that_a_decoder_puts_in_order_fit() {
        for between in [0, 2, 7, 16] {
            assert_eq!(misplaced(&reordered(200, between), 0), Misplaced::default(), "{between}");
        }
    }

    #[test]
    fn one_picture_far_ahead_is_the_only_one_that_fits_nowhere() {
        for wild in [50, 90_000] {
            let mut times = reordered(200, 2);
            times[99] += wild;
            assert_eq!(misplaced(&times, 0), Misplaced { ahead: vec![99], behind: 0 });
        }
    }

    #[test]
    fn two_pictures_far_ahead_take_no_others_with_them() {
        for (first, second) in [(50, 50), (50, 90), (90, 50), (90_000, 90_000)] {
            for between in [0, 2, 7] {
                for beside in [1, 2] {
                    let mut times = reordered(200, between);
                    times[99] += first;
                    times[99 + beside] += second;
                    let ahead = vec![99, 99 + beside];
                    let found = misplaced(&times, 0);
                    assert_eq!(found, Misplaced { ahead, behind: 0 }, "{between} {beside}");
                }
            }
        }
    }

    #[test]
    fn what_lies_behind_is_counted() {
        let mut times = reordered(200, 2);
        times[99] -= 50;
        assert_eq!(misplaced(&times, 0), Misplaced { ahead: Vec::new(), behind: 1 });
        // A clock that goes back for good.
        let back: Vec<i64> = (0..100).chain(40..80).collect();
        assert_eq!(misplaced(&back, 0), Misplaced { ahead: vec![99], behind: 40 });
        assert_eq!(misplaced(&back, 60).behind, 0);
    }
}
