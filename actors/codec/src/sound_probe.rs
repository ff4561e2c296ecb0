//! Decodes the beginning of every audio track, so that unusable tracks are found before anything is encoded.
//!
//! The first packets of each track go through the decoder and the resampler of the audio job. A track that fails there is left out with its
//! reason. A track whose first packets exceed the bounds is kept as its header describes it.
//!
//! Invariant: at most half a second of audio per track, a number of packets, and a number of bytes of the source are read.

use ffmpeg_next::{Packet, Rational, frame};
use jetreel_domain::codec::wire::{CodecFailure, FailureCode};
use jetreel_domain::plan::media::{AudioTrack, UnusedAudio, UnusedReason};
use jetreel_domain::plan::soundtrack::{self, Step};

use crate::facts::{self, Candidate};
use crate::failure::Outcome;
use crate::input::Input;
use crate::resampler::Resampler;
use crate::sound_decoder::SoundDecoder;

/// Seconds of a track that are decoded.
const SECONDS: f64 = 0.5;
/// Most packets of a track that are tried. The first ones may lack a start: TrueHD has one in 128.
const PACKETS_MAX: u32 = 400;
/// Most packets of all tracks.
const PACKETS_TOTAL_MAX: u32 = 20_000;
/// Most bytes of the source that are read only for audio. Its tracks may lie far apart.
const BYTES_MAX: u64 = 32 << 20;
/// The container in which audio has no gaps, because its timestamps are computed.
const GAPLESS: &str = "avi";

/// The audio tracks of a source.
pub(crate) struct SoundProbe {
    tracks: Vec<TrackProbe>,
    packets: u32,
    gapless: bool,
}

/// One of the tracks.
struct TrackProbe {
    candidate: Candidate,
    /// `None` if the header rules the track out, and after enough of it is decoded.
    decoder: Option<SoundDecoder>,
    decoded: Decoded,
}

/// Results of decoding a track.
struct Decoded {
    time_base: Rational,
    packets: u32,
    /// Packets before the first frame.
    barren: u32,
    frames: u64,
    seconds: f64,
    /// The resampler of the audio job.
    resampler: Option<Resampler>,
    /// Frames on which it failed.
    broken: u64,
    /// Whether frames that do not fit can be mixed down by the numbers of their channels; `None` if all fit.
    mixable: Option<bool>,
    /// Forms of the frames, with their numbers of frames.
    forms: Vec<(Form, u32)>,
    steps: Vec<Step>,
    /// Last timestamp of a frame, and the seconds of audio since then.
    last: Option<(f64, f64)>,
}

/// A usable track.
pub(crate) struct Usable {
    /// The track, in its decoded form.
    pub track: AudioTrack,
    /// Average seconds of audio in a packet; 0 if none was decoded.
    pub packet_seconds: f64,
    /// Whether no frame had a timestamp.
    pub untimed: bool,
    /// Whether the container has no gaps.
    pub gapless: bool,
}

impl Usable {
    /// The track as unusable.
    pub(crate) fn reject(self, reason: UnusedReason) -> UnusedAudio {
        let AudioTrack { stream, number, codec, language, default, secondary, .. } = self.track;
        UnusedAudio { stream, number, codec, language, default, secondary, reason }
    }
}

/// Samples per second and channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Form {
    rate: u32,
    channels: u32,
}

impl SoundProbe {
    /// Opens a decoder for every track that its header does not rule out.
    pub(crate) fn open(input: &Input, candidates: Vec<Candidate>) -> Outcome<Self> {
        let tracks = candidates.into_iter().map(|candidate| TrackProbe::open(input, candidate));
        let gapless = input.format() == GAPLESS;
        Ok(Self { tracks: tracks.collect::<Outcome<_>>()?, packets: 0, gapless })
    }

    /// Streams whose packets are still needed.
    pub(crate) fn wanted(&self) -> Vec<u32> {
        let open = self.tracks.iter().filter(|track| track.decoder.is_some());
        open.map(|track| track.candidate.track.stream).collect()
    }

    /// Whether the bounds are reached. `other` of the bytes read by `input` are the picture's.
    pub(crate) fn is_over(&self, input: &Input, other: u64) -> bool {
        let own = input.fetched().saturating_sub(other);
        self.packets >= PACKETS_TOTAL_MAX || own >= BYTES_MAX
    }

    /// Processes a packet of any stream. True if it was the last one that its track needs.
    pub(crate) fn take(&mut self, packet: &Packet) -> Outcome<bool> {
        let stream = packet.stream();
        let track =
            self.tracks.iter_mut().find(|track| track.candidate.track.stream as usize == stream);
        self.packets += 1;
        track.map_or(Ok(false), |track| track.take(packet))
    }

    /// Reads on until enough of every track is decoded. Returns the usable and the unusable tracks.
    pub(crate) fn finish(mut self, input: &mut Input) -> Outcome<(Vec<Usable>, Vec<UnusedAudio>)> {
        let (mut ended, before) = (false, input.fetched());
        input.only(&self.wanted());
        while !self.wanted().is_empty() && !self.is_over(input, before) {
            let Some(packet) = input.read()? else {
                ended = true;
                break;
            };
            if self.take(&packet)? {
                input.only(&self.wanted());
            }
        }
        let gapless = self.gapless;
        let verdicts = self.tracks.into_iter().map(|track| track.verdict(ended, gapless));
        let mut verdicts = verdicts.collect::<Outcome<Vec<Verdict>>>()?;
        if verdicts.iter().all(|verdict| verdict.reason.is_some()) {
            verdicts.iter_mut().for_each(Verdict::mix);
        }
        let (mut used, mut unused) = (Vec::new(), Vec::new());
        for Verdict { usable, reason, .. } in verdicts {
            match reason {
                None => used.push(usable),
                Some(reason) => unused.push(usable.reject(reason)),
            }
        }
        Ok((used, unused))
    }
}

/// Result of a track's probe.
struct Verdict {
    usable: Usable,
    /// Why it cannot be used; `None` if it can.
    reason: Option<UnusedReason>,
    /// Whether its channels can be mixed down by their numbers.
    mixable: bool,
}

impl Verdict {
    /// Accepts channels of an unknown layout that can be mixed down by their numbers.
    fn mix(&mut self) {
        if self.mixable && matches!(self.reason, Some(UnusedReason::Channels(_))) {
            self.reason = None;
            self.usable.track.mixed = true;
        }
    }
}

impl TrackProbe {
    fn open(input: &Input, mut candidate: Candidate) -> Outcome<Self> {
        let stream = input.stream(candidate.track.stream)?;
        let time_base = facts::libav(input.time_base(candidate.track.stream)?);
        let mut decoder = None;
        if candidate.obstacle.is_none() {
            match SoundDecoder::open(&stream, time_base, &[], false) {
                Ok(opened) => decoder = Some(opened),
                Err(refusal) => {
                    only_of_the_track(refusal)?;
                    candidate.obstacle = Some(UnusedReason::Undecodable);
                }
            }
        }
        Ok(Self { candidate, decoder, decoded: Decoded::new(time_base) })
    }

    fn take(&mut self, packet: &Packet) -> Outcome<bool> {
        let Some(decoder) = &mut self.decoder else { return Ok(false) };
        let decoded = &mut self.decoded;
        decoded.packets += 1;
        decoder.decode(Some(packet), &mut |frame| decoded.frame(frame))?;
        decoded.barren += u32::from(decoded.frames == 0);
        let enough = decoded.seconds >= SECONDS || decoded.packets >= PACKETS_MAX;
        if enough {
            self.decoder = None;
        }
        Ok(enough)
    }

    /// The track as decoded, with the reason if it cannot be used. `ended`: the whole source was read.
    fn verdict(mut self, ended: bool, gapless: bool) -> Outcome<Verdict> {
        let decoded = &mut self.decoded;
        // Without what the decoder still holds, because that belongs to packets that gave nothing.
        let mut packet_seconds =
            soundtrack::packet_seconds(decoded.seconds, decoded.packets, decoded.barren);
        if let Some(mut decoder) = self.decoder.take_if(|_| ended) {
            decoder.decode(None, &mut |frame| decoded.frame(frame))?;
        }
        decoded.finish()?;
        if packet_seconds <= 0.0 {
            packet_seconds = soundtrack::packet_seconds(decoded.seconds, decoded.packets, 0);
        }
        let Candidate { mut track, obstacle } = self.candidate;
        // A track that the bounds cut off may still be usable.
        let mut reason = obstacle.or_else(|| decoded.obstacle(self.decoder.is_some()));
        if let Some(form) = decoded.form() {
            (track.sample_rate, track.channels) = (form.rate, form.channels);
        }
        if reason.is_none() && (track.sample_rate == 0 || track.channels == 0) {
            reason = Some(UnusedReason::Undecodable);
        }
        let untimed = decoded.frames > 0 && decoded.last.is_none();
        track.counted = untimed || soundtrack::contradicts(&decoded.steps, gapless);
        let mixable = decoded.mixable == Some(true);
        Ok(Verdict { usable: Usable { track, packet_seconds, untimed, gapless }, reason, mixable })
    }
}

/// Lack of memory fails the probe. Any other failure concerns only the track.
fn only_of_the_track(refusal: CodecFailure) -> Outcome<()> {
    if refusal.code == FailureCode::MemoryBudget { Err(refusal) } else { Ok(()) }
}

impl Decoded {
    fn new(time_base: Rational) -> Self {
        Self {
            time_base,
            packets: 0,
            barren: 0,
            frames: 0,
            seconds: 0.0,
            resampler: None,
            broken: 0,
            mixable: None,
            forms: Vec::new(),
            steps: Vec::new(),
            last: None,
        }
    }

    fn frame(&mut self, frame: frame::Audio) -> Outcome<()> {
        let form = Form { rate: frame.rate(), channels: u32::from(frame.channels()) };
        if form.rate == 0 || frame.samples() == 0 {
            return Ok(());
        }
        self.frames += 1;
        let seconds = frame.samples() as f64 / f64::from(form.rate);
        self.seconds += seconds;
        self.step(frame.timestamp(), seconds);
        match self.forms.iter_mut().find(|(known, _)| *known == form) {
            Some((_, count)) => *count += 1,
            None => self.forms.push((form, 1)),
        }
        let (rate, channels) = soundtrack::output_form(form.rate, form.channels);
        let time_base = self.time_base;
        let plain = || Resampler::new(time_base, rate, channels);
        let resampler = self.resampler.get_or_insert_with(plain);
        if self.mixable.is_none() && !resampler.suits(&frame) {
            self.mixable = Some(plain().mixed(true).suits(&frame));
        }
        let pushed = resampler.push(frame);
        self.conformed(pushed)
    }

    /// Ends the decoding of the track.
    fn finish(&mut self) -> Outcome<()> {
        // If a frame breaks the resampler, those after it keep waiting.
        let waiting = self.resampler.as_ref().map_or(0, Resampler::waiting);
        for _ in 0..=waiting {
            let finished = self.resampler.as_mut().map_or(Ok(()), Resampler::finish);
            let done = finished.is_ok();
            self.conformed(finished)?;
            if done {
                break;
            }
        }
        Ok(())
    }

    fn conformed(&mut self, outcome: Outcome<()>) -> Outcome<()> {
        if let Err(refusal) = outcome {
            only_of_the_track(refusal)?;
            self.broken += 1;
        }
        while self.resampler.as_mut().and_then(Resampler::next).is_some() {}
        Ok(())
    }

    fn step(&mut self, pts: Option<i64>, seconds: f64) {
        let at = pts.map(|pts| pts as f64 * f64::from(self.time_base));
        match (self.last, at) {
            (Some((last, sounded)), Some(at)) => {
                self.steps.push(Step { stamped: at - last, sounded });
                self.last = Some((at, seconds));
            }
            (Some((last, sounded)), None) => self.last = Some((last, sounded + seconds)),
            (None, at) => self.last = at.map(|at| (at, seconds)),
        }
    }

    /// The form of most frames.
    fn form(&self) -> Option<Form> {
        self.forms.iter().max_by_key(|(_, count)| *count).map(|(form, _)| *form)
    }

    /// Why the track cannot be used. `cut`: not all needed packets were read.
    fn obstacle(&self, cut: bool) -> Option<UnusedReason> {
        if self.frames == 0 {
            let empty = self.packets == 0;
            let reason = if empty { UnusedReason::Empty } else { UnusedReason::Undecodable };
            return (!cut).then_some(reason);
        }
        let unfit = self.broken + self.resampler.as_ref().map_or(0, Resampler::unfit);
        let channels = self.form().map_or(0, |form| form.channels);
        (unfit >= self.frames).then_some(UnusedReason::Channels(channels))
    }
}
