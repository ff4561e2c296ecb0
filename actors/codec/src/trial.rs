//! Decodes the first frames of a picture track. Their properties are more reliable than those in headers.
//!
//! Invariant: only a few frames are decoded, or a number of packets without any.

use ffmpeg_next::frame::Video;
use ffmpeg_next::{Stream, codec, ffi, picture};
use jetreel_domain::codec::hdr::Signs;
use jetreel_domain::codec::wire::Budget;
use jetreel_domain::plan::h264;
use jetreel_domain::plan::media::Colour;
use jetreel_domain::plan::rational::Rational;

use crate::decode::{Decoder, Pull, check_pixels, no_frames, no_key};
use crate::facts;
use crate::failure::Outcome;
use crate::input::Input;
use crate::legacy::Beginning;
use crate::sound_probe::SoundProbe;

/// Number of frames that are examined.
const FRAMES: u32 = 16;
/// Most packets of the track that are tried.
const PACKETS_MAX: u32 = 3_000;

/// Properties of the first frames.
#[derive(Debug)]
pub(crate) struct Trial {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pixel format name of libav.
    pub pixel_format: String,
    /// Colour as decoded, else as signalled.
    pub colour: Colour,
    /// Pixel aspect ratio.
    pub sample_aspect: Rational,
    /// Pixel aspect ratio that the first frame itself signals; `None` if it signals none.
    pub signalled_aspect: Option<Rational>,
    /// Whether a frame was coded as two fields.
    pub interlaced: bool,
    /// Whether all frames were intra-coded.
    pub intra_only: bool,
    /// Options for decoders that start later.
    pub decoder_options: Vec<(String, String)>,
    /// Timestamp of the first intact frame. Packets before it are never shown.
    pub first_shown: Option<i64>,
    /// Number of later packets that could not be decoded.
    pub damage: u64,
    /// Whether frames or packets before it could not be shown: the track begins in the middle of a group of pictures.
    pub headless: bool,
    /// Whether the first shown picture refers to others that are not in the file, without an error of the decoder.
    pub blind: bool,
    /// Signs of high dynamic range besides the colour tags.
    pub signs: Signs,
    /// Whether it is uncertain which of two ways of decoding is right.
    pub unclear: bool,
}

impl Trial {
    /// Decodes the next packets of `input`. Audio packets between them go to `sound`.
    pub(crate) fn run(
        input: &mut Input,
        stream: u32,
        sound: &mut SoundProbe,
        budget: &Budget,
    ) -> Outcome<Self> {
        input.only(&[&[stream], &sound.wanted()[..]].concat());
        let time_base = input.time_base(stream)?;
        let mut decoder = Decoder::open(&input.stream(stream)?, time_base, &[], budget)?;
        let mut frame = Video::empty();
        let mut trial: Option<Self> = None;
        let (mut core, mut beginning) = (None, Beginning::default());
        // Before the first intact frame.
        let (mut lost, mut head) = (0, 0);
        let mut begins_with_key = None;
        let (mut frames, mut packets, mut keys, mut bytes) = (0, 0, 0, 0);
        while frames < FRAMES && packets < PACKETS_MAX {
            match decoder.pull(&mut frame)? {
                Pull::Frame => {
                    check_pixels(frame.width(), frame.height(), budget)?;
                    if trial.is_none() && !decoder.is_intact() {
                        lost += 1;
                        continue;
                    }
                    frames += 1;
                    match &mut trial {
                        Some(trial) => trial.look(&frame),
                        None => {
                            head = decoder.damage();
                            let blind = begins_with_key == Some(false) && lost + head == 0;
                            let first = Self::first(input, stream, &mut frame)?;
                            let blind = blind && frame.kind() != picture::Type::I;
                            trial = Some(Self { blind, ..first });
                        }
                    }
                }
                Pull::End => break,
                Pull::Hungry => {
                    let packet = input.read()?;
                    if let Some(other) = packet.as_ref().filter(|p| p.stream() != stream as usize) {
                        sound.take(other)?;
                        if sound.is_over(input, bytes * 2) {
                            input.only(&[stream]);
                        }
                        continue;
                    }
                    if let Some(packet) = &packet {
                        packets += 1;
                        begins_with_key.get_or_insert_with(|| packet.is_key());
                        bytes += packet.size() as u64;
                        keys += u32::from(packet.is_key());
                        core = core.or_else(|| packet.data().and_then(x264_core));
                        beginning.keep(packet);
                    }
                    decoder.push(packet.as_ref())?;
                }
            }
        }
        let none = if packets > 0 && keys == 0 { no_key } else { no_frames };
        let mut trial = trial.ok_or_else(|| none(decoder.damage() + lost))?;
        trial.headless = lost + head > 0;
        trial.damage = decoder.damage() - head + input.failed_reads();
        let parameters = input.stream(stream)?.parameters();
        if parameters.id() == codec::Id::H264 && h264::is_444(profile(input, stream)?) {
            trial.tell_encoder(core, &beginning, &input.stream(stream)?, time_base, budget)?;
        }
        Ok(trial)
    }

    /// Chooses the decoder option of a 4:4:4 stream.
    fn tell_encoder(
        &mut self,
        core: Option<String>,
        beginning: &Beginning,
        stream: &Stream<'_>,
        time_base: Rational,
        budget: &Budget,
    ) -> Outcome<()> {
        if let Some(core) = core {
            self.decoder_options.push(("x264_build".to_owned(), core));
            return Ok(());
        }
        let way = beginning.way(stream, time_base, budget)?;
        self.unclear = !way.certain;
        self.decoder_options.extend(way.option());
        Ok(())
    }

    fn first(input: &mut Input, stream: u32, frame: &mut Video) -> Outcome<Self> {
        let (header_interlaced, aspect) = header(input, stream, frame)?;
        let found = input.stream(stream)?;
        let mut trial = Self {
            width: frame.width(),
            height: frame.height(),
            pixel_format: frame.format().descriptor().map_or("unknown", |d| d.name()).to_owned(),
            colour: facts::colour(&found, frame),
            signalled_aspect: facts::known(frame.aspect_ratio()),
            sample_aspect: facts::known(aspect).unwrap_or(Rational { num: 1, den: 1 }),
            interlaced: header_interlaced,
            intra_only: true,
            decoder_options: Vec::new(),
            first_shown: frame.timestamp(),
            damage: 0,
            headless: false,
            blind: false,
            signs: facts::signs(&found, frame),
            unclear: false,
        };
        trial.look(frame);
        Ok(trial)
    }

    fn look(&mut self, frame: &Video) {
        self.interlaced |= frame.is_interlaced();
        self.intra_only &= frame.kind() == picture::Type::I;
        self.signs = self.signs.or(facts::signs_of(frame));
    }
}

/// Profile number of a stream, from libav.
pub(crate) fn profile(input: &Input, stream: u32) -> Outcome<i32> {
    let parameters: codec::Parameters = input.stream(stream)?.parameters();
    #[expect(unsafe_code, reason = "a plain field of the stream's parameters")]
    let profile = unsafe { (*parameters.as_ptr()).profile };
    Ok(profile)
}

/// Whether the header marks the pictures as interlaced, and the pixel aspect ratio from container and frame.
fn header(
    input: &mut Input,
    stream: u32,
    frame: &mut Video,
) -> Outcome<(bool, ffmpeg_next::Rational)> {
    let parameters = input.stream(stream)?.parameters();
    #[expect(unsafe_code, reason = "plain fields of an open context; the index was checked above")]
    unsafe {
        let order = (&raw const (*parameters.as_ptr()).field_order).cast::<i32>().read();
        let context = input.context().as_mut_ptr();
        let found = *(*context).streams.add(stream as usize);
        let aspect = ffi::av_guess_sample_aspect_ratio(context, found, frame.as_mut_ptr());
        // 0 is unknown, 1 is progressive.
        Ok((order > 1, aspect.into()))
    }
}

/// The number after `x264 - core` in the text that x264 writes into its first packet.
fn x264_core(packet: &[u8]) -> Option<String> {
    const MARK: &[u8] = b"x264 - core ";
    let at = packet.windows(MARK.len()).position(|window| window == MARK)?;
    let digits = packet.get(at + MARK.len()..)?.iter().take_while(|byte| byte.is_ascii_digit());
    let core: String = digits.take(6).map(|byte| char::from(*byte)).collect();
    Some(core).filter(|core| !core.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_of_x264_is_read_from_its_text() {
        let packet = b"\0\0\x02\x9f\x06\x05...x264 - core 142 r2389 956c8d8 - H.264";
        assert_eq!(x264_core(packet), Some("142".to_owned()));
        assert_eq!(x264_core(b"x264 - core "), None);
    }
}
