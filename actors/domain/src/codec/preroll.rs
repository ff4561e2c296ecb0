//! Finds pictures that were copied only so that later ones can be decoded.
//!
//! A cut without encoding begins with the key picture before the cut. If it is joined to another recording, these pictures precede that
//! recording's end. Muxers, which let no decode time go back, press them together: each has its predecessor's time or one tick more. They
//! are decoded and not shown. A burst of a live recording looks alike, but has room for its pictures before or after it.

use crate::codec::misplaced::REORDERED_MAX;
use crate::plan::rational::Rational;

/// Fewest pictures of a preroll. Two may share a time by rounding.
const PICTURES_MIN: usize = 3;

/// Pictures are pressed together if they follow within this many seconds, or a tick. No display shows so many in a second.
pub const PRESSED_SECONDS: f64 = 0.002;

/// The distance must also be below one part in this many of the usual distance: a tick may be as long as a picture.
const PRESSED_SHARE: i64 = 8;

/// Distances of pictures in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distances {
    usual: i64,
    pressed: i64,
}

impl Distances {
    /// For a track whose pictures last `usual` ticks of `time_base`.
    #[must_use]
    pub fn new(usual: i64, time_base: Rational) -> Self {
        let pressed = time_base.ticks(PRESSED_SECONDS).max(1);
        Self { usual, pressed: pressed.min(usual / PRESSED_SHARE) }
    }
}

/// Result of examining a key picture and those after it, in decoding order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Later pictures decide.
    Open,
    /// Pictures with these indices are not shown.
    Hidden(Vec<usize>),
}

/// Whether a key picture follows the shown pictures too closely to be the next one, and needs a [`look`]. `before` is the latest time so
/// far.
#[must_use]
pub fn is_close(key: i64, before: i64, distances: Distances) -> bool {
    before > i64::MIN && key < before.saturating_add(distances.usual / 2)
}

/// Examines a key picture that is close to the shown pictures, with those after it. `whole`: no more follow.
#[must_use]
pub fn look(times: &[i64], before: i64, distances: Distances, whole: bool) -> Look {
    let nothing = Look::Hidden(Vec::new());
    let Some(mut last) = times.first().copied() else { return nothing };
    let mut hidden = vec![0];
    let mut others = Vec::new();
    let mut since = 0;
    for (place, time) in times.iter().enumerate().skip(1) {
        let distance = time.saturating_sub(last);
        if distance < 0 {
            break;
        }
        if distance <= distances.pressed {
            last = *time;
            hidden.push(place);
            since = 0;
            continue;
        }
        others.push(*time);
        since += 1;
        if since > REORDERED_MAX {
            break;
        }
    }
    let is_open = 1 + hidden.len() + others.len() > times.len() && since <= REORDERED_MAX;
    if is_open && !whole {
        return Look::Open;
    }
    let next = others.into_iter().min().unwrap_or(last);
    let room = next.saturating_sub(before);
    let needed = distances.usual.saturating_mul(hidden.len() as i64) / 2;
    if hidden.len() >= PICTURES_MIN && room < needed { Look::Hidden(hidden) } else { nothing }
}

/// For a whole track, whether recordings overlap, and the indices of pictures that are not shown, ascending. `keys` are the indices of key
/// pictures, ascending. Only key pictures are examined; some containers mark every picture as a key.
#[must_use]
pub fn hidden(times: &[i64], keys: &[usize], distances: Distances) -> (bool, Vec<usize>) {
    let (mut overlap, mut found) = (false, Vec::<usize>::new());
    let (mut before, mut from) = (i64::MIN, 0);
    let mixed = (0..times.len()).find(|place| keys.get(*place) != Some(place));
    let mixed = mixed.unwrap_or(times.len());
    for key in keys.iter().copied().filter(|key| (mixed..times.len()).contains(key)) {
        let shown = (from..key).filter(|place| found.binary_search(place).is_err());
        before = shown.map(|place| times[place]).fold(before, i64::max);
        from = key;
        if !is_close(times[key], before, distances) || found.last().is_some_and(|last| *last >= key)
        {
            continue;
        }
        overlap |= times[key] < before;
        if let Look::Hidden(places) = look(&times[key..], before, distances, true) {
            overlap |= !places.is_empty();
            found.extend(places.into_iter().map(|place| key + place));
        }
    }
    (overlap, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: i64 = 40;
    const MILLISECONDS: Rational = Rational { num: 1, den: 1000 };

    fn usual() -> Distances {
        Distances::new(STEP, MILLISECONDS)
    }

    /// A key picture and groups of two that are shown before the third, beginning at `start`.
    fn recording(start: i64, pictures: i64) -> Vec<i64> {
        let place = |index: i64| match (index - 1) % 3 {
            _ if index == 0 => 0,
            0 => index + 2,
            _ => index - 1,
        };
        (0..pictures).map(|index| start + place(index) * STEP).collect()
    }

    /// A recording whose first `pre` pictures precede the cut, as a muxer writes it that lets them follow each other at `apart`.
    fn pressed(pre: i64, pictures: i64, cut: i64, apart: i64) -> Vec<i64> {
        let mut dts = cut - 3 * STEP;
        let shift = cut - pre * STEP;
        let press = |time: i64| {
            dts += apart;
            if time + shift < cut { dts } else { time + shift }
        };
        recording(0, pictures).into_iter().map(press).collect()
    }

    #[test]
    fn pictures_before_a_cut_are_hidden_and_all_others_are_not() {
        for (pre, apart) in [(4, 1), (33, 1), (33, 0), (100, 1), (200, 0)] {
            let times = [recording(0, 121), pressed(pre, 400, 118 * STEP, apart)].concat();
            let (overlaps, places) = hidden(&times, &[0, 121, 471], usual());
            assert!(overlaps);
            let kept = (0..times.len()).filter(|place| places.binary_search(place).is_err());
            assert_eq!(kept.clone().count(), 121 + 400 - pre as usize, "{pre}");
            let real = kept.filter(|place| *place >= 121).map(|place| times[place]);
            assert_eq!(real.min(), Some(118 * STEP), "{pre}");
        }
    }

    #[test]
    fn a_plain_recording_hides_nothing() {
        let groups = [0, 61, 122].map(|first| recording(first * STEP, 61)).concat();
        assert_eq!(hidden(&groups, &[0, 61, 122], usual()), (false, Vec::new()));
    }

    #[test]
    fn a_burst_has_the_room_of_its_pictures() {
        let burst = |from: i64| (0..25).map(move |index| from + index);
        let plain: Vec<i64> = (0..100).map(|index| index * STEP).collect();
        let after: Vec<i64> = (125..200).map(|index| index * STEP).collect();
        for from in [99 * STEP + 1, 100 * STEP, 124 * STEP] {
            let times: Vec<i64> =
                plain.iter().copied().chain(burst(from)).chain(after.iter().copied()).collect();
            assert_eq!(hidden(&times, &[0, 100], usual()).1, [0_usize; 0], "{from}");
        }
    }

    #[test]
    fn later_pictures_decide() {
        let times = pressed(33, 60, 118 * STEP, 1);
        let before = 119 * STEP;
        let places = |count: usize| look(&times[..count], before, usual(), false);
        assert_eq!(places(1), Look::Open);
        assert_eq!(places(35), Look::Open);
        let whole = look(&times, before, usual(), true);
        let first = (0..times.len()).find(|count| places(*count) != Look::Open && *count > 0);
        assert_eq!(first.map(places), Some(whole));
    }

    #[test]
    fn two_pictures_that_share_a_time_are_shown() {
        let times = [recording(0, 121), vec![4600, 4601], recording(4840, 60)].concat();
        assert_eq!(hidden(&times, &[0, 121], usual()), (true, Vec::new()));
        let close: Vec<i64> = (0..50).map(|index| index * STEP / 5).collect();
        assert_eq!(hidden(&close, &[0, 20, 21], usual()), (false, Vec::new()));
    }

    #[test]
    fn a_recording_that_rests_between_movements_hides_nothing() {
        // Three seconds of 60 pictures per second after each half minute, in groups of the encoder, in order and reordered.
        for reordered in [false, true] {
            let place = |index: i64| {
                if reordered { recording(0, 181)[index as usize] / STEP } else { index }
            };
            let burst = |from: i64| (0..181).map(move |index| from + place(index) * 50 / 3);
            let times: Vec<i64> = (0..8).flat_map(|part| burst(part * 30_000)).collect();
            let keys: Vec<usize> = (0..8).map(|part| part * 181).chain([250, 450]).collect();
            let mut keys = keys;
            keys.sort_unstable();
            // The median, the mean, and the value of a wrong header.
            for step in [17, 146, 500, 1000] {
                let distances = Distances::new(step, MILLISECONDS);
                assert_eq!(hidden(&times, &keys, distances).1, [0_usize; 0], "{step}");
            }
        }
    }

    #[test]
    fn a_tick_may_be_as_long_as_a_picture() {
        let times: Vec<i64> = (0..100).collect();
        let distances = Distances::new(1, Rational::new(1, 25));
        assert_eq!(hidden(&times, &[0, 25, 26, 50], distances), (false, Vec::new()));
    }

    #[test]
    fn where_every_picture_is_called_a_key_nothing_overlaps() {
        let all: Vec<usize> = (0..121).collect();
        assert_eq!(hidden(&recording(0, 121), &all, usual()), (false, Vec::new()));
    }
}
