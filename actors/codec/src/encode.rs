//! x264 through libavcodec, with one encoder per tier and chunk.
//!
//! Invariants: one thread and pinned settings, so that equal frames give equal bytes. The decoder configuration depends only on the tier,
//! never on the chunk. The output has only slices with 4-byte lengths.

use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Dictionary, Error, Packet, Rational as AvRational, codec, color, ffi, picture};
use jetreel_domain::codec::wire::EncoderSpec;
use jetreel_domain::plan::h264;
use jetreel_domain::plan::rational::Rational;
use jetreel_domain::plan::x264;

use crate::failure::{Outcome, internal, own_failure};

const NAL_IDR: u8 = 5;
const NAL_SLICE: u8 = 1;
const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;

/// A coded frame in decode order.
pub(crate) struct Coded {
    /// Presentation time in output ticks.
    pub pts: i64,
    /// Whether it starts a closed group of pictures.
    pub idr: bool,
    /// NAL units with their lengths.
    pub data: Vec<u8>,
}

/// Settings shared by all encoders of a job.
pub(crate) struct Settings<'a> {
    /// Output ticks per second.
    pub timescale: u32,
    /// See [`crate::mux::Clock::shift`].
    pub composition_shift: u32,
    /// Frames per second of the source.
    pub frame_rate: Rational,
    /// Name of the x264 preset.
    pub preset: &'a str,
}

/// An encoder of one tier and chunk.
pub(crate) struct Encoder {
    encoder: codec::encoder::video::Encoder,
    configuration: Vec<u8>,
}

impl Encoder {
    /// Opens an encoder for a tier.
    pub(crate) fn open(spec: &EncoderSpec, settings: &Settings<'_>) -> Outcome<Self> {
        let found = codec::encoder::find_by_name("libx264")
            .ok_or_else(|| internal("libavcodec was built without x264"))?;
        let mut video = codec::Context::new_with_codec(found)
            .encoder()
            .video()
            .map_err(|error| own_failure(error, "make an encoder"))?;
        video.set_width(spec.width);
        video.set_height(spec.height);
        video.set_format(Pixel::YUV420P);
        video.set_aspect_ratio(AvRational(1, 1));
        video.set_time_base(AvRational(1, i32::try_from(settings.timescale).unwrap_or(i32::MAX)));
        video.set_frame_rate(Some(frame_rate(settings.frame_rate)));
        video.set_flags(codec::Flags::GLOBAL_HEADER);
        video.set_colorspace(color::Space::BT709);
        video.set_color_primaries(color::Primaries::BT709);
        video.set_color_transfer_characteristic(color::TransferCharacteristic::BT709);
        video.set_color_range(color::Range::MPEG);
        let encoder = video
            .open_as_with(found, options(spec, settings.preset))
            .map_err(|error| own_failure(error, "open the encoder"))?;
        let configuration = configuration(&extradata(&encoder))?;
        Ok(Self { encoder, configuration })
    }

    /// Body of the `avcC` box.
    pub(crate) fn configuration(&self) -> &[u8] {
        &self.configuration
    }

    /// Encodes a frame at `pts` (output ticks), as an IDR if requested. The frame's own time and type are overwritten.
    pub(crate) fn encode(
        &mut self,
        frame: &mut Video,
        pts: i64,
        idr: bool,
        coded: &mut Vec<Coded>,
    ) -> Outcome<()> {
        frame.set_pts(Some(pts));
        frame.set_kind(if idr { picture::Type::I } else { picture::Type::None });
        self.encoder.send_frame(frame).map_err(|error| own_failure(error, "encode a frame"))?;
        self.collect(coded)
    }

    /// Encodes the frames that are held back.
    pub(crate) fn finish(&mut self, coded: &mut Vec<Coded>) -> Outcome<()> {
        self.encoder.send_eof().map_err(|error| own_failure(error, "end an encoder"))?;
        self.collect(coded)
    }

    fn collect(&mut self, coded: &mut Vec<Coded>) -> Outcome<()> {
        loop {
            let mut packet = Packet::empty();
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => coded.push(slices(&packet)?),
                Err(Error::Eof | Error::Other { errno: ffi::EAGAIN }) => return Ok(()),
                Err(error) => return Err(own_failure(error, "encode a frame")),
            }
        }
    }
}

fn options(spec: &EncoderSpec, preset: &str) -> Dictionary<'static> {
    let mut options = Dictionary::new();
    let rate = spec.max_rate.to_string();
    for (name, value) in [
        ("preset", preset),
        ("profile", "high"),
        ("crf", &spec.crf.to_string()),
        ("maxrate", &rate),
        ("bufsize", &rate),
        ("level", &spec.level.to_string()),
        ("refs", &references(spec, preset).to_string()),
        ("bf", "3"),
        ("threads", "1"),
        ("forced-idr", "1"),
        ("a53cc", "0"),
        (
            "x264-params",
            "annexb=0:stitchable=1:open-gop=0:scenecut=40:keyint=infinite:min-keyint=536870912",
        ),
    ] {
        options.set(name, value);
    }
    options
}

/// Reference frames: the preset's number, as far as the level's picture buffer can hold them.
fn references(spec: &EncoderSpec, preset: &str) -> u32 {
    let held = h264::pictures_held(spec.level, spec.width, spec.height);
    held.clamp(1, x264::named(preset).references)
}

fn frame_rate(rate: Rational) -> AvRational {
    match (i32::try_from(rate.num), i32::try_from(rate.den)) {
        (Ok(num), Ok(den)) if num > 0 && den > 0 => AvRational(num, den),
        _ => AvRational(30, 1),
    }
}

fn extradata(encoder: &codec::encoder::video::Encoder) -> Vec<u8> {
    #[expect(unsafe_code, reason = "the encoder is open and owns this many bytes of extradata")]
    unsafe {
        let context = &*encoder.as_ptr();
        if context.extradata.is_null() {
            return Vec::new();
        }
        let length = usize::try_from(context.extradata_size).unwrap_or(0);
        std::slice::from_raw_parts(context.extradata, length).to_vec()
    }
}

/// The `avcC` body (ISO/IEC 14496-15, 5.3.3) from SPS and PPS with their lengths.
fn configuration(headers: &[u8]) -> Outcome<Vec<u8>> {
    let find =
        |kind: u8| units(headers).find(|unit| unit.first().is_some_and(|byte| byte & 31 == kind));
    let (Some(sps), Some(pps)) = (find(NAL_SPS), find(NAL_PPS)) else {
        return Err(internal("the encoder gave no parameter sets"));
    };
    let Some(&[profile, compatibility, level]) = sps.get(1..4).and_then(|s| s.first_chunk()) else {
        return Err(internal("the encoder gave a short parameter set"));
    };
    let mut body = vec![1, profile, compatibility, level, 0xff, 0xe1];
    body.extend((sps.len() as u16).to_be_bytes());
    body.extend(sps);
    body.push(1);
    body.extend((pps.len() as u16).to_be_bytes());
    body.extend(pps);
    // High profile: 4:2:0, 8 bits, no further parameter sets.
    body.extend([0xfd, 0xf8, 0xf8, 0]);
    Ok(body)
}

/// The slices of a packet, without units that only describe the encoder.
fn slices(packet: &Packet) -> Outcome<Coded> {
    let bytes = packet.data().unwrap_or_default();
    let mut data = Vec::with_capacity(bytes.len());
    let mut idr = false;
    for unit in units(bytes) {
        let kind = unit.first().map_or(0, |byte| byte & 31);
        if kind == NAL_IDR || kind == NAL_SLICE {
            idr |= kind == NAL_IDR;
            data.extend((unit.len() as u32).to_be_bytes());
            data.extend(unit);
        }
    }
    match packet.pts() {
        Some(pts) if !data.is_empty() => Ok(Coded { pts, idr, data }),
        _ => Err(internal("the encoder gave a packet without a picture or a time")),
    }
}

/// NAL units from bytes with 4-byte lengths.
fn units(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (unit, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        bytes = rest;
        Some(unit)
    })
}

/// Core number of x264, which it writes into its first packet. It is part of what determines the output bytes.
pub(crate) fn x264_core() -> Outcome<String> {
    let spec = EncoderSpec {
        name: String::new(),
        width: 16,
        height: 16,
        crf: 30,
        max_rate: 50_000,
        level: 10,
        rule: jetreel_domain::plan::framerate::FrameRule::ALL,
    };
    let settings = Settings {
        timescale: 25,
        composition_shift: 0,
        frame_rate: Rational::new(25, 1),
        preset: "ultrafast",
    };
    let mut encoder = Encoder::open(&spec, &settings)?;
    let mut frame = Video::new(Pixel::YUV420P, 16, 16);
    for plane in 0..3 {
        frame.data_mut(plane).fill(128);
    }
    frame.set_pts(Some(0));
    let encoder = &mut encoder.encoder;
    let mut packet = Packet::empty();
    encoder
        .send_frame(&frame)
        .and_then(|()| encoder.send_eof())
        .and_then(|()| encoder.receive_packet(&mut packet))
        .map_err(|error| own_failure(error, "encode a frame"))?;
    let text = String::from_utf8_lossy(packet.data().unwrap_or_default());
    let core = text.split("x264 - core ").nth(1).and_then(|rest| rest.split(" - H.264").next());
    Ok(core.unwrap_or("unknown").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetreel_domain::plan::framerate::FrameRule;

    fn spec(width: u32, height: u32, level: u32) -> EncoderSpec {
        EncoderSpec {
            name: "x".to_owned(),
            width,
            height,
            crf: 23,
            max_rate: 1_000_000,
            level,
            rule: FrameRule::ALL,
        }
    }

    fn encode(frames: i64, crf: u32) -> (Vec<u8>, Vec<Coded>) {
        let spec = EncoderSpec { crf, ..spec(64, 48, 21) };
        let settings = Settings {
            timescale: 90_000,
            composition_shift: 0,
            frame_rate: Rational::new(25, 1),
            preset: "veryfast",
        };
        let mut encoder = Encoder::open(&spec, &settings).unwrap();
        let mut coded = Vec::new();
        for index in 0..frames {
            let mut frame = Video::new(Pixel::YUV420P, 64, 48);
            for plane in 0..3 {
                frame.data_mut(plane).fill((index * 7 % 256) as u8);
            }
            encoder.encode(&mut frame, index * 3600, index % 10 == 0, &mut coded).unwrap();
        }
        encoder.finish(&mut coded).unwrap();
        (encoder.configuration().to_vec(), coded)
    }

    #[test]
    fn the_decoder_configuration_does_not_depend_on_the_chunk() {
        let (long, coded) = encode(25, 23);
        assert_eq!(long, encode(1, 23).0);
        assert_eq!(coded.len(), 25);
        let idr: Vec<i64> = coded.iter().filter(|c| c.idr).map(|c| c.pts / 3600).collect();
        assert_eq!(idr, [0, 10, 20]);
        assert_eq!(&long[..4], [1, 100, 0, 21]);
    }

    #[test]
    fn the_same_frames_give_the_same_bytes() {
        let bytes = |coded: Vec<Coded>| coded.into_iter().flat_map(|c| c.data).collect::<Vec<_>>();
        assert_eq!(bytes(encode(25, 23).1), bytes(encode(25, 23).1));
    }

    /// A moving picture with a width that x264's fastest code reads beyond.
    fn moving(frames: i64) -> Vec<u8> {
        let settings = Settings {
            timescale: 90_000,
            composition_shift: 0,
            frame_rate: Rational::new(25, 1),
            preset: "veryfast",
        };
        let mut encoder = Encoder::open(&spec(426, 240, 21), &settings).unwrap();
        let mut coded = Vec::new();
        for index in 0..frames {
            let mut frame = Video::new(Pixel::YUV420P, 426, 240);
            for plane in 0..3 {
                let stride = frame.stride(plane);
                for (place, byte) in frame.data_mut(plane).iter_mut().enumerate() {
                    let (x, y) = ((place % stride) as i64, (place / stride) as i64);
                    *byte = ((x + 3 * index) * (y + index) / 37 % 219 + 16) as u8;
                }
            }
            encoder.encode(&mut frame, index * 3600, index % 50 == 0, &mut coded).unwrap();
        }
        encoder.finish(&mut coded).unwrap();
        coded.into_iter().flat_map(|coded| coded.data).collect()
    }

    #[test]
    fn what_memory_held_before_changes_nothing() {
        crate::memory::set_up_heap();
        let first = moving(50);
        for byte in [1, 0x55, 0xaa, 0xfe] {
            // Every tenth block stays, so that the heap keeps what the others leave.
            let mut blocks: Vec<Vec<u8>> = (0..2000).map(|_| vec![byte; 100_000]).collect();
            for (place, block) in blocks.iter_mut().enumerate() {
                if place % 10 > 0 {
                    block.fill(byte);
                    *block = Vec::new();
                }
            }
            assert!(moving(50) == first, "{byte:#x}");
        }
    }

    #[test]
    fn reference_frames_fit_the_level() {
        assert_eq!(references(&spec(1920, 1080, 40), "veryfast"), 1);
        assert_eq!(references(&spec(1920, 1080, 40), "veryslow"), 4);
        assert_eq!(references(&spec(1280, 720, 31), "slow"), 5);
    }

    #[test]
    fn the_encoder_names_itself() {
        assert!(x264_core().unwrap().starts_with(|c: char| c.is_ascii_digit()));
    }
}
