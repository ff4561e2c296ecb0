//! AAC-LC: samples in, access units out.
//!
//! Invariants: one thread and no version string in the stream, so equal samples give equal bytes. Access unit `n` holds the samples from
//! `1024 n` on. The priming unit before the first sample is dropped, as CMAF requires.

use ffmpeg_next::codec::{self, encoder, threading};
use ffmpeg_next::{Packet, Rational, ffi, format, frame};
use jetreel_domain::codec::wire::AAC_UNIT;

use crate::failure::{Outcome, internal, own_failure};
use crate::mux::Sample;
use crate::resampler;

/// Samples per access unit.
pub(crate) const UNIT: usize = AAC_UNIT as usize;

/// AAC encoder of one track.
pub(crate) struct Aac {
    encoder: encoder::audio::Encoder,
    channels: u32,
    rate: u32,
    /// Samples that do not fill a unit yet, one plane per channel.
    pending: Vec<Vec<f32>>,
    /// Units given to the encoder.
    fed: i64,
    /// Units returned by the encoder, without the priming unit.
    made: i64,
    config: Vec<u8>,
}

impl Aac {
    /// An encoder of a track that begins with its first sample.
    pub(crate) fn new(rate: u32, channels: u32, bit_rate: u32) -> Outcome<Self> {
        let codec = encoder::find(codec::Id::AAC)
            .ok_or_else(|| own_failure(ffi::AVERROR_ENCODER_NOT_FOUND, "find the AAC encoder"))?;
        let mut audio = codec::Context::new_with_codec(codec)
            .encoder()
            .audio()
            .map_err(|error| own_failure(error, "make an AAC encoder"))?;
        audio.set_rate(i32::try_from(rate).map_err(|error| internal(error.to_string()))?);
        audio.set_format(format::Sample::F32(format::sample::Type::Planar));
        audio.set_channel_layout(resampler::layout(channels));
        audio.set_bit_rate(bit_rate as usize);
        audio.set_time_base(Rational(1, rate as i32));
        audio.set_flags(codec::Flags::GLOBAL_HEADER | codec::Flags::BITEXACT);
        audio.set_threading(threading::Config { count: 1, ..threading::Config::default() });
        let encoder = audio.open().map_err(|error| own_failure(error, "open the AAC encoder"))?;
        let config = extradata(&encoder);
        let pending = vec![Vec::with_capacity(2 * UNIT); channels as usize];
        Ok(Self { encoder, channels, rate, pending, fed: 0, made: 0, config })
    }

    /// The AudioSpecificConfig.
    pub(crate) fn config(&self) -> &[u8] {
        &self.config
    }

    /// Adds `take` samples of `frame` after the first `skip`.
    pub(crate) fn samples(
        &mut self,
        frame: &frame::Audio,
        skip: usize,
        take: usize,
        out: &mut Vec<Sample>,
    ) -> Outcome<()> {
        if frame.planes() < self.pending.len() || frame.samples() < skip + take {
            return Err(internal("the resampler made a frame of another form"));
        }
        for (index, plane) in self.pending.iter_mut().enumerate() {
            plane.extend_from_slice(&frame.plane::<f32>(index)[skip..skip + take]);
        }
        self.feed(out)
    }

    /// Adds `count` samples of silence.
    pub(crate) fn silence(&mut self, mut count: u64, out: &mut Vec<Sample>) -> Outcome<()> {
        while count > 0 {
            let step = count.min(UNIT as u64);
            for plane in &mut self.pending {
                plane.resize(plane.len() + step as usize, 0.0);
            }
            self.feed(out)?;
            count -= step;
        }
        Ok(())
    }

    /// Ends the track: the rest is padded to a whole unit.
    pub(crate) fn finish(&mut self, out: &mut Vec<Sample>) -> Outcome<()> {
        let rest = self.pending.first().map_or(0, Vec::len);
        if rest > 0 {
            self.silence((UNIT - rest) as u64, out)?;
        }
        self.encoder.send_eof().map_err(|error| own_failure(error, "end the AAC encoder"))?;
        self.receive(out)?;
        if self.made == self.fed {
            return Ok(());
        }
        Err(internal(format!("{} access units became {}", self.fed, self.made)))
    }

    fn feed(&mut self, out: &mut Vec<Sample>) -> Outcome<()> {
        while self.pending.iter().all(|plane| plane.len() >= UNIT) {
            let format = format::Sample::F32(format::sample::Type::Planar);
            let mut frame = frame::Audio::new(format, UNIT, resampler::layout(self.channels));
            frame.set_rate(self.rate);
            frame.set_pts(Some(self.fed * UNIT as i64));
            for (index, plane) in self.pending.iter_mut().enumerate() {
                frame.plane_mut::<f32>(index).copy_from_slice(&plane[..UNIT]);
                plane.drain(..UNIT);
            }
            self.fed += 1;
            self.encoder.send_frame(&frame).map_err(|error| own_failure(error, "encode sound"))?;
            self.receive(out)?;
        }
        Ok(())
    }

    fn receive(&mut self, out: &mut Vec<Sample>) -> Outcome<()> {
        loop {
            let mut packet = Packet::empty();
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {}
                Err(ffmpeg_next::Error::Eof) => return Ok(()),
                Err(ffmpeg_next::Error::Other { errno: ffi::EAGAIN }) => return Ok(()),
                Err(error) => return Err(own_failure(error, "encode sound")),
            }
            let pts = self.made * UNIT as i64;
            match packet.pts() {
                Some(time) if time < 0 => {}
                Some(time) if time == pts => {
                    let data = packet.data().unwrap_or_default().to_vec();
                    out.push(Sample { pts, duration: UNIT as u32, sync: true, data });
                    self.made += 1;
                }
                other => return Err(internal(format!("an access unit at {other:?}, not {pts}"))),
            }
        }
    }
}

fn extradata(encoder: &encoder::audio::Encoder) -> Vec<u8> {
    #[expect(unsafe_code, reason = "the open encoder owns its extradata; it is copied at once")]
    unsafe {
        let context = encoder.as_ptr();
        let (data, size) = ((*context).extradata, (*context).extradata_size);
        match usize::try_from(size) {
            Ok(size) if !data.is_null() => std::slice::from_raw_parts(data, size).to_vec(),
            _ => Vec::new(),
        }
    }
}
