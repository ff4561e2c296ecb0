//! Moves the packets of a track to one continuous clock, by the steps that the probe found.
//!
//! A step is identified by its position in the file, so that a decoder that starts in the middle finds the same times as one that starts at
//! the beginning.

use ffmpeg_next::Packet;
use jetreel_domain::codec::discontinuity::ClockStep;

/// File positions of one track's packets. A packet without a position follows its predecessor. A packet before its predecessor is late:
/// demuxers return the last packet of a stream that others continued only at the end of the file.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place(u64);

impl Place {
    /// The position of the next packet, and whether it is late.
    pub(crate) fn of(&mut self, packet: &Packet) -> (u64, bool) {
        let byte = u64::try_from(packet.position()).unwrap_or(self.0 + 1);
        let late = byte < self.0;
        self.0 = self.0.max(byte);
        (byte, late)
    }

    /// The furthest position so far.
    pub(crate) fn furthest(self) -> u64 {
        self.0
    }
}

/// The clock of one track.
pub(crate) struct Offsets {
    steps: Vec<ClockStep>,
    place: Place,
}

impl Offsets {
    /// A clock with `steps` in file order.
    pub(crate) fn new(steps: &[ClockStep]) -> Self {
        Self { steps: steps.to_vec(), place: Place::default() }
    }

    /// Moves a packet to the continuous clock.
    pub(crate) fn apply(&mut self, packet: &mut Packet) {
        if self.steps.is_empty() {
            return;
        }
        let (byte, _) = self.place.of(packet);
        let passed = self.steps.partition_point(|step| step.byte <= byte);
        let shift = passed.checked_sub(1).map_or(0, |index| self.steps[index].shift);
        let moved = |time: Option<i64>| time.map(|time| time.saturating_add(shift));
        let (pts, dts) = (moved(packet.pts()), moved(packet.dts()));
        packet.set_pts(pts);
        packet.set_dts(dts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(offsets: &mut Offsets, byte: isize, time: i64) -> Option<i64> {
        let mut packet = Packet::empty();
        packet.set_position(byte);
        packet.set_pts(Some(time));
        offsets.apply(&mut packet);
        assert_eq!(packet.dts(), None);
        packet.pts()
    }

    #[test]
    fn the_place_in_the_file_tells_the_step() {
        let steps = [ClockStep { byte: 100, shift: 10 }, ClockStep { byte: 200, shift: -5 }];
        let mut offsets = Offsets::new(&steps);
        assert_eq!(moved(&mut offsets, 99, 7), Some(7));
        assert_eq!(moved(&mut offsets, 100, 0), Some(10));
        // A packet without a position follows its predecessor.
        assert_eq!(moved(&mut offsets, -1, 1), Some(11));
        assert_eq!(moved(&mut offsets, 250, 20), Some(15));
        // A late packet does not move its successors.
        assert_eq!(moved(&mut offsets, 150, 2), Some(12));
        assert_eq!(moved(&mut offsets, -1, 21), Some(16));
    }
}
