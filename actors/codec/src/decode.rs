//! Source frames in ascending presentation order, with damage counted and bounded.
//!
//! Invariants: every frame has a timestamp greater than the last one. A decoder that reports errors forever ends in `TooDamaged`, never in
//! a loop. Frames that a decoder marks as corrupt count as frames, except at the very start of a recording.

use ffmpeg_next::frame::Video;
use ffmpeg_next::{Packet, ffi};
use jetreel_domain::codec::discontinuity::ClockStep;
use jetreel_domain::codec::lasting::Lasting;
use jetreel_domain::codec::pace::Pace;
use jetreel_domain::codec::preroll::Distances;
use jetreel_domain::codec::wire::{Budget, CodecFailure};
use jetreel_domain::plan::rational::Rational;
use jetreel_domain::words::reason::{ContentFault, OverLimit};
use sha2::{Digest as _, Sha256};

pub(crate) use crate::decoder::{Decoder, Pull};
use crate::doubt::{Doubt, Held};
use crate::facts;
use crate::failure::{Outcome, failure, failure_with, own_failure};
use crate::input::{Input, PROGRAM_STREAM_FORMAT};
use crate::joint::{Joints, Turn, WAIT_SECONDS};
use crate::offsets::Offsets;
use crate::packets::Packets;

/// The frames of one track of a source.
pub(crate) struct Frames {
    packets: Packets,
    decoder: Decoder,
    budget: Budget,
    /// Ticks after the last frame at which a frame without timestamp is placed.
    step: i64,
    last: Option<i64>,
    /// The decoder's timestamp of the last frame.
    told: Option<i64>,
    /// Seconds per tick.
    tick: f64,
    /// Packets after this DTS hold no frames that are needed.
    until: i64,
    ended: bool,
    /// Whether decoding began at the start of the source.
    whole: bool,
    /// Whether frames marked as corrupt are skipped up to the first intact one.
    skip_corrupt: bool,
    /// Errors of the decoder before the first intact frame. A cut recording begins in the middle of a group of pictures.
    head: u64,
    misplaced: u64,
    decoded: u64,
    /// The first packet after a seek, and its DTS by the container's own clock.
    ahead: Option<Packet>,
    /// Frames far after their predecessor, until later ones confirm their times.
    doubt: Doubt<Video>,
    /// The frame that confirmed or contradicted them.
    following: Option<Video>,
    /// Corrects times that may precede their predecessors': the container stamps one of several pictures, or recordings overlap. `None` if
    /// that cannot happen.
    pace: Option<Pace>,
    /// Whether a time was wild. libav then guesses all later times from the decode times.
    wild: bool,
    ahead_dts: Option<i64>,
    joints: Joints,
    /// The first packet of another recording, until the decoder has returned all pictures of the previous one.
    next_recording: Option<Packet>,
    /// Time after which frames are shown even if none of the recording was intact.
    recovers_by: Option<i64>,
    container_aspect: Option<Rational>,
}

/// Parameters of [`Frames::open`].
pub(crate) struct Track<'a> {
    /// Index of the stream.
    pub stream: u32,
    pub decoder_options: &'a [(String, String)],
    /// Frames per second, for frames without timestamps.
    pub frames_per_second: f64,
    /// Durations of its pictures.
    pub lasting: Lasting,
    /// Streams that continue it in the middle of the file.
    pub continued: &'a [u32],
    /// Steps of the container's clock.
    pub clock: &'a [ClockStep],
}

impl Frames {
    /// Opens the decoder of a track. Frames come from the start of the source, or from `seek`.
    pub(crate) fn open(
        mut input: Input,
        track: &Track<'_>,
        seek: Option<i64>,
        budget: &Budget,
    ) -> Outcome<Self> {
        input.only(&[track.stream]);
        let time_base = input.time_base(track.stream)?;
        let stream = input.stream(track.stream)?;
        let container_aspect = facts::container_aspect(&stream);
        let decoder = Decoder::open(&stream, time_base, track.decoder_options, budget)?;
        let tick = time_base.as_f64();
        if let Some(dts) = seek {
            input.seek(track.stream, dts)?;
        }
        let step = (1.0 / (track.frames_per_second.max(0.001) * tick)).round() as i64;
        let (step, offsets) = (step.max(1), Offsets::new(track.clock));
        let guessed = input.format() == PROGRAM_STREAM_FORMAT;
        let usual = if track.lasting.usual > 0 { track.lasting.usual } else { step };
        let distances = (!guessed).then(|| Distances::new(usual, time_base));
        let (stream, continued) = (track.stream, track.continued);
        let mut frames = Self {
            packets: Packets::new(input, stream, continued, offsets, distances),
            decoder,
            budget: *budget,
            step,
            last: None,
            told: None,
            tick,
            until: i64::MAX,
            ended: false,
            whole: seek.is_none(),
            skip_corrupt: seek.is_none(),
            head: 0,
            misplaced: 0,
            decoded: 0,
            ahead: None,
            doubt: Doubt::new(),
            following: None,
            pace: guessed.then(Pace::guessed),
            wild: false,
            ahead_dts: None,
            joints: Joints::new(track.clock, time_base, seek.is_none()),
            next_recording: None,
            recovers_by: None,
            container_aspect,
        };
        if seek.is_some() {
            (frames.ahead, frames.ahead_dts) = frames.packets.first()?;
            // Decoding begins with it, whichever recording it belongs to.
            if let Some(ahead) = &frames.ahead {
                frames.joints.take(ahead);
            }
        }
        Ok(frames)
    }

    /// Whether decoding begins at or before `dts` of the container's own clock. Some containers seek only roughly.
    pub(crate) fn begins_by(&self, dts: i64) -> bool {
        self.ahead.is_some() && self.ahead_dts.is_none_or(|first| first <= dts)
    }

    /// Stops feeding the decoder after this DTS.
    pub(crate) fn stop_after(&mut self, dts: i64) {
        self.until = dts;
    }

    /// Puts the next picture into `frame` and returns its timestamp; `None` after the last one.
    pub(crate) fn next(&mut self, frame: &mut Video) -> Outcome<Option<i64>> {
        loop {
            if let Some(held) = self.doubt.next() {
                check_span(held.pts.saturating_sub(held.before), self.tick, &self.budget)?;
                *frame = held.picture;
                return Ok(Some(held.pts));
            }
            if !self.pull(frame)? {
                if !self.doubt.any() {
                    return Ok(None);
                }
                self.doubt.settle();
                continue;
            }
            self.compare(frame);
            if self.doubt.is_full() {
                self.doubt.settle();
                self.following = Some(std::mem::replace(frame, Video::empty()));
                continue;
            }
            let before = self.last;
            match (self.place(frame)?, before) {
                (Some(pts), Some(before)) if self.doubt.any() || self.is_far(pts, before) => {
                    let picture = std::mem::replace(frame, Video::empty());
                    let far = self.is_far(pts, before);
                    self.doubt.hold(Held { picture, pts, before, far });
                }
                (Some(pts), _) => return Ok(Some(pts)),
                (None, _) => self.check_damage()?,
            }
        }
    }

    /// Puts the next frame of the decoder into `frame`; `false` at the end.
    fn pull(&mut self, frame: &mut Video) -> Outcome<bool> {
        if let Some(following) = self.following.take() {
            *frame = following;
            return Ok(true);
        }
        loop {
            match self.decoder.pull(frame)? {
                Pull::Frame => return Ok(true),
                Pull::End => match self.next_recording.take() {
                    Some(packet) => self.begin(&packet)?,
                    None => return Ok(false),
                },
                Pull::Hungry => self.feed()?,
            }
            self.check_damage()?;
        }
    }

    /// Whether a frame comes so long after its predecessor that its time may be wild.
    fn is_far(&self, pts: i64, before: i64) -> bool {
        pts.saturating_sub(before) > self.step.saturating_add(self.step / 2)
    }

    /// Compares the frames in doubt with the next one, `frame`. Those after it are moved to where they fit; without a [`Pace`] they are
    /// dropped.
    fn compare(&mut self, frame: &Video) {
        // libav gives another time to a frame that follows a wild one.
        for pts in [frame.pts(), frame.timestamp()].into_iter().flatten() {
            let wild = self.doubt.contradicted(pts);
            let Some(before) = wild.first().map(|first| first.before) else { continue };
            if self.pace.is_some() {
                self.last = pts.checked_sub(1);
                self.doubt.put_between(wild, pts);
            } else {
                self.last = Some(before);
                self.misplaced += wild.len() as u64;
                self.wild = true;
            }
            return;
        }
    }

    /// Sample aspect that the container declares.
    pub(crate) fn container_aspect(&self) -> Option<Rational> {
        self.container_aspect
    }

    /// Number of packets and frames that were left out.
    pub(crate) fn damage(&self) -> u64 {
        let head = if self.skip_corrupt { self.decoder.damage() } else { self.head };
        self.decoder.damage() - head + self.misplaced + self.packets.failed_reads()
    }

    /// Number of pictures that could not be decoded.
    pub(crate) fn lost(&self) -> u64 {
        self.decoder.damage()
    }

    fn feed(&mut self) -> Outcome<()> {
        // An ended decoder must not be fed, because it would answer with its end forever.
        let next = match self.ahead.take() {
            Some(packet) => Some((Turn::GoesOn, packet)),
            None if self.ended => None,
            None => self.packet()?,
        };
        match next {
            Some((Turn::Begins, packet)) => {
                // The decoder first returns the frames that it holds.
                self.next_recording = Some(packet);
                self.decoder.push(None)
            }
            Some((Turn::GoesOn | Turn::LeftOut, packet)) => self.decoder.push(Some(&packet)),
            None => {
                self.ended = true;
                self.decoder.push(None)
            }
        }
    }

    /// The next packet to decode.
    fn packet(&mut self) -> Outcome<Option<(Turn, Packet)>> {
        while let Some(packet) = self.following()? {
            if packet.dts().is_some_and(|dts| dts > self.until) {
                return Ok(None);
            }
            match self.joints.take(&packet) {
                Turn::LeftOut => {}
                turn @ (Turn::GoesOn | Turn::Begins) => return Ok(Some((turn, packet))),
            }
        }
        Ok(None)
    }

    /// The next packet, including one that is left out.
    fn following(&mut self) -> Outcome<Option<Packet>> {
        let packet = self.packets.next()?;
        if self.packets.overlap() && self.pace.is_none() {
            self.pace = Some(Pace::overlapping());
            self.wild = true;
        }
        Ok(packet)
    }

    /// Begins another recording with `packet`.
    fn begin(&mut self, packet: &Packet) -> Outcome<()> {
        self.decoder.restart();
        let ticks = (WAIT_SECONDS / self.tick).round() as i64;
        let first = packet.pts().or_else(|| packet.dts());
        self.recovers_by = first.map(|first| first.saturating_add(ticks));
        self.decoder.push(Some(packet))
    }

    /// The timestamp of a decoded frame; `None` if the frame does not fit after its predecessor.
    fn place(&mut self, frame: &Video) -> Outcome<Option<i64>> {
        self.decoded += 1;
        if self.decoded > self.budget.frames_max {
            return Err(failure(OverLimit::Frames { limit: self.budget.frames_max }));
        }
        check_pixels(frame.width(), frame.height(), &self.budget)?;
        if self.skip_corrupt && !self.decoder.is_intact() {
            return Ok(None);
        }
        let in_time = |by: i64| frame.timestamp().is_none_or(|pts| pts < by);
        if self.recovers_by.is_some_and(in_time) && !self.decoder.is_intact() {
            return Ok(None);
        }
        self.recovers_by = None;
        if std::mem::take(&mut self.skip_corrupt) {
            self.head = self.decoder.damage();
        }
        let guess = self.last.map_or(0, |last| last.saturating_add(self.step));
        let overlap = self.packets.overlap();
        let fits = |pts: &i64| overlap || self.wild && self.last.is_none_or(|last| *pts > last);
        let mut pts = frame.pts().filter(fits).or_else(|| frame.timestamp()).unwrap_or(guess);
        let shared = self.told.replace(pts) == Some(pts);
        match self.last {
            // Frames that share a time are all kept, one tick apart, if the clock is fine enough.
            Some(last) if shared && self.step > 1 => pts = last.saturating_add(1),
            // In containers without presentation times, the last frames of the decoder have decode times.
            Some(last) if pts <= last && self.ended && self.whole => pts = guess.max(last + 1),
            Some(last) => match self.pace.as_mut() {
                Some(pace) => match pace.place(pts, last, self.step, self.tick) {
                    Some(placed) => pts = placed,
                    None => return Ok(self.misplace()),
                },
                None if pts <= last => return Ok(self.misplace()),
                None => {}
            },
            None => {}
        }
        self.last = Some(pts);
        Ok(Some(pts))
    }

    /// Counts a frame that does not fit.
    fn misplace(&mut self) -> Option<i64> {
        self.misplaced += 1;
        None
    }

    fn check_damage(&self) -> Outcome<()> {
        if self.damage() <= self.budget.damage_max {
            return Ok(());
        }
        let detail = format!("{} damaged packets or frames.", self.damage());
        Err(failure_with(ContentFault::TooDamaged, detail))
    }
}

/// Refuses a picture that is larger than allowed.
pub(crate) fn check_pixels(width: u32, height: u32, budget: &Budget) -> Outcome<()> {
    if u64::from(width) * u64::from(height) <= budget.pixels_max {
        return Ok(());
    }
    Err(failure(OverLimit::Pixels { width, height, limit: budget.pixels_max }))
}

/// Refuses a distance of neighbouring frames above the longest permitted source.
fn check_span(ticks: i64, tick: f64, budget: &Budget) -> Outcome<()> {
    let seconds = ticks as f64 * tick;
    if seconds <= budget.seconds_max {
        return Ok(());
    }
    Err(failure(OverLimit::Pause { seconds, limit: budget.seconds_max }))
}

/// Refuses a time without pictures and audio above the limit.
pub(crate) fn check_gap(ticks: i64, tick: f64, budget: &Budget) -> Outcome<()> {
    let seconds = ticks as f64 * tick;
    if seconds <= budget.gap_seconds_max {
        return Ok(());
    }
    Err(failure(OverLimit::Pause { seconds, limit: budget.gap_seconds_max }))
}

/// SHA-256 (first 16 bytes, hex) of the visible planes of a frame.
pub(crate) fn picture_hash(frame: &Video) -> Outcome<String> {
    #[expect(
        unsafe_code,
        reason = "the frame holds a decoded picture; the buffer has the size that libav asks for"
    )]
    let bytes = unsafe {
        let raw = &*frame.as_ptr();
        let format: ffi::AVPixelFormat = frame.format().into();
        let size = ffi::av_image_get_buffer_size(format, raw.width, raw.height, 1);
        let mut bytes = vec![0_u8; usize::try_from(size).unwrap_or(0)];
        let copied = ffi::av_image_copy_to_buffer(
            bytes.as_mut_ptr(),
            size,
            raw.data.as_ptr().cast(),
            raw.linesize.as_ptr(),
            format,
            raw.width,
            raw.height,
            1,
        );
        if copied < 0 {
            return Err(own_failure(copied, "hash a picture"));
        }
        bytes
    };
    Ok(short_hash(&Sha256::digest(bytes)))
}

/// A second reference to the data of a frame.
pub(crate) fn reference(frame: &Video) -> Outcome<Video> {
    let mut copy = Video::empty();
    #[expect(unsafe_code, reason = "the copy is empty, and both own a reference afterwards")]
    let result = unsafe { ffi::av_frame_ref(copy.as_mut_ptr(), frame.as_ptr()) };
    if result < 0 { Err(own_failure(result, "keep a frame")) } else { Ok(copy) }
}

/// The first 16 bytes of a digest in hex.
pub(crate) fn short_hash(digest: &[u8]) -> String {
    hex::encode(&digest[..16])
}

/// The failure of a source without a picture at which decoding can start.
pub(crate) fn no_key(damage: u64) -> CodecFailure {
    failure_with(ContentFault::NoKeyPicture, format!("{damage} damaged packets or frames."))
}

/// The failure of a source without a decodable frame.
pub(crate) fn no_frames(damage: u64) -> CodecFailure {
    failure_with(ContentFault::NothingDecoded, format!("{damage} damaged packets or frames."))
}

/// The reason for a picture codec that is not allowed, or that the file does not name.
pub(crate) fn no_codec(name: Option<String>) -> ContentFault {
    match name {
        Some(codec) => ContentFault::CodecNotSupported { codec },
        None => ContentFault::CodecUnknown,
    }
}
