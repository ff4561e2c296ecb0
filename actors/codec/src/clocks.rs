//! The decode times of several tracks through a file, and where one does not go on from where it was.
//!
//! Invariant: memory and time are bounded: by the steps and the jumps that are kept.

use ffmpeg_next::Packet;
use jetreel_domain::codec::discontinuity::{Extent, shifts};
use jetreel_domain::codec::jump::AGREE_SECONDS;
use jetreel_domain::codec::jump::FORWARD_SECONDS_MIN;
use jetreel_domain::codec::jump::Jump;
use jetreel_domain::codec::jump::Kind;
use jetreel_domain::codec::jump::LEAP_SECONDS_MIN;
use jetreel_domain::codec::jump::STEPS_MAX;
use jetreel_domain::plan::rational::Rational;

use crate::offsets::Place;

/// A decode time that goes back by more packets than this is a clock that started anew, not a packet out of order.
const RESTART_PACKETS: i64 = 5;
/// The same in seconds, for tracks whose packets are short.
const RESTART_SECONDS: f64 = 0.1;

/// A longer distance between two packets says little about how much of the file was read.
const ADVANCE_SECONDS_MAX: f64 = 1.0;

/// Jumps of all tracks that are kept; later packets are taken to go on. A joint of a recording makes about one for each of its tracks.
const JUMPS_MAX: usize = 16 * STEPS_MAX;

/// Packets of a track that may follow a step of another one; further ones are taken to go on by their clock.
const LOOSE_MAX: usize = 1024;
/// Leaps of all tracks that are kept; further ones are taken for breaks.
const LEAPS_MAX: usize = 4 * STEPS_MAX;
/// Packets at the beginning that Matroska leaves without a decode time: as many as a decoder may hold back (16 in H.264 and HEVC).
const LEADING_MAX: u64 = 16;

/// The clocks of the tracks of a file.
pub(crate) struct Clocks {
    tracks: Vec<Track>,
    jumps: Vec<Jump>,
    leaps: usize,
    /// Seconds of media read so far: what the track that got farthest has advanced, jumps not counted.
    advanced: f64,
    /// A file whose demuxer keeps one clock (MP4 has an index, AVI counts) has no jumps.
    single: bool,
}

/// One track on its way.
#[derive(Debug, Clone)]
struct Track {
    time_base: Rational,
    /// Ticks of a packet that does not say how long it lasts.
    nominal: i64,
    /// Decode time of the last packet.
    last: Option<i64>,
    /// A packet had a decode time.
    decodes: bool,
    /// Ticks that the last packet lasts.
    step: i64,
    advanced: f64,
    /// [`Clocks::advanced`] at the last packet.
    seen: f64,
    steps: usize,
    loose: usize,
    /// Jumps, of whatever track, before the last packet.
    noticed: usize,
    extent: Extent,
    place: Place,
}

/// What a packet is to its track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Observed {
    /// The jump that begins with it: an index into the result of [`Clocks::shifts`].
    pub jump: Option<usize>,
    /// Its decode time lies before its predecessor's.
    pub back: bool,
}

impl Clocks {
    /// Tracks by time base and by the seconds that a packet lasts which does not say so.
    pub(crate) fn new(tracks: &[(Rational, f64)], single: bool) -> Self {
        let track = |(time_base, nominal): &(Rational, f64)| Track {
            time_base: *time_base,
            nominal: time_base.ticks(*nominal).max(1),
            last: None,
            decodes: false,
            step: 0,
            advanced: 0.0,
            seen: 0.0,
            steps: 0,
            loose: 0,
            noticed: 0,
            extent: Extent::default(),
            place: Place::default(),
        };
        let tracks = tracks.iter().map(track).collect();
        Self { tracks, jumps: Vec::new(), leaps: 0, advanced: 0.0, single }
    }

    /// Ticks that a packet of `track` lasts.
    pub(crate) fn lasts(&self, track: usize, packet: &Packet) -> i64 {
        if packet.duration() > 0 { packet.duration() } else { self.tracks[track].nominal }
    }

    /// Whether the order and times of the packets come from an index.
    pub(crate) fn is_single(&self) -> bool {
        self.single
    }

    /// Ticks of a packet of `track` that does not say how long it lasts.
    pub(crate) fn nominal(&self, track: usize) -> i64 {
        self.tracks[track].nominal
    }

    /// Takes the next packet of the file, which belongs to `track`. `None` for a late one, which is of no use.
    pub(crate) fn observe(&mut self, track: usize, packet: &Packet) -> Option<Observed> {
        let tracks = self.tracks.len();
        let step = self.lasts(track, packet);
        let own = &mut self.tracks[track];
        own.extent.packets += 1;
        let (_, late) = own.place.of(packet);
        // Where an index keeps the order, the chunks may lie in the file in any.
        if late && !self.single {
            return None;
        }
        own.extent.last_byte = own.place.furthest();
        let Some(time) = packet.dts().or_else(|| packet.pts()) else {
            return Some(Observed { jump: None, back: false });
        };
        let last = own.last;
        // Before the first decode time there are presentation times alone, which go up and down, and it follows none of them.
        let judged = own.decodes || last.is_none() || own.extent.packets > LEADING_MAX;
        own.decodes |= packet.dts().is_some();
        let before = last.map(|last| last.saturating_add(own.step));
        let noticed = own.noticed;
        let observed = !self.single && self.jumps.len() < JUMPS_MAX;
        let kind = if observed && judged { self.kind(track, time) } else { Kind::GoesOn };
        // Also what goes on is of interest where another track steps.
        let missed = || self.jumps[noticed..].iter().any(Jump::is_step);
        let jumps = kind != Kind::GoesOn || observed && missed();
        let clocks = if jumps { self.clocks() } else { Vec::new() };
        let own = &mut self.tracks[track];
        let goes_on = matches!(kind, Kind::GoesOn | Kind::Leap);
        let since = std::mem::replace(&mut own.noticed, self.jumps.len());
        for jump in &mut self.jumps[since..] {
            jump.goes_on[track] = goes_on && jump.track != track;
        }
        if let Some(last) = last.filter(|_| kind != Kind::Step) {
            let advance = own.time_base.seconds(time.saturating_sub(last));
            own.advanced += advance.clamp(0.0, ADVANCE_SECONDS_MAX);
        }
        (own.last, own.step) = (Some(time), step);
        self.advanced = self.advanced.max(own.advanced);
        own.seen = self.advanced;
        let jump = jumps.then(|| {
            own.steps += usize::from(kind == Kind::Step);
            own.loose += usize::from(kind == Kind::Loose);
            self.leaps += usize::from(kind == Kind::Leap);
            self.jumps.push(Jump {
                track,
                byte: own.extent.last_byte,
                before: before.map_or(f64::NEG_INFINITY, |before| own.time_base.seconds(before)),
                after: own.time_base.seconds(time),
                kind,
                since,
                clocks,
                goes_on: vec![false; tracks],
            });
            self.jumps.len() - 1
        });
        Some(Observed { jump, back: judged && last.is_some_and(|last| time < last) })
    }

    fn kind(&self, track: usize, time: i64) -> Kind {
        let own = &self.tracks[track];
        let steps = own.last.is_some_and(|last| own.steps_to(last, time));
        let was_away = self.advanced - own.seen >= AGREE_SECONDS;
        let loose = || was_away || own.last.is_none_or(|last| time < last);
        // One more than are allowed tells that there are too many.
        if steps && own.steps <= STEPS_MAX {
            Kind::Step
        } else if own.loose < LOOSE_MAX && loose() {
            Kind::Loose
        } else if self.leaps < LEAPS_MAX && own.last.is_some_and(|last| own.leaps_to(last, time)) {
            Kind::Leap
        } else {
            Kind::GoesOn
        }
    }

    /// Of every jump, the seconds to add to its track's times from there on.
    pub(crate) fn shifts(&self) -> Vec<f64> {
        let extents: Vec<Extent> = self.tracks.iter().map(|track| track.extent).collect();
        shifts(&self.jumps, &extents)
    }

    /// Where a jump lies in the file.
    pub(crate) fn byte(&self, jump: usize) -> u64 {
        self.jumps.get(jump).map_or(0, |jump| jump.byte)
    }

    /// Packets of a track.
    pub(crate) fn packets(&self, track: usize) -> u64 {
        self.tracks[track].extent.packets
    }

    /// Where the last packet of all tracks lies in the file.
    pub(crate) fn last_byte(&self) -> u64 {
        self.tracks.iter().map(|track| track.extent.last_byte).max().unwrap_or(0)
    }

    fn clocks(&self) -> Vec<Option<f64>> {
        let fresh = |track: &Track| self.advanced - track.seen < AGREE_SECONDS;
        let clock = |track: &Track| {
            let last = track.last.filter(|_| fresh(track))?;
            Some(track.time_base.seconds(last))
        };
        self.tracks.iter().map(clock).collect()
    }
}

impl Track {
    fn steps_to(&self, last: i64, time: i64) -> bool {
        let slack = self.step.saturating_mul(RESTART_PACKETS);
        let slack = slack.max(self.time_base.ticks(RESTART_SECONDS));
        time < last.saturating_sub(slack) || self.ahead(last, time) > FORWARD_SECONDS_MIN
    }

    fn leaps_to(&self, last: i64, time: i64) -> bool {
        self.ahead(last, time) > LEAP_SECONDS_MIN
    }

    /// Seconds by which a packet comes later than it was due.
    fn ahead(&self, last: i64, time: i64) -> f64 {
        let due = last.saturating_add(self.step);
        self.time_base.seconds(time.saturating_sub(due))
    }
}
