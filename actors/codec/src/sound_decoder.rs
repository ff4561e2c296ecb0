//! Decoder of an audio track: packets in, frames with their times out.
//!
//! The probe and the audio job use the same decoder, so the job can decode what the probe could.

use ffmpeg_next::codec::{self, Id, Parameters, decoder};
use ffmpeg_next::{Codec, Dictionary, Error, Packet, Rational, Rescale as _, Stream, ffi, frame};
use jetreel_domain::words::reason::ContentFault;

use crate::failure::{Outcome, failure_with, source_failure};
use crate::split::{self, FRAME_SECONDS};
use crate::{allow, names};

/// Most samples of a decoded frame. Frames of the allowed codecs are far smaller.
const FRAME_SAMPLES_MAX: &str = "1048576";

/// Name of libav's Speex decoder that decodes packets of several frames.
const LIBSPEEX: &str = "libspeex";

/// Called with every decoded frame.
pub(crate) type OnFrame<'a> = &'a mut dyn FnMut(frame::Audio) -> Outcome<()>;

/// An audio decoder.
pub(crate) struct SoundDecoder {
    decoder: decoder::Audio,
    codec: Id,
    time_base: Rational,
    /// `None` if frames keep the times of their packets.
    count: Option<Count>,
    /// Whether the decoder outputs all frames of a packet except the first with the next packet, stamped with that packet's time.
    late: bool,
}

/// Time base of times that are counted in samples. The container's own clock may be too coarse for them.
const COUNTED_TIME_BASE: Rational = Rational(1, 1_000_000);

impl SoundDecoder {
    /// Opens the allowed decoder for a stream whose packets have ticks of `time_base`. `counted`: times are counted in samples from the
    /// first timestamp on.
    pub(crate) fn open(
        stream: &Stream<'_>,
        time_base: Rational,
        options: &[(String, String)],
        counted: bool,
    ) -> Outcome<Self> {
        let parameters = stream.parameters();
        let found = find(&parameters).ok_or_else(|| {
            let name = parameters.id().name();
            let codec = names::codec(stream).unwrap_or_else(|| name.to_owned());
            let detail = format!("No allowed decoder for {name}.");
            failure_with(ContentFault::SoundNotSupported { codec }, detail)
        })?;
        let context = codec::Context::from_parameters(parameters.clone())
            .map_err(|error| source_failure(error.into(), "prepare the sound decoder"))?;
        let mut decoder = context.decoder();
        // Without it the decoder cannot move the timestamps of frames whose beginning it cuts off.
        decoder.set_packet_time_base(time_base);
        let mut settings = Dictionary::new();
        settings.set("threads", "1");
        settings.set("max_samples", FRAME_SAMPLES_MAX);
        for (option, value) in options {
            settings.set(option, value);
        }
        let late = found.name() == LIBSPEEX;
        let decoder = decoder
            .open_as_with(found, settings)
            .and_then(decoder::Opened::audio)
            .map_err(|error| source_failure(error.into(), "open the sound decoder"))?;
        let count = counted.then(|| Count::new(time_base));
        Ok(Self { decoder, codec: parameters.id(), time_base, count, late })
    }

    /// Seconds per tick of the frames' times.
    pub(crate) fn time_base(&self) -> Rational {
        if self.count.is_some() { COUNTED_TIME_BASE } else { self.time_base }
    }

    /// Decodes a packet; with `None` drains the decoder. False if a part could not be decoded.
    pub(crate) fn decode(
        &mut self,
        packet: Option<&Packet>,
        on_frame: OnFrame<'_>,
    ) -> Outcome<bool> {
        let Some(whole) = packet else { return self.feed(None, on_frame) };
        let data = whole.data().unwrap_or_default();
        let Some(lengths) = split::lengths(self.codec, self.decoder.channels(), data) else {
            return self.feed(packet, on_frame);
        };
        let (mut rest, mut intact) = (data, true);
        for (index, length) in lengths.into_iter().enumerate() {
            let (frame, behind) = rest.split_at(length);
            rest = behind;
            let seconds = index as f64 * FRAME_SECONDS;
            let ticks = (seconds / f64::from(self.time_base)).round() as i64;
            let mut part = Packet::copy(frame);
            part.set_pts(whole.pts().map(|pts| pts.saturating_add(ticks)));
            part.set_dts(whole.dts().map(|dts| dts.saturating_add(ticks)));
            intact &= self.feed(Some(&part), on_frame)?;
        }
        Ok(intact)
    }

    fn feed(&mut self, packet: Option<&Packet>, on_frame: OnFrame<'_>) -> Outcome<bool> {
        let sent = match packet {
            Some(packet) => self.decoder.send_packet(packet),
            None => self.decoder.send_eof(),
        };
        let mut intact = match sent {
            Ok(()) | Err(Error::Eof) => true,
            Err(error) => tolerate(error)?,
        };
        let mut frames = Vec::new();
        loop {
            let mut frame = frame::Audio::empty();
            match self.decoder.receive_frame(&mut frame) {
                Ok(()) => frames.push(frame),
                Err(Error::Eof | Error::Other { errno: ffi::EAGAIN }) => break,
                Err(error) => {
                    intact = tolerate(error)?;
                    break;
                }
            }
        }
        if self.late {
            restamp(&mut frames, packet.and_then(Packet::pts));
        }
        for mut frame in frames {
            if let Some(count) = &mut self.count {
                count.stamp(&mut frame);
            }
            on_frame(frame)?;
        }
        Ok(intact)
    }
}

/// Restamps frames of which only the last one belongs to the current packet. The others get no time and follow their predecessors.
fn restamp(frames: &mut [frame::Audio], pts: Option<i64>) {
    if let Some((last, earlier)) = frames.split_last_mut() {
        earlier.iter_mut().for_each(|frame| set_time(frame, None));
        set_time(last, pts);
    }
}

fn set_time(frame: &mut frame::Audio, pts: Option<i64>) {
    frame.set_pts(pts);
    #[expect(unsafe_code, reason = "a plain field of a frame that is owned here")]
    unsafe {
        (*frame.as_mut_ptr()).best_effort_timestamp = pts.unwrap_or(ffi::AV_NOPTS_VALUE);
    }
}

/// The decoder for a track; `None` if no allowed one exists.
pub(crate) fn find(parameters: &Parameters) -> Option<Codec> {
    let allowed = |codec: &Codec| allow::is_sound_decoder(codec.name());
    // Flash packs any number of Speex frames into a packet, without a header that has the number. libav's own decoder would decode only the
    // first one.
    let headless = parameters.id() == Id::SPEEX && !has_header(parameters);
    let named = headless.then(|| decoder::find_by_name(LIBSPEEX)).flatten().filter(allowed);
    named.or_else(|| decoder::find(parameters.id()).filter(allowed))
}

fn has_header(parameters: &Parameters) -> bool {
    #[expect(unsafe_code, reason = "a plain field of the stream's parameters")]
    let bytes = unsafe { (*parameters.as_ptr()).extradata_size };
    bytes > 0
}

/// Undecodable data does not fail the track; lack of memory does. Never returns true.
fn tolerate(error: Error) -> Outcome<bool> {
    if error == (Error::Other { errno: ffi::ENOMEM }) {
        return Err(source_failure(error.into(), "decode sound"));
    }
    Ok(false)
}

/// Counts times in samples.
#[derive(Debug)]
struct Count {
    time_base: Rational,
    /// Time of the first frame in microseconds.
    first: Option<i64>,
    /// Seconds of audio since then.
    seconds: f64,
}

impl Count {
    fn new(time_base: Rational) -> Self {
        Self { time_base, first: None, seconds: 0.0 }
    }

    /// Sets the time of a frame. A track without any timestamp begins at 0.
    fn stamp(&mut self, frame: &mut frame::Audio) {
        let first = *self.first.get_or_insert_with(|| {
            let pts = frame.timestamp().or_else(|| frame.pts()).unwrap_or(0);
            pts.rescale(self.time_base, COUNTED_TIME_BASE)
        });
        let ticks = (self.seconds / f64::from(COUNTED_TIME_BASE)).round() as i64;
        set_time(frame, Some(first.saturating_add(ticks)));
        self.seconds += frame.samples() as f64 / f64::from(frame.rate().max(1));
    }
}

#[cfg(test)]
mod tests {
    use ffmpeg_next::{ChannelLayout, format};

    use super::*;

    #[test]
    fn counted_frames_follow_each_other_whatever_their_timestamps_say() {
        let mut count = Count::new(Rational(1, 1000));
        let stamps = [70, 71, 75, 900].map(|pts| {
            let packed = format::Sample::I16(format::sample::Type::Packed);
            let mut frame = frame::Audio::new(packed, 1152, ChannelLayout::MONO);
            frame.set_rate(44_100);
            frame.set_pts(Some(pts));
            count.stamp(&mut frame);
            (frame.pts(), frame.timestamp())
        });
        // 1152 samples are 26.12245 ms: rounding does not accumulate.
        let expected = [70_000, 96_122, 122_245, 148_367].map(Some);
        assert_eq!(stamps.map(|(pts, _)| pts), expected);
        assert!(stamps.iter().all(|(pts, best)| pts == best));
    }

    #[test]
    fn frames_that_come_with_the_next_packet_follow_their_predecessors() {
        let mut frames = [0, 0, 0].map(|_| frame::Audio::empty());
        set_time(&mut frames[0], Some(40));
        restamp(&mut frames, Some(40));
        assert_eq!(frames.map(|frame| frame.timestamp()), [None, None, Some(40)]);
    }
}
