//! Times without audio.

/// Intervals in seconds, from and to.
pub(crate) type Interval = (f64, f64);

/// `intervals` in order of time, merged where they touch.
pub(crate) fn merged(mut intervals: Vec<Interval>) -> Vec<Interval> {
    intervals.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut merged: Vec<Interval> = Vec::new();
    for (from, to) in intervals {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            Some(_) | None => merged.push((from, to)),
        }
    }
    merged
}

/// Longest time within `gap` outside of the intervals `heard`, in seconds. `heard` is a result of [`merged`].
pub(crate) fn longest(gap: Interval, heard: &[Interval]) -> f64 {
    let first = heard.partition_point(|(_, to)| *to <= gap.0);
    let inside = heard[first..].iter().copied().take_while(|(from, _)| *from < gap.1);
    let (mut longest, mut reached) = (0.0_f64, gap.0);
    for (from, to) in inside.chain([(gap.1, gap.1)]) {
        longest = longest.max(from - reached);
        reached = reached.max(to);
    }
    longest
}

/// The first distance after `from` that is longer than `limit` seconds and has no audio, up to the next audio.
pub(crate) fn longer(from: f64, heard: &[Interval], limit: f64) -> Option<Interval> {
    let mut reached = from;
    for (begin, end) in heard {
        if begin - reached > limit {
            return Some((reached, *begin));
        }
        reached = reached.max(*end);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silence_lies_between_what_is_heard() {
        let heard = merged(vec![(50.0, 60.0), (0.0, 12.0), (11.0, 20.0)]);
        assert_eq!(heard, [(0.0, 20.0), (50.0, 60.0)]);
        assert_eq!(longest((10.0, 100.0), &heard), 40.0);
        assert_eq!(longest((10.0, 55.0), &heard), 30.0);
        assert_eq!(longest((1.0, 19.0), &heard), 0.0);
        assert_eq!(longest((1.0, 19.0), &[]), 18.0);
    }

    #[test]
    fn a_distance_is_too_long_where_sound_comes_after_it() {
        let heard = [(0.0, 12.0), (700.0, 720.0), (40_000.0, 40_001.0)];
        assert_eq!(longer(10.0, &heard, 600.0), Some((12.0, 700.0)));
        // The picture continues.
        assert_eq!(longer(500.0, &heard, 600.0), Some((720.0, 40_000.0)));
        assert_eq!(longer(39_900.0, &heard, 600.0), None);
        assert_eq!(longer(10.0, &heard[..1], 600.0), None);
    }
}
