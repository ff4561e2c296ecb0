//! Facts from a stream's header, in the types of the domain.
//!
//! Invariant: headers are not trusted. Rotations are rounded to quarter turns, unknown ratios become 1, names come from libav's own tables.

use std::ffi::CStr;

use ffmpeg_next::format::stream::Disposition;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Stream, codec, ffi, media};
use jetreel_domain::codec::clock;
use jetreel_domain::codec::hdr::Signs;
use jetreel_domain::plan::media::{AudioTrack, Colour, UnusedReason};
use jetreel_domain::plan::rational::Rational;
use jetreel_domain::words::printable::printable;

use crate::input::Input;
use crate::sound_decoder;

/// Most characters of a track's title.
const TITLE_LENGTH_MAX: usize = 100;

/// The time base of a stream's packets, as [`Input::read`] gives them.
pub(crate) fn time_base(stream: &Stream<'_>) -> Rational {
    clock::working(rational(stream.time_base()))
}

/// A rational of libav.
pub(crate) fn rational(value: ffmpeg_next::Rational) -> Rational {
    Rational::new(i64::from(value.numerator()), i64::from(value.denominator()))
}

/// A rational for libav, which has 32 bits.
pub(crate) fn libav(value: Rational) -> ffmpeg_next::Rational {
    let part = |part: i64| i32::try_from(part).unwrap_or(i32::MAX);
    ffmpeg_next::Rational(part(value.num), part(value.den))
}

/// A ratio; `None` for 0/1, which libav writes if there is none.
pub(crate) fn known(ratio: ffmpeg_next::Rational) -> Option<Rational> {
    Some(rational(ratio)).filter(|ratio| ratio.num > 0 && ratio.den > 0)
}

/// Sample aspect that the container declares for a stream. The stream itself may signal another one.
pub(crate) fn container_aspect(stream: &Stream<'_>) -> Option<Rational> {
    #[expect(unsafe_code, reason = "a plain field of an open stream")]
    let aspect = unsafe { (*stream.as_ptr()).sample_aspect_ratio };
    known(aspect.into())
}

/// Clockwise rotation and mirroring (after the rotation) of a display matrix.
pub(crate) fn orientation(stream: &Stream<'_>) -> (u16, bool) {
    let matrix = stream
        .side_data()
        .find(|data| data.kind() == ffmpeg_next::packet::side_data::Type::DisplayMatrix)
        .map(|data| data.data().to_vec())
        .unwrap_or_default();
    let entry = |index: usize| {
        let bytes = matrix.get(index * 4..index * 4 + 4).and_then(|b| <[u8; 4]>::try_from(b).ok());
        bytes.map_or(0.0, |bytes| f64::from(i32::from_ne_bytes(bytes)))
    };
    quarter_turns([entry(0), entry(1), entry(3), entry(4)])
}

/// `x' = a·x + c·y`, `y' = b·x + d·y`, with y pointing down.
fn quarter_turns([a, b, c, d]: [f64; 4]) -> (u16, bool) {
    let mirrored = a * d - b * c < 0.0;
    let a = if mirrored { -a } else { a };
    if a == 0.0 && b == 0.0 {
        return (0, mirrored);
    }
    let turns = (b.atan2(a).to_degrees() / 90.0).round() as i32;
    ((turns.rem_euclid(4) * 90) as u16, mirrored)
}

/// The colour of a decoded frame, with missing values from the header.
pub(crate) fn colour(stream: &Stream<'_>, frame: &Video) -> Colour {
    let parameters = stream.parameters();
    #[expect(
        unsafe_code,
        reason = "plain fields, read as integers because a file can hold any number where libav has an enum"
    )]
    let (decoded, header): ([i32; 4], [i32; 4]) = unsafe {
        let (frame, header) = (frame.as_ptr(), parameters.as_ptr());
        (
            [
                (&raw const (*frame).color_primaries).cast::<i32>().read(),
                (&raw const (*frame).color_trc).cast::<i32>().read(),
                (&raw const (*frame).colorspace).cast::<i32>().read(),
                (&raw const (*frame).color_range).cast::<i32>().read(),
            ],
            [
                (&raw const (*header).color_primaries).cast::<i32>().read(),
                (&raw const (*header).color_trc).cast::<i32>().read(),
                (&raw const (*header).color_space).cast::<i32>().read(),
                (&raw const (*header).color_range).cast::<i32>().read(),
            ],
        )
    };
    let name = |table: &[&str], field: usize| {
        let look_up = |number: i32| {
            let known = usize::try_from(number).ok().and_then(|number| table.get(number));
            known.copied().filter(|name| !matches!(*name, UNKNOWN | "reserved"))
        };
        look_up(decoded[field]).or_else(|| look_up(header[field])).unwrap_or(UNKNOWN).to_owned()
    };
    Colour {
        primaries: name(&PRIMARIES, 0),
        transfer: name(&TRANSFERS, 1),
        matrix: name(&MATRICES, 2),
        range: name(&[UNKNOWN, "tv", "pc"], 3),
    }
}

/// Signs of high dynamic range in a frame and in the header of its stream.
pub(crate) fn signs(stream: &Stream<'_>, frame: &Video) -> Signs {
    use ffmpeg_next::packet::side_data::Type;
    let has = |kind: Type| stream.side_data().any(|data| data.kind() == kind);
    let mastering = has(Type::MasteringDisplayMetadata);
    signs_of(frame).or(Signs { bits: 0, mastering, dynamic: has(Type::DYNAMIC_HDR10_PLUS) })
}

/// Signs of high dynamic range in a frame.
pub(crate) fn signs_of(frame: &Video) -> Signs {
    use ffmpeg_next::frame::side_data::Type;
    let descriptor = frame.format().descriptor();
    #[expect(unsafe_code, reason = "descriptors are static")]
    let bits = descriptor.map_or(0, |descriptor| unsafe { (*descriptor.as_ptr()).comp[0].depth });
    Signs {
        bits: bits.unsigned_abs(),
        mastering: frame.side_data(Type::MasteringDisplayMetadata).is_some(),
        dynamic: frame.side_data(Type::DYNAMIC_HDR_PLUS).is_some(),
    }
}

const UNKNOWN: &str = "unknown";

/// libav's names by the code points of ITU-T H.273, table 2.
const PRIMARIES: [&str; 13] = [
    "reserved",
    "bt709",
    UNKNOWN,
    "reserved",
    "bt470m",
    "bt470bg",
    "smpte170m",
    "smpte240m",
    "film",
    "bt2020",
    "smpte428",
    "smpte431",
    "smpte432",
];

/// Names by the code points of table 3.
const TRANSFERS: [&str; 19] = [
    "reserved",
    "bt709",
    UNKNOWN,
    "reserved",
    "bt470m",
    "bt470bg",
    "smpte170m",
    "smpte240m",
    "linear",
    "log100",
    "log316",
    "iec61966-2-4",
    "bt1361e",
    "iec61966-2-1",
    "bt2020-10",
    "bt2020-12",
    "smpte2084",
    "smpte428",
    "arib-std-b67",
];

/// Names by the code points of table 4.
const MATRICES: [&str; 15] = [
    "gbr",
    "bt709",
    UNKNOWN,
    "reserved",
    "fcc",
    "bt470bg",
    "smpte170m",
    "smpte240m",
    "ycgco",
    "bt2020nc",
    "bt2020c",
    "smpte2085",
    "chroma-derived-nc",
    "chroma-derived-c",
    "ictcp",
];

/// An audio track as the container declares it.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// The track. Rate and channels are 0 if the header declares none.
    pub track: AudioTrack,
    /// Why its header rules it out; `None` if it does not.
    pub obstacle: Option<UnusedReason>,
}

/// The audio tracks in file order.
pub(crate) fn audio(input: &Input) -> Vec<Candidate> {
    let streams = (0..input.streams()).filter_map(|index| input.stream(index).ok());
    let sound = streams.filter(|stream| stream.parameters().medium() == media::Type::Audio);
    (1..).zip(sound).map(|(number, stream)| candidate(number, &stream)).collect()
}

fn candidate(number: u32, stream: &Stream<'_>) -> Candidate {
    let parameters = stream.parameters();
    #[expect(unsafe_code, reason = "plain fields of the stream's parameters")]
    let (sample_rate, channels) = unsafe {
        let raw = parameters.as_ptr();
        ((*raw).sample_rate, (*raw).ch_layout.nb_channels)
    };
    let disposition = stream.disposition();
    let secondary =
        Disposition::COMMENT | Disposition::HEARING_IMPAIRED | Disposition::VISUAL_IMPAIRED;
    let track = AudioTrack {
        stream: stream.index() as u32,
        codec: codec_name(stream),
        sample_rate: u32::try_from(sample_rate).unwrap_or(0),
        channels: u32::try_from(channels).unwrap_or(0),
        time_base: time_base(stream),
        start: start(stream).unwrap_or(0),
        seconds: 0.0,
        continued: Vec::new(),
        clock: Vec::new(),
        language: language(stream),
        title: title(stream),
        default: disposition.contains(Disposition::DEFAULT),
        number,
        secondary: disposition.intersects(secondary),
        counted: false,
        mixed: false,
    };
    let decodable = sound_decoder::find(&parameters).is_some();
    Candidate { track, obstacle: (!decodable).then_some(UnusedReason::UnsupportedCodec) }
}

/// Name of the codec. If libav has none, the container's name.
pub(crate) fn codec_name(stream: &Stream<'_>) -> String {
    let parameters = stream.parameters();
    if parameters.id() != codec::Id::None {
        return parameters.id().name().to_owned();
    }
    #[expect(unsafe_code, reason = "a plain field of the stream's parameters")]
    let tag = unsafe { (*parameters.as_ptr()).codec_tag };
    let printable = |byte: &u8| byte.is_ascii_alphanumeric();
    let name: String = tag.to_le_bytes().into_iter().filter(printable).map(char::from).collect();
    if name.is_empty() { UNKNOWN.to_owned() } else { name }
}

/// An entry of a libav dictionary as text; empty if there is none.
pub(crate) fn text(dictionary: *const ffi::AVDictionary, key: &CStr) -> String {
    #[expect(
        unsafe_code,
        reason = "a dictionary may be null; what an entry holds need not be UTF-8, so the safe form will not do"
    )]
    unsafe {
        let entry = ffi::av_dict_get(dictionary, key.as_ptr(), std::ptr::null(), 0);
        if entry.is_null() {
            return String::new();
        }
        CStr::from_ptr((*entry).value).to_string_lossy().into_owned()
    }
}

/// Start of a stream as the container declares it, in ticks of [`time_base`].
pub(crate) fn start(stream: &Stream<'_>) -> Option<i64> {
    let own = rational(stream.time_base());
    let ticks = Some(stream.start_time()).filter(|ticks| *ticks != ffi::AV_NOPTS_VALUE)?;
    Some(clock::convert(ticks, own, time_base(stream)))
}

/// Languages of the subtitle tracks in file order.
pub(crate) fn subtitles(input: &Input) -> Vec<String> {
    let streams = (0..input.streams()).filter_map(|index| input.stream(index).ok());
    let subtitles = streams.filter(|s| s.parameters().medium() == media::Type::Subtitle);
    subtitles.map(|stream| language(&stream)).collect()
}

fn language(stream: &Stream<'_>) -> String {
    #[expect(unsafe_code, reason = "a plain field of the stream")]
    let metadata = unsafe { (*stream.as_ptr()).metadata };
    clean(&text(metadata, c"language"))
}

/// Title of a track; empty without one.
fn title(stream: &Stream<'_>) -> String {
    #[expect(unsafe_code, reason = "a plain field of the stream")]
    let metadata = unsafe { (*stream.as_ptr()).metadata };
    let title: String = printable(&text(metadata, c"title"));
    title.trim().chars().take(TITLE_LENGTH_MAX).collect()
}

/// A language tag has letters, digits and hyphens. Other characters are removed.
fn clean(language: &str) -> String {
    let valid = !language.is_empty()
        && language.len() <= 35
        && language.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if valid { language.to_owned() } else { "und".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_matrices_become_quarter_turns() {
        let cases = [
            ([1.0, 0.0, 0.0, 1.0], (0, false)),
            ([0.0, 1.0, -1.0, 0.0], (90, false)),
            ([-1.0, 0.0, 0.0, -1.0], (180, false)),
            ([0.0, -1.0, 1.0, 0.0], (270, false)),
            ([-1.0, 0.0, 0.0, 1.0], (0, true)),
            ([1.0, 0.0, 0.0, -1.0], (180, true)),
            ([0.0, 1.0, 1.0, 0.0], (90, true)),
            ([0.0, 0.0, 0.0, 0.0], (0, false)),
            ([0.99, 0.1, -0.1, 0.99], (0, false)),
        ];
        for (matrix, expected) in cases {
            assert_eq!(quarter_turns(matrix), expected, "{matrix:?}");
        }
    }

    #[test]
    fn a_language_is_a_tag_or_undetermined() {
        assert_eq!(clean("deu"), "deu");
        assert_eq!(clean("<script>"), "und");
    }
}
