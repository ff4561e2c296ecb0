//! Beeps in samples: onset, length and frequency.
//!
//! The envelope is the root mean square over a short centred window. A burst that begins at once crosses half of its level exactly at
//! its onset, so the pre-echo of a codec (far below half) does not move the onset.

/// Samples per second that the detector takes.
pub(super) const RATE: u32 = 16_000;

/// Seconds of the window: two periods of the lowest frequency in use (400 Hz).
const WINDOW: f64 = 0.005;

/// Seconds between two values of the envelope.
const HOP: f64 = 0.001;

/// Below this level there is no beep at all.
const SILENCE: f64 = 0.004;

/// Share of the loudest level at which a beep begins, and at which it ends.
const BEGIN: f64 = 0.5;
const END: f64 = 0.25;

/// A burst of sound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Beep {
    /// Onset, seconds.
    pub(super) at: f64,
    /// Length, seconds.
    pub(super) seconds: f64,
    /// Hertz, from the crossings of zero.
    pub(super) frequency: f64,
}

/// Samples without a hole.
#[derive(Debug, Clone, Default)]
pub(super) struct Piece {
    /// Time of the first sample, seconds.
    pub(super) start: f64,
    pub(super) samples: Vec<f32>,
}

impl Piece {
    /// Time after the last sample.
    pub(super) fn end(&self) -> f64 {
        self.start + self.samples.len() as f64 / f64::from(RATE)
    }
}

/// Beeps in the pieces of a track. A beep over the joint of two pieces counts twice.
pub(super) fn beeps(pieces: &[Piece]) -> Vec<Beep> {
    let levels: Vec<Vec<f64>> = pieces.iter().map(|piece| envelope(&piece.samples)).collect();
    let loudest = levels.iter().flatten().copied().fold(0.0, f64::max);
    if loudest < SILENCE {
        return Vec::new();
    }
    let found =
        pieces.iter().zip(&levels).flat_map(|(piece, levels)| within(piece, levels, loudest));
    found.collect()
}

/// Beeps in one piece.
fn within(piece: &Piece, levels: &[f64], loudest: f64) -> Vec<Beep> {
    let (mut found, mut begun) = (Vec::new(), None);
    for (index, level) in levels.iter().chain(&[0.0]).enumerate() {
        match begun {
            None if *level >= BEGIN * loudest => begun = Some(index),
            Some(first) if *level < END * loudest => {
                found.push(beep(&piece.samples, piece.start, first, index));
                begun = None;
            }
            Some(_) | None => {}
        }
    }
    found
}

/// A beep from its place in the envelope.
fn beep(samples: &[f32], start: f64, first: usize, last: usize) -> Beep {
    let (from, to) = (first as f64 * HOP, last as f64 * HOP);
    // The middle half: neither the attack nor the release.
    let quarter = (to - from) / 4.0;
    let place = |at: f64| ((at * f64::from(RATE)) as usize).min(samples.len());
    let middle = &samples[place(from + quarter)..place(to - quarter)];
    Beep { at: start + from, seconds: to - from, frequency: frequency(middle) }
}

/// Root mean square around every [`HOP`].
fn envelope(samples: &[f32]) -> Vec<f64> {
    let mut sums = Vec::with_capacity(samples.len() + 1);
    sums.push(0.0);
    let mut sum = 0.0;
    for sample in samples {
        sum += f64::from(*sample) * f64::from(*sample);
        sums.push(sum);
    }
    let hop = (HOP * f64::from(RATE)) as usize;
    let half = (WINDOW * f64::from(RATE) / 2.0) as usize;
    let level = |index: usize| {
        let (from, to) = ((index * hop).saturating_sub(half), (index * hop + half));
        let energy = sums[to.min(samples.len())] - sums[from];
        (energy / (2 * half) as f64).max(0.0).sqrt()
    };
    (0..=samples.len() / hop).map(level).collect()
}

/// Hertz from the first to the last upward crossing of zero; 0 where there are none.
fn frequency(samples: &[f32]) -> f64 {
    let upward = samples.windows(2).enumerate().filter(|(_, pair)| pair[0] < 0.0 && pair[1] >= 0.0);
    let places: Vec<f64> = upward
        .map(|(index, pair)| index as f64 + f64::from(pair[0] / (pair[0] - pair[1])))
        .collect();
    match (places.first(), places.last()) {
        (Some(first), Some(last)) if places.len() > 1 => {
            (places.len() - 1) as f64 * f64::from(RATE) / (last - first)
        }
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two seconds from the tenth on, silent but for bursts of `frequency` at the given places.
    fn bursts(places: &[(f64, f64)], frequency: f64) -> Piece {
        let value = |index: usize| {
            let at = index as f64 / f64::from(RATE);
            let on = places.iter().any(|(from, to)| (*from..*to).contains(&at));
            if on { 0.4 * (std::f64::consts::TAU * frequency * at).sin() as f32 } else { 0.0 }
        };
        Piece { start: 10.0, samples: (0..2 * RATE as usize).map(value).collect() }
    }

    #[test]
    fn a_beep_is_found_where_it_is() {
        for frequency in [400.0, 1000.0, 2500.0] {
            let found = beeps(&[bursts(&[(0.5, 0.58), (1.2, 1.28)], frequency)]);
            assert_eq!(found.len(), 2, "{found:?}");
            for (beep, at) in found.iter().zip([10.5, 11.2]) {
                assert!((beep.at - at).abs() < 0.002, "{beep:?}");
                assert!((beep.seconds - 0.08).abs() < 0.004, "{beep:?}");
                assert!((beep.frequency - frequency).abs() < 5.0, "{beep:?}");
            }
        }
    }

    #[test]
    fn a_torn_beep_counts_twice_and_silence_never() {
        let torn = bursts(&[(0.5, 0.53), (0.55, 0.58)], 1000.0);
        assert_eq!(beeps(&[torn]).len(), 2);
        assert_eq!(beeps(&[bursts(&[], 1000.0)]), []);
        assert_eq!(beeps(&[]), []);
    }
}
