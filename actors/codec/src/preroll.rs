//! Marks pictures that are only needed to decode later ones as not to be shown.
//!
//! Invariant: packets leave in their order. They wait only after a key picture that is close to its predecessors, and at most
//! [`PACKETS_MAX`] of them wait.

use std::collections::VecDeque;

use ffmpeg_next::packet::Mut as _;
use ffmpeg_next::{Packet, ffi};
use jetreel_domain::codec::preroll::{Distances, Look, is_close, look};

use crate::failure::Outcome;

/// Most pictures after a key picture that are examined: ten seconds of 60 per second are a long group.
const PACKETS_MAX: usize = 640;

/// The packets of a picture track before the decoder.
pub(crate) struct Preroll {
    distances: Distances,
    /// Latest time of a shown picture.
    before: i64,
    waiting: VecDeque<Packet>,
    /// Number of waiting packets that were examined.
    looked: usize,
    /// Whether a picture that is no key has left. Some containers mark every picture as a key.
    mixed: bool,
    overlaps: bool,
}

impl Preroll {
    /// For a track with these distances between pictures.
    pub(crate) fn new(distances: Distances) -> Self {
        let waiting = VecDeque::new();
        Self { distances, before: i64::MIN, waiting, looked: 0, mixed: false, overlaps: false }
    }

    /// Whether recordings overlap in the packets that have left.
    pub(crate) fn overlaps(&self) -> bool {
        self.overlaps
    }

    /// The next packet. `read` returns the packets that follow.
    pub(crate) fn next(
        &mut self,
        mut read: impl FnMut() -> Outcome<Option<Packet>>,
    ) -> Outcome<Option<Packet>> {
        if self.waiting.is_empty() {
            let Some(packet) = read()? else { return Ok(None) };
            self.waiting.push_back(packet);
        }
        if self.looked == 0 && self.waiting.front().is_some_and(|first| self.is_doubtful(first)) {
            self.look(&mut read)?;
        }
        self.looked = self.looked.saturating_sub(1);
        let next = self.waiting.pop_front();
        self.mixed |= next.as_ref().is_some_and(|next| !next.is_key());
        if let Some(pts) = next.as_ref().filter(|next| !is_hidden(next)).and_then(Packet::pts) {
            self.before = self.before.max(pts);
        }
        Ok(next)
    }

    fn is_doubtful(&self, packet: &Packet) -> bool {
        let close = |pts| is_close(pts, self.before, self.distances);
        self.mixed && packet.is_key() && !is_hidden(packet) && packet.pts().is_some_and(close)
    }

    /// Marks the waiting packets that are not to be shown, and reads as many as are needed to decide.
    fn look(&mut self, read: &mut impl FnMut() -> Outcome<Option<Packet>>) -> Outcome<()> {
        loop {
            // A picture without a time is shown with its neighbours.
            let times: Vec<i64> = self.waiting.iter().map_while(Packet::pts).collect();
            let whole = times.len() < self.waiting.len() || times.len() >= PACKETS_MAX;
            let mut found = look(&times, self.before, self.distances, whole);
            if found == Look::Open {
                match read()? {
                    Some(packet) => {
                        self.waiting.push_back(packet);
                        continue;
                    }
                    None => found = look(&times, self.before, self.distances, true),
                }
            }
            let Look::Hidden(places) = found else { return Ok(()) };
            self.overlaps |=
                !places.is_empty() || times.first().is_some_and(|key| *key < self.before);
            self.looked = places.last().map_or(1, |last| last + 1);
            for place in places {
                self.waiting.get_mut(place).into_iter().for_each(hide);
            }
            return Ok(());
        }
    }
}

/// Whether the packet is decoded but not shown.
pub(crate) fn is_hidden(packet: &Packet) -> bool {
    use ffmpeg_next::packet::Ref as _;
    #[expect(unsafe_code, reason = "a plain field; the safe flags leave this one out")]
    let flags = unsafe { (*packet.as_ptr()).flags };
    flags & ffi::AV_PKT_FLAG_DISCARD != 0
}

fn hide(packet: &mut Packet) {
    #[expect(unsafe_code, reason = "a plain field; the safe flags leave this one out")]
    unsafe {
        (*packet.as_mut_ptr()).flags |= ffi::AV_PKT_FLAG_DISCARD;
    }
}

#[cfg(test)]
mod tests {
    use ffmpeg_next::packet::Flags;
    use jetreel_domain::plan::rational::Rational;

    use super::*;

    fn packets(times: impl IntoIterator<Item = i64>, keys: &[usize]) -> VecDeque<Packet> {
        let packet = |(place, time)| {
            let mut packet = Packet::copy(&[0]);
            packet.set_pts(Some(time));
            let is_key = keys.contains(&place);
            packet.set_flags(if is_key { Flags::KEY } else { Flags::empty() });
            packet
        };
        times.into_iter().enumerate().map(packet).collect()
    }

    fn shown(mut packets: VecDeque<Packet>) -> (Vec<i64>, bool) {
        let distances = Distances::new(40, Rational::new(1, 1000));
        let (mut preroll, mut shown) = (Preroll::new(distances), Vec::new());
        let count = packets.len();
        let mut left = 0;
        while let Some(packet) = preroll.next(|| Ok(packets.pop_front())).unwrap() {
            left += 1;
            shown.extend(packet.pts().filter(|_| !is_hidden(&packet)));
        }
        assert_eq!(left, count);
        (shown, preroll.overlaps())
    }

    #[test]
    fn what_lies_before_a_cut_is_decoded_and_not_shown() {
        let first = (0..50).map(|index| index * 40);
        let pressed = (0..30).map(|index| 1961 + index);
        let real = (50..100).map(|index| index * 40);
        let times = first.clone().chain(pressed).chain(real.clone());
        let (times, overlaps) = shown(packets(times, &[0, 50]));
        assert_eq!(times, first.chain(real).collect::<Vec<_>>());
        assert!(overlaps);
    }

    #[test]
    fn a_plain_recording_passes_as_it_is() {
        let times = || (0..200).map(|index| index * 40);
        let (found, overlaps) = shown(packets(times(), &[0, 50, 100, 150]));
        assert_eq!(found, times().collect::<Vec<_>>());
        assert!(!overlaps);
    }
}
