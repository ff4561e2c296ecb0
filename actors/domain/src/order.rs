//! Pictures whose presentation times do not fit between those of their neighbours.
//!
//! A decoder gives pictures in the order of presentation, of which a container knows nothing but the times. A picture whose time is wild
//! either lies ahead of everything that follows, or behind what was shown long before.

/// Pictures that a decoder may hold back to put them in order: 16 in H.264 and HEVC.
const REORDERED_MAX: usize = 16;

/// Pictures that cannot be shown when their times say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Misplaced {
    /// Indices of those ahead of all that follow, ascending.
    pub ahead: Vec<usize>,
    /// How many lie behind what is shown before them.
    pub behind: usize,
}

/// Looks at presentation times in the order of decoding.
#[must_use]
pub fn misplaced(times: &[i64]) -> Misplaced {
    let mut found = Misplaced::default();
    // Of the pictures that are shown by now.
    let mut latest = i64::MIN;
    for (index, time) in times.iter().enumerate() {
        if let Some(shown) = index.checked_sub(REORDERED_MAX + 1)
            && found.ahead.binary_search(&shown).is_err()
        {
            latest = latest.max(times[shown]);
        }
        found.behind += usize::from(*time < latest);
        let following = times[index + 1..].get(..=REORDERED_MAX);
        if following.is_some_and(|following| following.iter().all(|later| later < time)) {
            found.ahead.push(index);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups of one picture and `between` that are shown before it.
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
            assert_eq!(misplaced(&reordered(200, between)), Misplaced::default(), "{between}");
        }
    }

    #[test]
    fn one_picture_far_ahead_is_the_only_one_that_fits_nowhere() {
        for wild in [50, 90_000] {
            let mut times = reordered(200, 2);
            times[99] += wild;
            assert_eq!(misplaced(&times), Misplaced { ahead: vec![99], behind: 0 });
        }
    }

    #[test]
    fn what_lies_behind_is_counted() {
        let mut times = reordered(200, 2);
        times[99] -= 50;
        assert_eq!(misplaced(&times), Misplaced { ahead: Vec::new(), behind: 1 });
        // A clock that goes back for good.
        let back: Vec<i64> = (0..100).chain(40..80).collect();
        assert_eq!(misplaced(&back), Misplaced { ahead: vec![99], behind: 40 });
    }
}
