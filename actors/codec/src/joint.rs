//! Joints of a picture track: another recording begins, perhaps in the middle of a group of pictures.
//!
//! Pictures before the first key picture of a recording refer to pictures that are not in the file. Decoders do not notice: they use
//! pictures of the previous recording instead.

use ffmpeg_next::Packet;
use jetreel_domain::codec::discontinuity::ClockStep;
use jetreel_domain::codec::joint::joints;
use jetreel_domain::plan::rational::Rational;

use crate::offsets::Place;

/// Seconds without a key picture after which a recording is decoded anyway.
pub(crate) const WAIT_SECONDS: f64 = 10.0;

/// Fewest pictures of a recording: some recorders stamp the first ones by another clock.
pub(crate) const PICTURES_MIN: usize = 12;

/// Waits for the first key picture of a recording.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait {
    until: i64,
}

impl Wait {
    /// Begins with the first picture of the recording, at `first`.
    pub(crate) fn new(first: i64, time_base: Rational) -> Self {
        Self { until: first.saturating_add(time_base.ticks(WAIT_SECONDS)) }
    }

    /// Whether the wait ends with a picture at `instant`.
    pub(crate) fn ends(self, is_key: bool, instant: i64) -> bool {
        is_key || instant >= self.until
    }
}

/// Treatment of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Decode it.
    GoesOn,
    /// Decode it as the first one of a recording.
    Begins,
    LeftOut,
}

/// The recordings of a picture track.
pub(crate) struct Joints {
    bytes: Vec<u64>,
    time_base: Rational,
    place: Place,
    /// Number of joints before the last packet; `None` before the first packet.
    passed: Option<usize>,
    /// Pictures since the last joint.
    pictures: usize,
    wait: Option<Wait>,
}

impl Joints {
    /// The recordings of a track whose clock has `steps`. `whole`: packets come from the start of the file.
    pub(crate) fn new(steps: &[ClockStep], time_base: Rational, whole: bool) -> Self {
        let (bytes, place) = (joints(steps), Place::default());
        let pictures = if whole { 0 } else { PICTURES_MIN };
        Self { bytes, time_base, place, passed: None, pictures, wait: None }
    }

    /// Processes the next packet of the track, on the continuous clock.
    pub(crate) fn take(&mut self, packet: &Packet) -> Turn {
        let (byte, _) = self.place.of(packet);
        let passed = self.bytes.partition_point(|joint| *joint <= byte);
        let before = *self.passed.get_or_insert(passed);
        if passed < before {
            return Turn::LeftOut;
        }
        self.passed = Some(passed);
        let pictures = self.pictures;
        self.pictures = if passed > before { 1 } else { pictures.saturating_add(1) };
        let instant = packet.pts().or_else(|| packet.dts());
        if passed > before && pictures >= PICTURES_MIN {
            self.wait = Some(Wait::new(instant.unwrap_or(0), self.time_base));
        }
        let Some(wait) = self.wait else { return Turn::GoesOn };
        if !wait.ends(packet.is_key(), instant.unwrap_or(i64::MIN)) {
            return Turn::LeftOut;
        }
        self.wait = None;
        Turn::Begins
    }
}

#[cfg(test)]
mod tests {
    use ffmpeg_next::packet::Flags;

    use super::*;

    fn turn(joints: &mut Joints, byte: isize, pts: i64, is_key: bool) -> Turn {
        let mut packet = Packet::empty();
        packet.set_position(byte);
        packet.set_pts(Some(pts));
        packet.set_flags(if is_key { Flags::KEY } else { Flags::empty() });
        joints.take(&packet)
    }

    #[test]
    fn a_recording_begins_with_its_first_key_picture() {
        let steps = [ClockStep { byte: 100, shift: 50 }];
        let mut joints = Joints::new(&steps, Rational::new(1, 25), false);
        assert_eq!(turn(&mut joints, 0, 0, true), Turn::GoesOn);
        assert_eq!(turn(&mut joints, 10, 1, false), Turn::GoesOn);
        assert_eq!(turn(&mut joints, 100, 50, false), Turn::LeftOut);
        assert_eq!(turn(&mut joints, 20, 2, false), Turn::LeftOut);
        assert_eq!(turn(&mut joints, 110, 51, true), Turn::Begins);
        assert_eq!(turn(&mut joints, 120, 52, false), Turn::GoesOn);
    }

    #[test]
    fn a_recording_without_a_key_picture_is_decoded_after_a_while() {
        let steps = [ClockStep { byte: 100, shift: 50 }];
        let mut joints = Joints::new(&steps, Rational::new(1, 25), false);
        turn(&mut joints, 0, 0, true);
        let turns =
            (0..300).map(|frame| turn(&mut joints, 100 + frame as isize, 50 + frame, false));
        let turns: Vec<Turn> = turns.collect();
        assert_eq!(turns.iter().position(|turn| *turn == Turn::Begins), Some(250));
        assert_eq!(turns[251..].iter().filter(|turn| **turn != Turn::GoesOn).count(), 0);
    }

    #[test]
    fn decoding_may_start_behind_a_joint() {
        let steps = [ClockStep { byte: 100, shift: 50 }];
        let mut joints = Joints::new(&steps, Rational::new(1, 25), false);
        assert_eq!(turn(&mut joints, 110, 51, false), Turn::GoesOn);
    }

    #[test]
    fn a_few_pictures_are_no_recording() {
        for (before, expected) in [(1, Turn::GoesOn), (11, Turn::GoesOn), (12, Turn::LeftOut)] {
            let steps = [ClockStep { byte: 100, shift: 50 }];
            let mut joints = Joints::new(&steps, Rational::new(1, 25), true);
            for frame in 0..before {
                turn(&mut joints, frame as isize, frame, frame == 0);
            }
            assert_eq!(turn(&mut joints, 100, 50, false), expected, "{before}");
        }
    }
}
