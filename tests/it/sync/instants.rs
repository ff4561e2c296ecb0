//! When flashes and beeps happen: at irregular instants, so that no shift maps one to the next.

/// Seconds before the first instant, and between two, at least.
pub(super) const GAP_MIN: f64 = 0.6;

/// Ticks of [`TICK`] that a gap may be longer than the least.
const SPREAD: u32 = 29;

/// Seconds; the distance of pictures in most clips.
const TICK: f64 = 0.04;

/// An instant lies at least this far from the start and from the end of a stream.
pub(super) const MARGIN: f64 = 0.3;

/// Instants below `end`, the same at every call.
pub(super) fn instants(end: f64) -> Vec<f64> {
    let (mut found, mut at, mut state) = (Vec::new(), GAP_MIN, 20_240_229_u32);
    while at < end {
        found.push(at);
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        at += GAP_MIN + f64::from((state >> 16) % SPREAD) * TICK;
    }
    found
}

/// Pictures per second as a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate(pub(super) u32, pub(super) u32);

impl Rate {
    /// Seconds of a picture.
    pub(super) fn picture(self) -> f64 {
        f64::from(self.1) / f64::from(self.0)
    }

    /// The first picture that is not before `at`.
    pub(super) fn snap(self, at: f64) -> f64 {
        let picture = self.picture();
        (at / picture - 1e-6).ceil() * picture
    }
}

#[test]
fn no_shift_maps_many_instants_to_others() {
    let all = instants(40.0);
    assert!(all.len() > 25, "{all:?}");
    let far = all.windows(2).all(|pair| pair[1] - pair[0] > GAP_MIN - 1e-9);
    assert!(far, "{all:?}");
    for (index, first) in all.iter().enumerate() {
        for second in &all[index + 1..] {
            let shift = second - first;
            let hits = |at: &&f64| all.iter().any(|other| (other - (*at + shift)).abs() < 0.02);
            let hits = all.iter().filter(hits).count();
            assert!(hits * 3 < all.len(), "a shift by {shift} s maps {hits} of {}", all.len());
        }
    }
}

#[test]
fn an_instant_is_the_start_of_a_picture() {
    let rate = Rate(30_000, 1001);
    let at = rate.snap(0.6);
    assert!((0.6..0.6 + rate.picture()).contains(&at));
    assert!((rate.snap(at) - at).abs() < 1e-9, "a snapped instant stays");
    assert!((Rate(25, 1).snap(0.6) - 0.6).abs() < 1e-9);
}
