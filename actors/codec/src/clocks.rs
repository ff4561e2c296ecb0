//! Decode times of several tracks through a file, with the jumps of each clock.
//!
//! Invariant: the numbers of kept steps and jumps bound memory and time.

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

/// Packets by which a decode time must go back to count as a restart of the clock, and not as a packet out of order.
const RESTART_PACKETS: i64 = 5;
/// The same in seconds, for tracks with short packets.
const RESTART_SECONDS: f64 = 0.1;

/// A longer distance between two packets says little about how much of the file was read.
const ADVANCE_SECONDS_MAX: f64 = 1.0;

/// Most jumps of all tracks that are kept. Later packets count as continuing. A joint causes about one jump per track.
const JUMPS_MAX: usize = 16 * STEPS_MAX;

/// Most packets of a track that may follow a step of another one. Further ones count as continuing on their clock.
const LOOSE_MAX: usize = 1024;
/// Most leaps of all tracks that are kept. Further ones count as pauses.
const LEAPS_MAX: usize = 4 * STEPS_MAX;
/// Packets at the beginning that Matroska leaves without a decode time: as many as a decoder may hold back (16 in H.264 and HEVC).
const LEADING_MAX: u64 = 16;

/// The clocks of the tracks of a file.
pub(crate) struct Clocks {
    tracks: Vec<Track>,
    jumps: Vec<Jump>,
    leaps: usize,
    /// Seconds of media read so far: the advance of the farthest track, without jumps.
    advanced: f64,
    /// Whether the demuxer keeps one clock (MP4 has an index, AVI counts). Such a file has no jumps.
    single: bool,
}

/// One track on its way.
#[derive(Debug, Clone)]
struct Track {
    time_base: Rational,
    /// Duration in ticks of a packet that declares none.
    nominal: i64,
    /// Decode time of the last packet.
    last: Option<i64>,
    /// Whether any packet had a decode time.
    decodes: bool,
    /// Duration of the last packet in ticks.
    step: i64,
    advanced: f64,
    /// [`Clocks::advanced`] at the last packet.
    seen: f64,
    steps: usize,
    loose: usize,
    /// Number of jumps of any track before the last packet.
    noticed: usize,
    extent: Extent,
    place: Place,
}

/// Result of observing a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Observed {
    /// The jump that begins with it: an index into the result of [`Clocks::shifts`].
    pub jump: Option<usize>,
    /// Whether its decode time precedes its predecessor's.
    pub back: bool,
}

impl Clocks {
    /// Tracks by time base and by the duration, in seconds, of a packet that declares none.
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

    /// Duration of a packet of `track` in ticks.
    pub(crate) fn lasts(&self, track: usize, packet: &Packet) -> i64 {
        if packet.duration() > 0 { packet.duration() } else { self.tracks[track].nominal }
    }

    /// Whether an index gives the order and times of the packets.
    pub(crate) fn is_single(&self) -> bool {
        self.single
    }

    /// Duration in ticks of a packet of `track` that declares none.
    pub(crate) fn nominal(&self, track: usize) -> i64 {
        self.tracks[track].nominal
    }

    /// Observes the next packet of the file, which belongs to `track`. `None` for a late one, which is useless.
    pub(crate) fn observe(&mut self, track: usize, packet: &Packet) -> Option<Observed> {
        let tracks = self.tracks.len();
        let step = self.lasts(track, packet);
        let own = &mut self.tracks[track];
        own.extent.packets += 1;
        let (_, late) = own.place.of(packet);
        // If an index keeps the order, the chunks may be in the file in any order.
        if late && !self.single {
            return None;
        }
        own.extent.last_byte = own.place.furthest();
        let Some(time) = packet.dts().or_else(|| packet.pts()) else {
            return Some(Observed { jump: None, back: false });
        };
        let last = own.last;
        // Before the first decode time there are only presentation times, which go up and down.
        let judged = own.decodes || last.is_none() || own.extent.packets > LEADING_MAX;
        own.decodes |= packet.dts().is_some();
        let before = last.map(|last| last.saturating_add(own.step));
        let noticed = own.noticed;
        let observed = !self.single && self.jumps.len() < JUMPS_MAX;
        let kind = if observed && judged { self.kind(track, time) } else { Kind::GoesOn };
        // A continuing packet matters too if another track steps.
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
        // One more than allowed shows that there are too many.
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

    /// For every jump, the seconds to add to its track's times from there on.
    pub(crate) fn shifts(&self) -> Vec<f64> {
        let extents: Vec<Extent> = self.tracks.iter().map(|track| track.extent).collect();
        shifts(&self.jumps, &extents)
    }

    /// Position of a jump in the file, in bytes.
    pub(crate) fn byte(&self, jump: usize) -> u64 {
        self.jumps.get(jump).map_or(0, |jump| jump.byte)
    }

    /// Number of packets of a track.
    pub(crate) fn packets(&self, track: usize) -> u64 {
        self.tracks[track].extent.packets
    }

    /// Position of the last packet of all tracks, in bytes.
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

    /// Seconds by which a packet is later than expected.
    fn ahead(&self, last: i64, time: i64) -> f64 {
        let due = last.saturating_add(self.step);
        self.time_base.seconds(time.saturating_sub(due))
    }
}
