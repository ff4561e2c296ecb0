//! Where the clock of a recording steps, and the one offset that mends picture and sound alike.
//!
//! A recording whose encoder restarted, or several put one after the other, have clocks that start anew or jump. Each track shows
//! such a step at its own packet. Tracks whose clocks agree again afterwards belong to the same *epoch*, and all tracks of an epoch
//! get the same offset: the largest that a track needs to follow what it had before, so that no track overlaps itself and
//! what was in step stays in step.
//!
//! A distance between two packets is no step where another track's clock agrees with it: a slide show with speech has long distances.

use serde::{Deserialize, Serialize};

/// Shortest jump forward, seconds, that counts as a step: shorter ones are breaks in the recording, during which the last picture
/// stands. Jumps back always count.
pub const FORWARD_SECONDS_MIN: f64 = 60.0;

/// Steps of one track that are mended; a track with more is damaged, and its further steps are left as they are.
pub const STEPS_MAX: usize = 256;

/// Two tracks have the same clock where they differ by less than this many seconds at the same place of a file: muxers interleave
/// within a second or two.
pub const AGREE_SECONDS: f64 = 5.0;

/// Shortest jump forward, seconds, that counts as a step though no other track confirms it: a silent recording may stand still for
/// minutes.
const ALONE_SECONDS_MIN: f64 = 600.0;

/// A track by itself whose packets jump forward more often than once in this many is a slide show.
const PACKETS_PER_JUMP_MIN: u64 = 20;

/// A step of a track's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockStep {
    /// Packets at or after this byte of the file are meant.
    pub byte: u64,
    /// Ticks to add to their timestamps.
    pub shift: i64,
}

/// A packet whose decode time does not follow its predecessor's.
#[derive(Debug, Clone, PartialEq)]
pub struct Jump {
    /// Index of its track.
    pub track: usize,
    /// Where it lies in the file.
    pub byte: u64,
    /// Seconds of the track's clock at which it was due.
    pub before: f64,
    /// Seconds of the track's clock that it has.
    pub after: f64,
    /// The last decode time of every track up to here, seconds; `None` where a track has not begun, or has had no packet for
    /// [`AGREE_SECONDS`].
    pub clocks: Vec<Option<f64>>,
    /// Of every track: its next packet goes on by the clock that it had.
    pub goes_on: Vec<bool>,
}

/// How much of a track there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Packets.
    pub packets: u64,
    /// Where its last packet lies in the file.
    pub last_byte: u64,
}

/// A move of a track into an epoch.
#[derive(Debug, Clone, Copy)]
struct Move {
    jump: usize,
    from: usize,
    to: usize,
}

/// Of every jump, the seconds to add to the times of its track from there on. `jumps` are in file order.
#[must_use]
pub fn shifts(jumps: &[Jump], tracks: &[Extent]) -> Vec<f64> {
    let moves = moves(jumps, tracks.len());
    let epochs = moves.iter().flatten().map(|step| step.to + 1).max().unwrap_or(1);
    let mut shifts = vec![0.0; epochs];
    for epoch in 1..epochs {
        shifts[epoch] = shift(epoch, &shifts, jumps, tracks, &moves);
    }
    let mut current = vec![0; tracks.len()];
    let after = |(jump, step): (&Jump, &Option<Move>)| {
        if let Some(step) = step {
            current[jump.track] = step.to;
        }
        shifts[current[jump.track]]
    };
    jumps.iter().zip(&moves).map(after).collect()
}

/// Of every jump, which epoch it leads to; `None` where it is no step.
fn moves(jumps: &[Jump], tracks: usize) -> Vec<Option<Move>> {
    let mut current = vec![0; tracks];
    let mut epochs = 1;
    let mut moves = Vec::with_capacity(jumps.len());
    for (index, jump) in jumps.iter().enumerate() {
        let from = current[jump.track];
        let agreeing = || {
            let others = jump.clocks.iter().enumerate().filter(|(other, _)| *other != jump.track);
            let agree = |clock: &Option<f64>| {
                clock.is_some_and(|clock| (clock - jump.after).abs() < AGREE_SECONDS)
            };
            others.filter(move |(_, clock)| agree(clock)).map(|(other, _)| current[other])
        };
        if jump.after > jump.before && agreeing().any(|epoch| epoch == from) {
            moves.push(None);
            continue;
        }
        let to = agreeing().filter(|epoch| *epoch != from).max().unwrap_or(epochs);
        epochs = epochs.max(to + 1);
        current[jump.track] = to;
        moves.push(Some(Move { jump: index, from, to }));
    }
    moves
}

/// The offset of `epoch`, those of earlier ones being known.
fn shift(
    epoch: usize,
    known: &[f64],
    jumps: &[Jump],
    tracks: &[Extent],
    moves: &[Option<Move>],
) -> f64 {
    let entered = || moves.iter().flatten().filter(|step| step.to == epoch && step.from < epoch);
    let needed = |step: &Move| {
        let jump = &jumps[step.jump];
        known[step.from] + jump.before - jump.after
    };
    let Some(first) = entered().next() else { return 0.0 };
    let jump = &jumps[first.jump];
    let alone = entered().all(|step| jumps[step.jump].track == jump.track);
    let forward = jump.after > jump.before;
    let doubted = if forward {
        !returns(first, jumps, moves) && !is_gap_free(jump, jumps, tracks)
    } else {
        // Wild timestamps of one track, while another one shows that the clock has not stepped.
        jump.goes_on.contains(&true)
    };
    if alone && doubted {
        return known[first.from];
    }
    entered().map(needed).fold(f64::NEG_INFINITY, f64::max)
}

/// Whether the track of a jump forward comes back to an earlier epoch: then some timestamps were wild.
fn returns(step: &Move, jumps: &[Jump], moves: &[Option<Move>]) -> bool {
    let track = jumps[step.jump].track;
    let later = moves.iter().flatten().filter(|other| other.jump > step.jump);
    let next = later.into_iter().find(|other| jumps[other.jump].track == track);
    next.is_some_and(|next| jumps[next.jump].after < jumps[step.jump].after)
}

/// Whether a jump forward that no other track confirms is a step all the same: no other track goes on behind it, and it is an
/// exception.
fn is_gap_free(jump: &Jump, jumps: &[Jump], tracks: &[Extent]) -> bool {
    let goes_on = |(other, extent): (usize, &Extent)| {
        other != jump.track && extent.packets > 0 && extent.last_byte > jump.byte
    };
    let own = jumps.iter().filter(|other| other.track == jump.track).count() as u64;
    let packets = tracks.get(jump.track).map_or(0, |extent| extent.packets);
    let long = jump.after - jump.before > ALONE_SECONDS_MIN;
    long && !tracks.iter().enumerate().any(goes_on) && own * PACKETS_PER_JUMP_MIN <= packets
}

#[cfg(test)]
mod tests {
    use super::*;

    const PICTURE: usize = 0;
    const SOUND: usize = 1;

    fn jump(track: usize, byte: u64, before: f64, after: f64, other: Option<f64>) -> Jump {
        let mut clocks = vec![Some(before), Some(before)];
        clocks[1 - track] = other;
        Jump { track, byte, before, after, clocks, goes_on: vec![false; 2] }
    }

    fn extents() -> [Extent; 2] {
        [Extent { packets: 500, last_byte: 9000 }, Extent { packets: 900, last_byte: 9100 }]
    }

    fn check(jumps: &[Jump], expected: &[f64]) {
        let found = shifts(jumps, &extents());
        let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-9;
        assert!(found.len() == expected.len() && found.iter().zip(expected).all(near), "{found:?}");
    }

    #[test]
    fn joined_recordings_get_the_offset_that_overlaps_neither_track() {
        let joined =
            [jump(PICTURE, 100, 11.4, 1.48, Some(11.42)), jump(SOUND, 110, 11.45, 1.4, Some(1.52))];
        check(&joined, &[10.05, 10.05]);
    }

    #[test]
    fn a_third_recording_is_counted_from_the_mended_second() {
        let joined = [
            jump(SOUND, 90, 10.0, 0.0, Some(9.9)),
            jump(PICTURE, 100, 10.0, 0.0, Some(0.02)),
            jump(PICTURE, 200, 5.0, 0.0, Some(4.9)),
            jump(SOUND, 210, 5.0, 0.0, Some(0.04)),
        ];
        check(&joined, &[10.0, 10.0, 15.0, 15.0]);
    }

    #[test]
    fn a_track_that_was_silent_joins_the_clock_that_it_agrees_with() {
        // The second recording has no sound, the third has some again.
        let joined = [
            jump(PICTURE, 100, 10.0, 0.0, Some(9.9)),
            jump(PICTURE, 200, 30.0, 0.0, None),
            jump(SOUND, 210, 10.0, 0.1, Some(0.2)),
        ];
        check(&joined, &[10.0, 40.0, 40.0]);
    }

    #[test]
    fn a_clock_that_goes_back_a_little_takes_both_tracks_with_it() {
        let back =
            [jump(PICTURE, 100, 20.0, 16.0, Some(19.9)), jump(SOUND, 120, 20.1, 16.02, Some(16.2))];
        check(&back, &[4.08, 4.08]);
    }

    #[test]
    fn an_hour_that_both_tracks_jump_is_left_out() {
        let forward = [
            jump(SOUND, 100, 10.0, 3610.0, Some(9.9)),
            jump(PICTURE, 110, 10.0, 3610.02, Some(3610.2)),
        ];
        check(&forward, &[-3600.0, -3600.0]);
    }

    #[test]
    fn a_slide_show_with_speech_has_distances_and_no_steps() {
        let slides = [
            jump(PICTURE, 100, 1.0, 70.0, Some(69.8)),
            jump(PICTURE, 200, 71.0, 140.0, Some(139.9)),
        ];
        check(&slides, &[0.0, 0.0]);
        // Sound that pauses is no step either.
        check(&[jump(SOUND, 100, 5.0, 100.0, Some(99.9))], &[0.0]);
        // Nor is a distance whose other track goes on by its old clock.
        check(&[jump(PICTURE, 100, 5.0, 3600.0, Some(4.9))], &[0.0]);
    }

    #[test]
    fn a_picture_alone_jumps_once_but_not_with_every_slide() {
        let alone = [Extent { packets: 500, last_byte: 9000 }];
        let once = |packets, after| {
            let (clocks, goes_on) = (vec![Some(9.9)], vec![false]);
            let jump = Jump { track: 0, byte: 100, before: 10.0, after, clocks, goes_on };
            shifts(&[jump], &[Extent { packets, ..alone[0] }])
        };
        assert_eq!(once(500, 3610.0), [-3600.0]);
        assert_eq!(once(5, 3610.0), [0.0]);
        // A pause of a screen recording.
        assert_eq!(once(500, 80.0), [0.0]);
    }

    #[test]
    fn a_jump_back_of_one_track_is_no_step_where_the_other_goes_on() {
        let mut alone = jump(SOUND, 100, 10.0, 5.0, Some(9.9));
        check(std::slice::from_ref(&alone), &[5.0]);
        alone.goes_on[PICTURE] = true;
        check(&[alone], &[0.0]);
        // Until the other one joins, its packets may lag behind.
        let mut first = jump(PICTURE, 100, 20.0, 16.0, Some(19.5));
        first.goes_on[SOUND] = true;
        check(&[first, jump(SOUND, 120, 19.9, 16.0, Some(16.2))], &[4.0, 4.0]);
    }

    #[test]
    fn wild_timestamps_are_a_step_and_a_step_back() {
        let wild = [
            jump(PICTURE, 100, 10.0, 90_000.0, Some(9.9)),
            jump(PICTURE, 110, 90_000.04, 10.04, Some(10.0)),
        ];
        check(&wild, &[10.0 - 90_000.0, 0.0]);
    }
}
