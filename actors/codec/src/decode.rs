//! Source frames in ascending presentation order, with damage counted and bounded.
//!
//! Invariants: every frame has a timestamp greater than the last one; a decoder that reports errors for ever ends in
//! `TooDamaged`, never in a loop; frames that a decoder marks as corrupt count as frames, except at the very start of a recording.

use ffmpeg_next::frame::Video;
use ffmpeg_next::{Packet, ffi};
use jetreel_domain::discontinuity::ClockStep;
use jetreel_domain::media::Rational;
use jetreel_domain::reason::{ContentFault, OverLimit};
use jetreel_domain::wire::{Budget, CodecFailure};
use sha2::{Digest as _, Sha256};

pub(crate) use crate::decoder::{Decoder, Pull};
use crate::facts;
use crate::failure::{Outcome, failure, failure_with, own_failure};
use crate::input::Input;
use crate::joint::{Joints, Turn, WAIT_SECONDS};
use crate::offsets::Offsets;

/// The frames of one track of a source.
pub(crate) struct Frames {
    input: Input,
    decoder: Decoder,
    stream: u32,
    continued: Vec<u32>,
    budget: Budget,
    /// Ticks to go on by where a frame has no timestamp.
    step: i64,
    last: Option<i64>,
    /// The decoder's timestamp of the last frame.
    told: Option<i64>,
    /// Seconds per tick.
    tick: f64,
    /// Packets decoded after this DTS cannot hold frames that are wanted.
    until: i64,
    ended: bool,
    /// Decoding began at the start of the source.
    whole: bool,
    /// Frames marked as corrupt are skipped up to the first intact one.
    skip_corrupt: bool,
    /// Errors of the decoder before the first intact frame: a cut recording begins in the middle of a group of pictures.
    head: u64,
    misplaced: u64,
    decoded: u64,
    /// The first packet after a seek, and its DTS by the container's own clock.
    ahead: Option<Packet>,
    /// A frame far behind its predecessor, until the next one confirms its time.
    held: Option<Held>,
    /// The frame that did so.
    following: Option<Video>,
    /// A time was wild: libav then guesses all later times from those of decoding.
    wild: bool,
    ahead_dts: Option<i64>,
    offsets: Offsets,
    joints: Joints,
    /// The first packet of another recording, until the decoder has given all pictures of the one before.
    next_recording: Option<Packet>,
    /// No frame of the recording showed what it should; from this time on they are shown all the same.
    recovers_by: Option<i64>,
    container_aspect: Option<Rational>,
}

/// A frame whose time is in doubt.
struct Held {
    picture: Video,
    pts: i64,
    /// Timestamp of its predecessor.
    before: i64,
}

/// What [`Frames::open`] needs to know.
pub(crate) struct Track<'a> {
    /// Stream index.
    pub stream: u32,
    /// Options of the decoder.
    pub decoder_options: &'a [(String, String)],
    /// Frames per second, for frames without timestamps.
    pub frames_per_second: f64,
    /// Streams that carry on with it in the middle of the file.
    pub continued: &'a [u32],
    /// Steps of the container's clock.
    pub clock: &'a [ClockStep],
}

impl Frames {
    /// Opens the decoder of a track; frames come from the start of the source, or from `seek`.
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
        let mut frames = Self {
            input,
            decoder,
            stream: track.stream,
            continued: track.continued.to_vec(),
            budget: *budget,
            step: step.max(1),
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
            held: None,
            following: None,
            wild: false,
            ahead_dts: None,
            offsets: Offsets::new(track.clock),
            joints: Joints::new(track.clock, time_base, seek.is_none()),
            next_recording: None,
            recovers_by: None,
            container_aspect,
        };
        if seek.is_some() {
            let packet = frames.unmoved()?;
            frames.ahead_dts = packet.as_ref().and_then(Packet::dts);
            frames.ahead = packet.map(|packet| frames.moved(packet));
            // Decoding begins with it whatever recording it is of.
            if let Some(ahead) = &frames.ahead {
                frames.joints.take(ahead);
            }
        }
        Ok(frames)
    }

    /// Whether decoding begins at or before `dts` of the container's own clock; some containers jump only roughly.
    pub(crate) fn begins_by(&self, dts: i64) -> bool {
        self.ahead.is_some() && self.ahead_dts.is_none_or(|first| first <= dts)
    }

    /// Stops feeding the decoder behind this DTS.
    pub(crate) fn stop_after(&mut self, dts: i64) {
        self.until = dts;
    }

    /// The next frame's timestamp, the picture being put into `frame`; `None` after the last one.
    pub(crate) fn next(&mut self, frame: &mut Video) -> Outcome<Option<i64>> {
        loop {
            if !self.pull(frame)? {
                return self.release(frame);
            }
            self.doubt(frame);
            if self.held.is_some() {
                self.following = Some(std::mem::replace(frame, Video::empty()));
                return self.release(frame);
            }
            let before = self.last;
            match (self.place(frame)?, before) {
                (Some(pts), Some(before)) if self.is_far(pts, before) => {
                    let picture = std::mem::replace(frame, Video::empty());
                    self.held = Some(Held { picture, pts, before });
                }
                (Some(pts), _) => return Ok(Some(pts)),
                (None, _) => self.check_damage()?,
            }
        }
    }

    /// The next frame of the decoder, into `frame`; `false` at the end.
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

    /// Drops the frame in doubt where the next one, `frame`, lies before it.
    fn doubt(&mut self, frame: &Video) {
        let contradicts = |held: &mut Held| {
            frame.timestamp().is_some_and(|pts| held.before < pts && pts < held.pts)
        };
        if let Some(held) = self.held.take_if(contradicts) {
            self.last = Some(held.before);
            self.misplaced += 1;
            self.wild = true;
        }
    }

    /// The frame in doubt, into `frame`.
    fn release(&mut self, frame: &mut Video) -> Outcome<Option<i64>> {
        let Some(held) = self.held.take() else { return Ok(None) };
        check_span(held.pts.saturating_sub(held.before), self.tick, &self.budget)?;
        *frame = held.picture;
        Ok(Some(held.pts))
    }

    /// Sample aspect that the container gives.
    pub(crate) fn container_aspect(&self) -> Option<Rational> {
        self.container_aspect
    }

    /// Packets and frames that had to be left out so far.
    pub(crate) fn damage(&self) -> u64 {
        let head = if self.skip_corrupt { self.decoder.damage() } else { self.head };
        self.decoder.damage() - head + self.misplaced + self.input.failed_reads()
    }

    fn feed(&mut self) -> Outcome<()> {
        // Feeding an ended decoder would never end: it answers with its end instead.
        let next = match self.ahead.take() {
            Some(packet) => Some((Turn::GoesOn, packet)),
            None if self.ended => None,
            None => self.packet()?,
        };
        match next {
            Some((Turn::Begins, packet)) => {
                // The decoder first gives what it holds.
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
        while let Some(packet) = self.unmoved()?.map(|packet| self.moved(packet)) {
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

    /// Goes on with another recording, which `packet` begins.
    fn begin(&mut self, packet: &Packet) -> Outcome<()> {
        self.decoder.restart();
        let ticks = (WAIT_SECONDS / self.tick).round() as i64;
        let first = packet.pts().or_else(|| packet.dts());
        self.recovers_by = first.map(|first| first.saturating_add(ticks));
        self.decoder.push(Some(packet))
    }

    /// The next packet of the track by the container's own clock.
    fn unmoved(&mut self) -> Outcome<Option<Packet>> {
        while let Some(packet) = self.input.read()? {
            let stream = packet.stream() as u32;
            if stream == self.stream || self.continued.contains(&stream) {
                return Ok(Some(packet));
            }
        }
        Ok(None)
    }

    fn moved(&mut self, mut packet: Packet) -> Packet {
        self.offsets.apply(&mut packet);
        packet
    }

    /// The timestamp of a decoded frame; `None` where it has no place after its predecessor.
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
        let fits = |pts: &i64| self.wild && self.last.is_none_or(|last| *pts > last);
        let mut pts = frame.pts().filter(fits).or_else(|| frame.timestamp()).unwrap_or(guess);
        let shared = self.told.replace(pts) == Some(pts);
        match self.last {
            // Frames that share a time are all kept, a tick apart, where the clock is fine enough.
            Some(last) if shared && self.step > 1 => pts = last.saturating_add(1),
            // In containers without presentation times, the last frames of the decoder carry times of decoding.
            Some(last) if pts <= last && self.ended && self.whole => pts = guess.max(last + 1),
            Some(last) if pts <= last => {
                self.misplaced += 1;
                return Ok(None);
            }
            Some(_) | None => {}
        }
        self.last = Some(pts);
        Ok(Some(pts))
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

/// Refuses a distance of neighbouring frames above the longest duration of a source.
fn check_span(ticks: i64, tick: f64, budget: &Budget) -> Outcome<()> {
    let seconds = ticks as f64 * tick;
    if seconds <= budget.seconds_max {
        return Ok(());
    }
    Err(failure(OverLimit::Pause { seconds, limit: budget.seconds_max }))
}

/// Refuses a time without picture and sound above the limit.
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
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The failure for a source without a picture that decoding could start with.
pub(crate) fn no_key(damage: u64) -> CodecFailure {
    failure_with(ContentFault::NoKeyPicture, format!("{damage} damaged packets or frames."))
}

/// The failure for a source of which no frame could be decoded.
pub(crate) fn no_frames(damage: u64) -> CodecFailure {
    failure_with(ContentFault::NothingDecoded, format!("{damage} damaged packets or frames."))
}

/// The reason for a picture codec that is not on the list, or that the file does not name.
pub(crate) fn no_codec(name: Option<String>) -> ContentFault {
    match name {
        Some(codec) => ContentFault::CodecNotSupported { codec },
        None => ContentFault::CodecUnknown,
    }
}
