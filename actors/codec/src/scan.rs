//! All packets of a track, without decoding: when they are shown, where decoding can start.
//!
//! Invariants: every number comes from packets, none from a header; memory is bounded by the frame budget.

use ffmpeg_next::Packet;
use ffmpeg_next::packet::Flags;
use jetreel_domain::media::{RandomAccess, Rational};
use jetreel_domain::wire::{Budget, FailureCode};

use crate::decode::RESTART_FRAMES;
use crate::failure::{Outcome, failure};
use crate::input::{Input, MOVIE_FORMAT};

/// All random-access points of the first seconds are reported.
const DENSE_SECONDS: f64 = 12.0;
/// Further ones this far apart.
const SPARSE_SECONDS: f64 = 4.0;

/// What the packets of a track say.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// How many there are.
    pub packets: u64,
    /// How many of them start a random-access point.
    pub keys: u64,
    /// Presentation times, ascending, without repetition and without what is not to be shown.
    pub instants: Vec<i64>,
    /// After the last picture.
    pub end: i64,
    /// DTS never goes back and every packet has a PTS.
    pub monotonic: bool,
    /// Thinned, by PTS.
    pub random_access: Vec<RandomAccess>,
}

impl Scan {
    /// Reads all packets of `stream` from where `input` stands.
    pub(crate) fn read(
        input: &mut Input,
        stream: u32,
        time_base: Rational,
        budget: &Budget,
    ) -> Outcome<Self> {
        let mut scan = Self { monotonic: true, end: i64::MIN, ..Self::default() };
        let one = input.format() == MOVIE_FORMAT;
        let mut clock = Clock { one, ..Clock::default() };
        while let Some(packet) = input.read()? {
            if packet.stream() == stream as usize && packet.size() > 0 {
                scan.add(&packet, &mut clock);
            }
            // Fields are packets of their own in some containers.
            if scan.packets / 2 > budget.frames_max {
                return Err(failure(
                    FailureCode::TooManyFrames,
                    format!("The video has more than {} frames.", budget.frames_max),
                ));
            }
        }
        scan.instants.sort_unstable();
        scan.instants.dedup();
        scan.random_access.sort_by_key(|point| point.pts);
        scan.random_access = thin(&scan.random_access, time_base);
        Ok(scan)
    }

    /// When the first picture is shown.
    pub(crate) fn start(&self) -> i64 {
        self.instants.first().copied().unwrap_or(0)
    }

    /// Largest distance between neighbouring pictures.
    pub(crate) fn largest_gap(&self) -> i64 {
        self.instants.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap_or(0)
    }

    /// Pictures per second, from first to last; `None` for fewer than two.
    pub(crate) fn frame_rate(&self, time_base: Rational) -> Option<Rational> {
        let (first, last) = (self.instants.first()?, self.instants.last()?);
        let steps = i64::try_from(self.instants.len()).ok()? - 1;
        let span = last.checked_sub(*first).filter(|span| *span > 0)?;
        let (num, den) = (steps.checked_mul(time_base.den)?, span.checked_mul(time_base.num)?);
        let divisor = greatest_common_divisor(num, den);
        Some(Rational::new(num / divisor, den / divisor))
    }

    fn add(&mut self, packet: &Packet, clock: &mut Clock) {
        self.packets += 1;
        let back = clock.tick(packet);
        let shift = |time: Option<i64>| time.map(|time| time.saturating_add(clock.shift));
        let (pts, dts) = (shift(packet.pts()), shift(packet.dts()));
        if back || pts.is_none() {
            self.monotonic = false;
        }
        let Some(instant) = pts.or(dts) else { return };
        if is_hidden(packet) {
            return;
        }
        self.instants.push(instant);
        self.end = self.end.max(instant.saturating_add(packet.duration().max(1)));
        if packet.flags().contains(Flags::KEY) {
            self.keys += 1;
            if let Some(pts) = pts {
                self.random_access.push(RandomAccess { pts, dts: dts.unwrap_or(pts) });
            }
        }
    }
}

/// Follows the decode times, also where they start anew (recordings put one after the other).
#[derive(Debug, Default)]
struct Clock {
    last: Option<i64>,
    /// In an MP4 that goes back, edits overlap: there is one clock.
    one: bool,
    /// Added to all times since the last new start.
    shift: i64,
}

impl Clock {
    /// Whether time went back with this packet.
    fn tick(&mut self, packet: &Packet) -> bool {
        let Some(dts) = packet.dts() else { return false };
        let Some(last) = self.last.replace(dts) else { return false };
        let step = packet.duration().max(1);
        if !self.one && dts < last.saturating_sub(step.saturating_mul(RESTART_FRAMES)) {
            let restart = last.saturating_add(step).saturating_sub(dts);
            self.shift = self.shift.saturating_add(restart);
        }
        dts < last
    }
}

/// Decoded, but not to be shown (edit lists).
fn is_hidden(packet: &Packet) -> bool {
    packet.flags().bits() & ffmpeg_next::ffi::AV_PKT_FLAG_DISCARD != 0
}

/// All points of the first seconds, then some.
fn thin(points: &[RandomAccess], time_base: Rational) -> Vec<RandomAccess> {
    let Some(first) = points.first() else { return Vec::new() };
    let dense = first.pts.saturating_add(time_base.ticks(DENSE_SECONDS));
    let sparse = time_base.ticks(SPARSE_SECONDS);
    let mut kept: Vec<RandomAccess> = Vec::new();
    for point in points {
        let wanted = kept.last().is_none_or(|last| {
            point.pts > last.pts
                && (point.pts <= dense || point.pts >= last.pts.saturating_add(sparse))
        });
        if wanted {
            kept.push(*point);
        }
    }
    kept
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.max(1), b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_access_points_are_dense_first_and_sparse_later() {
        let points: Vec<RandomAccess> =
            (0..40).map(|second| RandomAccess { pts: second, dts: second - 1 }).collect();
        let kept: Vec<i64> =
            thin(&points, Rational::new(1, 1)).iter().map(|point| point.pts).collect();
        assert_eq!(kept, [&(0..=12).collect::<Vec<_>>()[..], &[16, 20, 24, 28, 32, 36]].concat());
    }

    #[test]
    fn the_frame_rate_is_measured_from_first_to_last() {
        let scan = Scan { instants: (0..31).map(|i| i * 3003).collect(), ..Scan::default() };
        let rate = scan.frame_rate(Rational::new(1, 90_000)).unwrap();
        assert_eq!((rate.num, rate.den), (30_000, 1001));
        assert_eq!(Scan::default().frame_rate(Rational::new(1, 1)), None);
    }
}
