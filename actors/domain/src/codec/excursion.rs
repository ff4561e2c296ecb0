//! Excursions: the timestamps of a track leave its clock for a while and return. A few of them are wrong.
//!
//! A jump forward of less than a minute may be a pause in the recording, and a jump back may be a clock that restarts. If the second of two
//! opposite jumps returns to the old clock, neither is. The packets between them are moved to where they belong.

use crate::codec::jump::{AGREE_SECONDS, Jump, Kind, STEPS_MAX, agree};

/// Most excursions of a track that are corrected, two steps each. Further ones are no steps and stay uncorrected.
const EXCURSIONS_MAX: usize = STEPS_MAX / 4;

/// After more than this many seconds of its own, a track returns only if other tracks confirm it.
const AWAY_SECONDS_MAX: f64 = 2.0;

/// A track returns if it is within this share of its jump of the expected time, but at most [`OFF_SECONDS_MAX`] off.
const OFF_SHARE: f64 = 0.25;
const OFF_SECONDS_MAX: f64 = 1.0;

/// The effect of every jump on the times of its track: `Some(seconds)` to add from there on, `Some(0.0)` if it returns, `None` for jumps
/// that are no part of an excursion.
pub(crate) fn excursions(jumps: &[Jump], tracks: usize) -> Vec<Option<f64>> {
    let mut found = vec![None; jumps.len()];
    // For every track, its last jump that may begin an excursion.
    let mut left = vec![None; tracks];
    let mut mended = vec![0; tracks];
    for (index, jump) in jumps.iter().enumerate().filter(|(_, jump)| jump.kind != Kind::GoesOn) {
        let Some(left) = left.get_mut(jump.track) else { continue };
        match left.replace(index) {
            Some(first) if comes_back(jumps, first, index) => {
                mended[jump.track] += 1;
                let few = mended[jump.track] <= EXCURSIONS_MAX;
                found[first] = Some(if few { jump.after - jump.before } else { 0.0 });
                found[index] = Some(0.0);
                *left = None;
            }
            Some(_) | None => {}
        }
    }
    found
}

/// Whether a track returns with the jump `last` to the clock that it left with the jump `first`.
fn comes_back(jumps: &[Jump], first: usize, last: usize) -> bool {
    let (left, back) = (&jumps[first], &jumps[last]);
    if !back.before.is_finite() {
        return false;
    }
    let (away, size) = (back.before - left.after, (back.after - back.before).abs());
    let confirmed = || confirmed(jumps, first, last);
    // If a track begins with wrong timestamps, only other tracks show it.
    if left.before == f64::NEG_INFINITY {
        return back.after < back.before && away <= AWAY_SECONDS_MAX && confirmed();
    }
    if !left.is_leap() && !back.is_leap() {
        return false;
    }
    let opposite = (left.after > left.before) != (back.after > back.before);
    let off = (back.after - (left.before + away)).abs();
    let alone = |jump: &Jump| {
        jump.clocks.iter().enumerate().all(|(other, clock)| other == jump.track || clock.is_none())
    };
    // While other tracks continue on about the same clock, a short jump is no step anyway.
    let matters = size >= AGREE_SECONDS || alone(left) && alone(back);
    let near = off <= (size * OFF_SHARE).min(OFF_SECONDS_MAX);
    opposite && matters && near && (away <= AWAY_SECONDS_MAX || confirmed())
}

/// Whether another track agrees with the time to which a track returns, and not with the time before. The other track may have begun in
/// between, but not jumped.
fn confirmed(jumps: &[Jump], first: usize, last: usize) -> bool {
    let back = &jumps[last];
    let jumped = |other: usize| {
        let between = &jumps[first.min(back.since)..last];
        between
            .iter()
            .any(|jump| jump.track == other && jump.kind != Kind::GoesOn && jump.before.is_finite())
    };
    let confirms = |(other, clock): (usize, &Option<f64>)| {
        let near =
            clock.is_some_and(|clock| agree(clock, back.after) && !agree(clock, back.before));
        near && other != back.track && !jumped(other)
    };
    back.clocks.iter().enumerate().any(confirms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jump(track: usize, kind: Kind, before: f64, after: f64, other: Option<f64>) -> Jump {
        let mut clocks = vec![Some(before), Some(before)];
        clocks[1 - track] = other;
        let (byte, since, goes_on) = (0, 0, vec![false; 2]);
        Jump { track, byte, before, after, kind, since, clocks, goes_on }
    }

    fn pair(forward: f64, back: f64, other: Option<f64>) -> Vec<Option<f64>> {
        let left = jump(0, Kind::Leap, 10.0, 10.0 + forward, other);
        let before = 10.04 + forward;
        excursions(&[left, jump(0, Kind::Step, before, before - back, other)], 2)
    }

    #[test]
    fn one_wrong_timestamp_is_moved_to_its_place() {
        let moved = pair(6.0, 6.0, Some(10.0));
        assert!(moved[0].is_some_and(|seconds| (seconds + 6.0).abs() < 1e-9), "{moved:?}");
        assert_eq!(moved[1], Some(0.0));
        // A silent video has no other track.
        assert!(pair(0.8, 0.8, None)[0].is_some() && pair(59.0, 59.0, None)[0].is_some());
        // While other tracks continue, a short jump is no excursion.
        assert_eq!(pair(2.0, 2.0, Some(10.0)), [None, None]);
        // Earlier than its neighbours.
        let left = jump(0, Kind::Step, 10.0, 4.0, None);
        let back = jump(0, Kind::Leap, 4.04, 10.04, None);
        assert!(
            excursions(&[left, back], 2)[0].is_some_and(|seconds| (seconds - 6.0).abs() < 1e-9)
        );
    }

    #[test]
    fn more_than_can_be_told_of_are_no_steps_all_the_same() {
        let one = |at: f64| {
            let left = jump(0, Kind::Leap, at, at + 9.0, None);
            [left, jump(0, Kind::Step, at + 9.04, at + 0.04, None)]
        };
        let jumps: Vec<Jump> = (0..1000_u32).flat_map(|index| one(f64::from(index))).collect();
        let found = excursions(&jumps, 2);
        assert!(found.iter().all(Option::is_some));
        let moved = found.iter().flatten().filter(|seconds| **seconds != 0.0).count();
        assert_eq!(moved, EXCURSIONS_MAX);
    }

    #[test]
    fn a_break_before_a_clock_that_starts_anew_is_none() {
        assert_eq!(pair(30.0, 40.0, Some(10.0)), [None, None]);
        assert_eq!(pair(30.0, 20.0, None), [None, None]);
    }

    #[test]
    fn many_wrong_timestamps_need_another_track() {
        let jumps = |other| {
            let back = jump(1, Kind::Step, 49.0, 19.0, other);
            excursions(&[jump(1, Kind::Leap, 10.0, 40.0, other), back], 2)
        };
        assert!(jumps(Some(18.9))[0].is_some());
        assert_eq!(jumps(Some(48.9)), [None, None]);
        assert_eq!(jumps(None), [None, None]);
    }

    #[test]
    fn a_track_may_begin_with_a_wrong_timestamp() {
        let jumps = |other, back_step: f64| {
            let begins = jump(1, Kind::Loose, f64::NEG_INFINITY, 31.4, None);
            let own = jump(0, Kind::Loose, f64::NEG_INFINITY, 1.4, Some(31.5));
            let stepped = jump(0, Kind::Step, 32.0, back_step, Some(31.5));
            let back = jump(1, Kind::Step, 31.6, 1.6, other);
            let between = if back_step > 0.0 { stepped } else { own };
            excursions(&[begins, between, back], 2)
        };
        assert_eq!(jumps(Some(1.5), 0.0), [Some(-30.0), None, Some(0.0)]);
        // A short recording, after which the clock restarts.
        assert_eq!(jumps(Some(31.5), 0.0), [None; 3]);
        assert_eq!(jumps(Some(1.5), 1.4), [None; 3]);
        assert_eq!(jumps(None, 0.0), [None; 3]);
    }
}
