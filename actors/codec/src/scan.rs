//! Reads all packets of the picture and the audio tracks without decoding: their times, where decoding can start, and where the clock of
//! the file steps.
//!
//! Invariants: every number comes from packets, none from a header. The frame budget bounds memory.

use ffmpeg_next::Packet;
use ffmpeg_next::packet::Flags;
use jetreel_domain::codec::discontinuity::ClockStep;
use jetreel_domain::codec::joint::joints;
use jetreel_domain::codec::jump::STEPS_MAX;
use jetreel_domain::codec::lasting::{self, Lasting, Shown};
use jetreel_domain::codec::misplaced;
use jetreel_domain::codec::pace::BEHIND_SECONDS_MAX;
use jetreel_domain::codec::preroll;
use jetreel_domain::codec::preroll::Distances;
use jetreel_domain::codec::wire::Budget;
use jetreel_domain::plan::media::RandomAccess;
use jetreel_domain::plan::rational::Rational;
use jetreel_domain::words::reason::OverLimit;

use crate::clocks::Clocks;
use crate::failure::{Outcome, failure};
use crate::input::Input;
use crate::joint::{PICTURES_MIN, Wait};
use crate::points;
use crate::preroll::is_hidden;
use crate::roster::Roster;
use crate::silence::{self, Interval};

/// Audio that pauses for longer than this does not accompany a standing picture. In seconds.
const PAUSE_SECONDS: f64 = 5.0;
/// Most pauses of an audio track that are kept. Further ones count as audio.
const PAUSES_MAX: usize = 4096;
/// Duration in seconds of an audio packet that declares none.
const SOUND_PACKET_SECONDS: f64 = 0.02;

/// A track to scan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Track {
    /// Index of the stream.
    pub stream: u32,
    /// Seconds per tick.
    pub time_base: Rational,
}

/// Parameters of a scan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// The picture track, then the audio tracks.
    pub tracks: &'a [Track],
    /// Duration in seconds of a picture whose packet declares none.
    pub frame_seconds: f64,
    /// Whether an index gives the order and times of the packets. Then there is one clock, and packets may be in the file in any order.
    pub indexed: bool,
    /// Whether times are partly guessed. Then they do not show how recordings overlap.
    pub guessed: bool,
    /// Streams that continue no track.
    pub apart: &'a [u32],
}

/// Results of a scan.
pub(crate) struct Scan {
    pub picture: Picture,
    /// The audio tracks, in the order of the request.
    pub sound: Vec<Sound>,
    /// Intervals with audio, in seconds.
    pub heard: Vec<Interval>,
    /// Number of streams that begin in the middle of the file and continue no track.
    pub latecomers: u32,
    /// Streams that were wrongly assigned to a track. Scan again with them apart.
    pub clashes: Vec<u32>,
    /// Audio tracks whose times step too often, which may have moved the others. Scan again without them.
    pub wild: Vec<u32>,
    /// Position of the last packet in the file, in bytes.
    pub last_byte: u64,
}

/// Facts from the packets of the picture track. All times are on the continuous clock.
#[derive(Debug, Default)]
pub(crate) struct Picture {
    /// Number of packets.
    pub packets: u64,
    /// Number of packets that begin a random-access point.
    pub keys: u64,
    /// Presentation times, ascending, without repetition and without pictures that are not shown.
    pub instants: Vec<i64>,
    /// End of the last picture.
    pub end: i64,
    /// Whether DTS never goes back and every packet has a PTS.
    pub monotonic: bool,
    /// Selected random-access points by PTS.
    pub random_access: Vec<RandomAccess>,
    /// Longest time without a new picture and without audio, in ticks.
    pub silent_gap: i64,
    /// Durations of the pictures.
    pub lasting: Lasting,
    /// Streams that continue the track in the middle of the file.
    pub continued: Vec<u32>,
    pub clock: Vec<ClockStep>,
    /// Number of pictures that are not shown: their times do not fit between those of their neighbours, or they are only needed to decode
    /// later ones.
    pub misplaced: usize,
}

/// Facts from the packets of an audio track.
#[derive(Default)]
pub(crate) struct Sound {
    /// Number of packets.
    pub packets: u64,
    /// Start of the first packet. Meaningless without packets.
    pub start: i64,
    /// End of the last packet.
    pub end: i64,
    /// Ticks by which the first packet was moved.
    pub moved: i64,
    /// Streams that continue the track in the middle of the file.
    pub continued: Vec<u32>,
    pub clock: Vec<ClockStep>,
    pub last: Option<Packet>,
}

impl Scan {
    /// Reads all packets from the current position of `input`.
    pub(crate) fn read(input: &mut Input, request: &Request<'_>, budget: &Budget) -> Outcome<Self> {
        let tracks = request.tracks;
        let mut walk = Walk::new(tracks, request.frame_seconds, request.indexed);
        let mut roster = Roster::new(input, tracks, request.apart)?;
        let mut last: Vec<Option<Packet>> = tracks.iter().map(|_| None).collect();
        while let Some(packet) = input.read()? {
            let track = roster.track(input, &packet)?;
            if let Some(track) = track.filter(|_| packet.size() > 0) {
                walk.add(track, &packet);
                last[track] = Some(packet);
            }
            // In some containers fields are separate packets.
            if walk.clocks.packets(0) / 2 > budget.frames_max {
                return Err(failure(OverLimit::Frames { limit: budget.frames_max }));
            }
        }
        let mut scan = walk.finish(request.guessed);
        let sound = tracks.iter().skip(1).zip(&scan.sound);
        let wild = sound.filter(|(_, sound)| sound.clock.len() > STEPS_MAX);
        let wild: Vec<u32> = wild.map(|(track, _)| track.stream).collect();
        if wild.is_empty() && scan.picture.clock.len() > STEPS_MAX {
            return Err(failure(OverLimit::ClockSteps { limit: STEPS_MAX }));
        }
        let clashes = roster.clashes();
        let mut continued = roster.continued.into_iter();
        scan.picture.continued = continued.next().unwrap_or_default();
        let last = last.into_iter().skip(1);
        for ((sound, continued), last) in scan.sound.iter_mut().zip(continued).zip(last) {
            (sound.continued, sound.last) = (continued, last);
        }
        Ok(Self { latecomers: roster.left_out, clashes, wild, ..scan })
    }
}

impl Picture {
    /// Time of the first picture.
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
}

/// A scan in progress.
struct Walk {
    clocks: Clocks,
    tracks: Vec<Record>,
    keys: u64,
    monotonic: bool,
}

/// Facts of a track.
struct Record {
    time_base: Rational,
    /// Parts of the track between two steps of the clock, with the container's own times.
    stretches: Vec<Stretch>,
    pauses: usize,
    /// Ticks by which the first packet is moved.
    moved: i64,
}

/// A part of a track with one clock.
#[derive(Debug, Default)]
struct Stretch {
    /// The jump that begins it; `None` for the first.
    jump: Option<usize>,
    /// Whether another recording begins with it.
    joined: bool,
    start: Option<i64>,
    end: i64,
    /// Only for pictures: those to be shown.
    shown: Vec<Shown>,
    /// Only for pictures: random-access points with their indices in `shown`; `None` if the picture is hidden.
    random_access: Vec<(Option<usize>, RandomAccess)>,
    /// Only for audio: from the end of a packet to the beginning of the next.
    pauses: Vec<(i64, i64)>,
}

impl Stretch {
    fn after(jump: Option<usize>) -> Self {
        Self { jump, end: i64::MIN, ..Self::default() }
    }

    /// Drops pictures before the first key picture of a recording, which cannot be shown. `wait`: no key picture came yet.
    fn drop_before_key(&mut self, wait: &mut Option<Wait>, time_base: Rational) {
        if let Some(first) = self.shown.first().filter(|_| self.joined) {
            *wait = Some(Wait::new(first.at, time_base));
        }
        let Some(waits) = *wait else { return };
        let key = self.random_access.iter().find_map(|(place, _)| *place);
        let ends = |(index, shown): (usize, &Shown)| {
            waits.ends(key.is_some_and(|key| index >= key), shown.at)
        };
        let begin = self.shown.iter().enumerate().position(ends);
        if begin.is_some() {
            *wait = None;
        }
        let begin = begin.unwrap_or(self.shown.len());
        self.shown.drain(..begin);
        for (place, _) in &mut self.random_access {
            *place = place.map(|place| place.saturating_sub(begin));
        }
    }
}

impl Walk {
    fn new(tracks: &[Track], frame_seconds: f64, single: bool) -> Self {
        let seconds = |index| if index == 0 { frame_seconds } else { SOUND_PACKET_SECONDS };
        let clocks: Vec<(Rational, f64)> =
            tracks.iter().enumerate().map(|(index, t)| (t.time_base, seconds(index))).collect();
        let record = |track: &Track| Record {
            time_base: track.time_base,
            stretches: vec![Stretch::after(None)],
            pauses: 0,
            moved: 0,
        };
        Self {
            clocks: Clocks::new(&clocks, single),
            tracks: tracks.iter().map(record).collect(),
            keys: 0,
            monotonic: true,
        }
    }

    fn add(&mut self, track: usize, packet: &Packet) {
        let lasts = self.clocks.lasts(track, packet);
        let Some(observed) = self.clocks.observe(track, packet) else { return };
        let record = &mut self.tracks[track];
        if observed.jump.is_some() {
            record.stretches.push(Stretch::after(observed.jump));
        }
        if track == 0 {
            self.monotonic &= !observed.back && packet.pts().is_some();
        }
        let Some(instant) = packet.pts().or_else(|| packet.dts()) else { return };
        let Some(stretch) = record.stretches.last_mut() else { return };
        if track == 0 && packet.flags().contains(Flags::KEY) {
            self.keys += 1;
            // Decoding can start at a hidden picture too: pictures shown after it may need it.
            if let Some(pts) = packet.pts() {
                let dts = packet.dts().unwrap_or(pts);
                let place = (!is_hidden(packet)).then_some(stretch.shown.len());
                stretch.random_access.push((place, RandomAccess { pts, dts }));
            }
        }
        if is_hidden(packet) {
            return;
        }
        if track > 0 {
            let pause = record.time_base.ticks(PAUSE_SECONDS);
            let pauses = stretch.start.is_some() && instant.saturating_sub(stretch.end) > pause;
            if pauses && record.pauses < PAUSES_MAX {
                record.pauses += 1;
                stretch.pauses.push((stretch.end, instant));
            }
        } else {
            stretch.shown.push(Shown { at: instant, told: packet.duration().max(0) });
        }
        stretch.start = Some(stretch.start.map_or(instant, |start| start.min(instant)));
        stretch.end = stretch.end.max(instant.saturating_add(lasts));
    }

    fn finish(mut self, guessed: bool) -> Scan {
        let shifts = self.clocks.shifts();
        let mut clocks = Vec::new();
        for record in &mut self.tracks {
            clocks.push(record.shift(&shifts, &self.clocks));
        }
        let heard = silence::merged(self.tracks.iter().skip(1).flat_map(Record::heard).collect());
        let mut clocks = clocks.into_iter();
        let mut records = self.tracks.into_iter();
        let mut picture = Picture {
            packets: self.clocks.packets(0),
            keys: self.keys,
            monotonic: self.monotonic,
            clock: clocks.next().unwrap_or_default(),
            ..Picture::default()
        };
        if let Some(record) = records.next() {
            picture.collect(record, &heard, &self.clocks, guessed);
        }
        let sound = records.zip(clocks).zip(1..).map(|((record, clock), track)| Sound {
            packets: self.clocks.packets(track),
            continued: Vec::new(),
            start: record.stretches.iter().filter_map(|part| part.start).min().unwrap_or(0),
            end: record.stretches.iter().map(|part| part.end).max().unwrap_or(0),
            moved: record.moved,
            clock,
            last: None,
        });
        let sound = sound.collect();
        let last_byte = self.clocks.last_byte();
        let (clashes, wild) = (Vec::new(), Vec::new());
        Scan { picture, sound, heard, latecomers: 0, clashes, wild, last_byte }
    }
}

impl Picture {
    /// `guessed`: times are partly guessed.
    fn collect(&mut self, record: Record, heard: &[Interval], clocks: &Clocks, guessed: bool) {
        let nominal = clocks.nominal(0);
        let (mut shown, mut random_access) = (Vec::new(), Vec::new());
        let mut wait = None;
        for mut stretch in record.stretches {
            stretch.drop_before_key(&mut wait, record.time_base);
            let first = shown.len();
            let placed = |(place, point): (Option<usize>, _)| (place.map(|at| first + at), point);
            random_access.extend(stretch.random_access.into_iter().map(placed));
            shown.extend(stretch.shown);
        }
        let times: Vec<i64> = shown.iter().map(|shown| shown.at).collect();
        let keys: Vec<usize> = random_access.iter().filter_map(|(place, _)| *place).collect();
        let usual = lasting::usual(&times, record.time_base).unwrap_or(nominal);
        let distances = (!guessed).then(|| Distances::new(usual, record.time_base));
        let wild = self.left_out(&times, &keys, record.time_base, distances);
        let wild = |index: usize| wild.binary_search(&index).is_ok();
        random_access.retain(|(place, _)| !place.is_some_and(wild));
        self.random_access = random_access.into_iter().map(|(_, point)| point).collect();
        let fitting = (0..shown.len()).filter(|index| !wild(*index)).map(|index| shown[index]);
        let mut fitting: Vec<Shown> = fitting.collect();
        fitting.sort_unstable();
        let last = lasting::last(&fitting, clocks.is_single(), record.time_base);
        self.lasting = Lasting { usual, last: last.unwrap_or(0) };
        let told = |shown: &Shown| if shown.told > 0 { shown.told } else { nominal };
        let ends = fitting.iter().map(|shown| shown.at.saturating_add(told(shown)));
        let by_distance =
            last.zip(fitting.last()).map(|(ticks, last)| last.at.saturating_add(ticks));
        self.end = by_distance.or_else(|| ends.max()).unwrap_or(i64::MIN);
        self.instants = fitting.iter().map(|shown| shown.at).collect();
        self.instants.dedup();
        self.random_access.sort_by_key(|point| point.pts);
        self.random_access = points::thin(&self.random_access, record.time_base);
        let seconds = |tick: i64| record.time_base.seconds(tick);
        let gaps = self.instants.windows(2).map(|pair| (seconds(pair[0]), seconds(pair[1])));
        let gaps = gaps.filter(|(from, to)| to - from > PAUSE_SECONDS);
        let silent = gaps.map(|gap| silence::longest(gap, heard)).fold(0.0, f64::max);
        self.silent_gap = record.time_base.ticks(silent);
    }
}

impl Picture {
    /// Indices of pictures that are not shown, ascending.
    fn left_out(
        &mut self,
        times: &[i64],
        keys: &[usize],
        time_base: Rational,
        distances: Option<Distances>,
    ) -> Vec<usize> {
        let hidden = |distances| preroll::hidden(times, keys, distances);
        let (overlaps, hidden) = distances.map_or((false, Vec::new()), hidden);
        let others: Vec<usize> =
            (0..times.len()).filter(|place| hidden.binary_search(place).is_err()).collect();
        let slack = if overlaps { time_base.ticks(BEHIND_SECONDS_MAX) } else { 0 };
        let fitting: Vec<i64> = others.iter().map(|place| times[*place]).collect();
        let misplaced = misplaced::misplaced(&fitting, slack);
        self.misplaced = hidden.len() + misplaced.ahead.len() + misplaced.behind;
        // Overlapping recordings are decoded in one go.
        self.monotonic &= !overlaps;
        let ahead = misplaced.ahead.into_iter().map(|place| others[place]);
        let mut left_out: Vec<usize> = hidden.into_iter().chain(ahead).collect();
        left_out.sort_unstable();
        left_out
    }
}

impl Record {
    /// Moves all times to one continuous clock. Returns the steps.
    fn shift(&mut self, shifts: &[f64], clocks: &Clocks) -> Vec<ClockStep> {
        let mut steps = Vec::new();
        let mut begun = self.stretches.first().is_some_and(|first| first.start.is_some());
        for stretch in &mut self.stretches {
            let Some(jump) = stretch.jump else { continue };
            let seconds = shifts.get(jump).copied().unwrap_or(0.0);
            let shift = self.time_base.ticks(seconds);
            steps.push(ClockStep { byte: clocks.byte(jump), shift });
            stretch.shift(shift);
            if !begun && stretch.start.is_some() {
                (begun, self.moved) = (true, shift);
            }
        }
        // Steps that do not change the clock are left out.
        let mut current = 0;
        steps.retain(|step| std::mem::replace(&mut current, step.shift) != step.shift);
        let joints = joints(&steps);
        let mut pictures = 0;
        for stretch in &mut self.stretches {
            let byte = stretch.jump.map(|jump| clocks.byte(jump));
            let begins = byte.is_some_and(|byte| joints.binary_search(&byte).is_ok());
            stretch.joined = begins && pictures >= PICTURES_MIN;
            pictures = stretch.shown.len() + if begins { 0 } else { pictures };
        }
        steps
    }

    /// Intervals with audio in seconds.
    fn heard(&self) -> Vec<(f64, f64)> {
        let mut heard = Vec::new();
        for stretch in &self.stretches {
            let Some(mut from) = stretch.start else { continue };
            let last = (stretch.end, stretch.end);
            for (end, next) in stretch.pauses.iter().copied().chain([last]) {
                heard.push((self.time_base.seconds(from), self.time_base.seconds(end)));
                from = next;
            }
        }
        heard
    }
}

impl Stretch {
    fn shift(&mut self, shift: i64) {
        let moved = |time: &mut i64| *time = time.saturating_add(shift);
        self.start.iter_mut().for_each(moved);
        self.shown.iter_mut().for_each(|shown| moved(&mut shown.at));
        self.random_access.iter_mut().for_each(|(_, point)| moved(&mut point.pts));
        self.pauses.iter_mut().for_each(|(from, to)| {
            moved(from);
            moved(to);
        });
        // Without packets there is no end to move.
        if self.start.is_some() {
            moved(&mut self.end);
        }
    }
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.max(1), b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
