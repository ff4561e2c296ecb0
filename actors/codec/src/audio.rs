//! The audio job: one track is decoded, conformed, encoded as AAC-LC and cut into fragments and parts.
//!
//! Invariants: equal sources give equal bytes, even if parts are left out because they are stored already. Sample `n` of the track is at `n
//! / rate` seconds of the output's clock. A track with any decodable audio begins at 0 and ends where the outputs end, with silence where
//! the source has none. Damage of any size becomes reported silence, and never a loop or the end of the video.

use ffmpeg_next::Packet;
use jetreel_domain::codec::wire::{AudioJob, Job, Report};

use crate::aac::Aac;
use crate::facts;
use crate::failure::{Outcome, internal};
use crate::input::Input;
use crate::link::Link;
use crate::loss::Loss;
use crate::mux::{self, Sample};
use crate::offsets::Offsets;
use crate::parts::Parts;
use crate::resampler::{Resampler, Run};
use crate::sound_decoder::SoundDecoder;
use crate::timeline::Timeline;

/// Runs in a row after the end, before the rest of the source is skipped.
const LATE_RUNS_MAX: u32 = 256;
/// Samples of silence that are encoded at a time.
const SILENCE_SAMPLES: u64 = 1 << 16;

/// Runs an audio job.
pub(crate) fn run(link: &Link, job: &Job, audio: &AudioJob) -> Outcome<Report> {
    let size = job.objects.first().copied().unwrap_or(0);
    let mut input = Input::open(link, 0, size, Some(&audio.source.format), &job.budget)?;
    input.only(&[audio.source.stream]);
    let time_base = facts::libav(input.time_base(audio.source.stream)?);
    let stream = input.stream(audio.source.stream)?;
    let mut decoder =
        SoundDecoder::open(&stream, time_base, &audio.source.decoder_options, audio.counted)?;
    let resampler =
        Resampler::new(decoder.time_base(), audio.audio.sample_rate, audio.audio.channels)
            .mixed(audio.mixed);
    let mut track = Track::new(link, audio, resampler);
    let mut offsets = Offsets::new(&audio.source.clock);
    while let Some(mut packet) = input.read()? {
        let stream = packet.stream() as u32;
        if stream != audio.source.stream && !audio.source.continued.contains(&stream) {
            continue;
        }
        offsets.apply(&mut packet);
        if is_guessed(&audio.source.format, &packet) {
            packet.set_pts(None);
            packet.set_dts(None);
        }
        track.loss.reads(input.failed_reads());
        track.feed(&mut decoder, Some(&packet))?;
        if track.done() {
            break;
        }
    }
    track.feed(&mut decoder, None)?;
    track.finish()
}

/// Whether libav's parser guessed the times of a packet. MPEG stamps the first frame of a PES packet. The parser counts the others from
/// there at the rate of the first recording, and does not report their positions.
fn is_guessed(format: &str, packet: &Packet) -> bool {
    ["mpegts", "mpeg"].contains(&format) && packet.position() < 0
}

/// A track between decoded frames and parts.
struct Track<'a> {
    link: &'a Link,
    job: &'a AudioJob,
    resampler: Resampler,
    timeline: Timeline,
    /// Source sample, at the output's rate, of output time 0.
    origin: i64,
    /// `None` before the first sample. A track without samples has no output.
    encoder: Option<Aac>,
    parts: Option<Parts<'a>>,
    units: Vec<Sample>,
    late: u32,
    loss: Loss,
}

impl<'a> Track<'a> {
    fn new(link: &'a Link, job: &'a AudioJob, resampler: Resampler) -> Self {
        let rate = f64::from(job.audio.sample_rate);
        let end = job.end_seconds * rate;
        Self {
            link,
            job,
            resampler,
            // The resampler corrects drift, so only rounding is left.
            timeline: Timeline::new(end.round() as i64, i64::from(job.audio.sample_rate / 500)),
            origin: (job.origin_seconds * rate).round() as i64,
            encoder: None,
            parts: None,
            units: Vec::new(),
            late: 0,
            loss: Loss::default(),
        }
    }

    /// Whether the rest of the source is not needed.
    fn done(&self) -> bool {
        self.timeline.full() || self.late > LATE_RUNS_MAX
    }

    /// Decodes a packet, or what the decoder still holds.
    fn feed(&mut self, decoder: &mut SoundDecoder, packet: Option<&Packet>) -> Outcome<()> {
        let Self { resampler, loss, .. } = self;
        let intact = decoder.decode(packet, &mut |frame| {
            loss.decoded(frame.samples(), frame.rate());
            resampler.push(frame)
        })?;
        loss.packet(intact, resampler.unfit());
        self.encode()
    }

    fn encode(&mut self) -> Outcome<()> {
        while let Some(Run { at, frame }) = self.resampler.next() {
            let at = at.saturating_sub(self.origin);
            let placement = self.timeline.place(at, frame.samples());
            if placement.take == 0 {
                self.late += u32::from(self.timeline.ends_before(at));
                continue;
            }
            self.late = 0;
            self.start()?;
            self.lose(placement.silence);
            self.silence(placement.silence)?;
            if let Some(encoder) = &mut self.encoder {
                encoder.samples(&frame, placement.skip, placement.take, &mut self.units)?;
            }
            self.cut()?;
        }
        Ok(())
    }

    /// Records a loss that `silence` samples replace.
    fn lose(&mut self, silence: u64) {
        let silence = silence as f64 / f64::from(self.job.audio.sample_rate);
        let lost = self.loss.take(silence);
        if let Some(parts) = &mut self.parts {
            parts.lose(lost);
        }
    }

    /// Opens the encoder if needed.
    fn start(&mut self) -> Outcome<()> {
        if self.encoder.is_some() {
            return Ok(());
        }
        let plan = &self.job.audio;
        let encoder = Aac::new(plan.sample_rate, plan.channels, plan.bit_rate)?;
        let init =
            mux::audio_init(plan.sample_rate, plan.channels, plan.bit_rate, encoder.config())?;
        self.parts = Some(Parts::new(self.link, self.job, init));
        self.encoder = Some(encoder);
        Ok(())
    }

    /// Encodes silence of any length within bounded memory.
    fn silence(&mut self, mut samples: u64) -> Outcome<()> {
        while let Some(encoder) = &mut self.encoder
            && samples > 0
        {
            let step = samples.min(SILENCE_SAMPLES);
            encoder.silence(step, &mut self.units)?;
            samples -= step;
            self.cut()?;
        }
        Ok(())
    }

    /// Sends complete segments.
    fn cut(&mut self) -> Outcome<()> {
        let Some(parts) = &mut self.parts else { return Ok(()) };
        while self.units.len() >= parts.segment_units() {
            let rest = self.units.split_off(parts.segment_units());
            parts.segment(&std::mem::replace(&mut self.units, rest))?;
        }
        Ok(())
    }

    fn finish(mut self) -> Outcome<Report> {
        self.resampler.finish()?;
        self.encode()?;
        if self.encoder.is_some() {
            let rest = self.timeline.rest();
            self.lose(0);
            self.silence(rest)?;
        }
        let Some(mut encoder) = self.encoder.take() else {
            return Ok(Report::Audio { parts: 0 });
        };
        encoder.finish(&mut self.units)?;
        self.cut()?;
        let Some(mut parts) = self.parts else {
            return Err(internal("a track without parts"));
        };
        if !self.units.is_empty() {
            parts.segment(&self.units)?;
        }
        parts.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_inside_of_a_pes_packet_are_guesses() {
        let mut packet = Packet::empty();
        packet.set_position(-1);
        assert!(is_guessed("mpegts", &packet) && !is_guessed("ogg", &packet));
        packet.set_position(188);
        assert!(!is_guessed("mpegts", &packet));
    }
}
