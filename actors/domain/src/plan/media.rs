//! What a source is, as the codec's probe reports it: facts only, no judgement.

use serde::{Deserialize, Serialize};

use crate::codec::discontinuity::ClockStep;
use crate::codec::lasting::Lasting;
use crate::plan::rational::Rational;

/// All random-access points within this many seconds of the first one are reported, up to [`DENSE_POINTS_MAX`].
pub const DENSE_SECONDS: f64 = 12.0;
/// Further ones are at least this many seconds apart.
pub const SPARSE_SECONDS: f64 = 4.0;
/// Twelve seconds of intra-coded pictures at 340 a second.
pub const DENSE_POINTS_MAX: usize = 4096;

/// Options that a decoder may be given; each is given once at most.
pub const DECODER_OPTIONS_MAX: usize = 1;

/// Whether a decoder may be given an option. A process that has read the source reports the options, and they are passed to libav, where
/// other options open files or start threads.
#[must_use]
pub fn is_decoder_option(name: &str, value: &str) -> bool {
    name == "x264_build" && is_build(value)
}

fn is_build(value: &str) -> bool {
    (1..=6).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit())
}

/// Everything the probe found out about a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeFacts {
    /// libav's demuxer name, such as `mov,mp4,m4a,3gp,3g2,mj2`.
    pub format: String,
    /// Bytes of the source.
    pub bytes: u64,
    /// The video track that will be used: the default one of the largest real (not a cover, decodable) picture tracks.
    pub video: Option<VideoTrack>,
    /// Audio tracks that can be decoded, in file order.
    pub audio: Vec<AudioTrack>,
    /// Audio tracks that are left out, in file order.
    #[serde(default)]
    pub unused_audio: Vec<UnusedAudio>,
    /// Languages of the subtitle tracks, as tagged, one for each track.
    #[serde(default)]
    pub subtitles: Vec<String>,
    /// How many streams the container declares.
    pub streams: u32,
    /// True where the container's own data says that it is cut short (samples past the end of the file).
    pub truncated: bool,
    /// Things a user should know, each a sentence.
    pub warnings: Vec<String>,
}

/// The video track to encode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VideoTrack {
    /// Stream index in the container.
    pub stream: u32,
    /// libav's codec name, such as `h264`.
    pub codec: String,
    /// libav's profile number (`FF_PROFILE_*`), -99 where unknown.
    pub profile: i32,
    /// Coded size as first decoded, pixels.
    pub width: u32,
    /// Coded size as first decoded, pixels.
    pub height: u32,
    /// Sample (pixel) aspect ratio; 1/1 where unknown.
    pub sample_aspect: Rational,
    /// Sample aspect that the first picture itself signals, where it does; the container may overrule it.
    #[serde(default)]
    pub signalled_aspect: Option<Rational>,
    /// Clockwise rotation to apply for display: 0, 90, 180 or 270.
    pub rotation: u16,
    /// Mirror horizontally (after the rotation).
    pub mirrored: bool,
    /// libav's pixel format name, such as `yuv420p10le`.
    pub pixel_format: String,
    /// Colour as signalled.
    pub colour: Colour,
    /// True where a decoded frame or the container says that the pictures are interlaced.
    pub interlaced: bool,
    /// Seconds per tick of every timestamp of this track.
    pub time_base: Rational,
    /// Average frames per second; never 0 (measured where the container lies).
    pub frame_rate: Rational,
    /// PTS of the first packet that can be shown, ticks.
    pub start: i64,
    /// PTS just after the last frame, ticks, from packets, not from the header.
    pub end: i64,
    /// How many packets of the track are in the file.
    pub packets: u64,
    /// Random-access points, by PTS, ascending: dense at first ([`DENSE_SECONDS`]), then sparse ([`SPARSE_SECONDS`]).
    pub random_access: Vec<RandomAccess>,
    /// DTS never goes back over the whole track and every packet has a PTS.
    pub monotonic: bool,
    /// Edits of the container's edit list that show media (not empty ones); 0 where there is no list.
    pub media_edits: u32,
    /// Sample descriptions of the track (MP4 `stsd` entries); 1 elsewhere.
    pub descriptions: u32,
    /// Largest distance between neighbouring PTS, ticks.
    pub largest_gap: i64,
    /// The same without times in which there is sound, ticks.
    #[serde(default)]
    pub silent_gap: i64,
    /// How long pictures last.
    #[serde(default)]
    pub lasting: Lasting,
    /// Further streams that continue this track in the middle of the file: joined recordings number their streams anew.
    #[serde(default)]
    pub continued: Vec<u32>,
    /// Steps of the container's clock, in file order. All other times of this track are mended already, except
    /// [`RandomAccess::dts`].
    #[serde(default)]
    pub clock: Vec<ClockStep>,
    /// Options the decoder needs when it starts in the middle of the track, such as `x264_build=142`.
    pub decoder_options: Vec<(String, String)>,
}

/// A point where a decoder can start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RandomAccess {
    /// Presentation time of the key picture, ticks.
    pub pts: i64,
    /// Decode time of its packet by the container's own clock, ticks: what to seek to.
    pub dts: i64,
}

/// Colour description, libav's names (`bt709`, `smpte2084`, `arib-std-b67` …; `unknown` where not signalled).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Colour {
    pub primaries: String,
    /// Transfer characteristic.
    pub transfer: String,
    pub matrix: String,
    /// `tv`, `pc` or `unknown`.
    pub range: String,
}

impl Colour {
    /// Whether the transfer is one of the HDR ones (PQ, ITU-R BT.2100; HLG, ARIB STD-B67).
    #[must_use]
    pub fn is_hdr(&self) -> bool {
        matches!(self.transfer.as_str(), "smpte2084" | "arib-std-b67")
    }
}

/// An audio track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AudioTrack {
    /// Stream index in the container.
    pub stream: u32,
    /// libav's codec name.
    pub codec: String,
    /// Samples per second.
    pub sample_rate: u32,
    pub channels: u32,
    /// Seconds per tick.
    pub time_base: Rational,
    /// PTS of the first packet, ticks of `time_base`.
    pub start: i64,
    /// Length from `start` to the end of the last packet, seconds; 0 where unknown.
    pub seconds: f64,
    /// As [`VideoTrack::continued`].
    #[serde(default)]
    pub continued: Vec<u32>,
    /// Steps of the container's clock, in file order.
    #[serde(default)]
    pub clock: Vec<ClockStep>,
    /// ISO 639 language as tagged, `und` where not.
    pub language: String,
    /// Title as tagged, printable; empty where there is none.
    #[serde(default)]
    pub title: String,
    /// The container marks it as the default.
    pub default: bool,
    /// Number among the sound tracks of the file, from 1; 0 in facts of older probes.
    #[serde(default)]
    pub number: u32,
    /// The container marks it as a commentary or as made for the hearing or visually impaired.
    #[serde(default)]
    pub secondary: bool,
    /// The timestamps contradict the samples: from the first timestamp on, time is counted in samples.
    #[serde(default)]
    pub counted: bool,
    /// The channels have no known layout and are mixed down by their numbers.
    #[serde(default)]
    pub mixed: bool,
}

/// An audio track that is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnusedAudio {
    /// Stream index in the container.
    pub stream: u32,
    /// Number among the sound tracks of the file, from 1.
    pub number: u32,
    /// libav's codec name.
    pub codec: String,
    /// ISO 639 language as tagged, `und` where not.
    pub language: String,
    /// The container marks it as the default.
    pub default: bool,
    /// The container marks it as a commentary or as made for the hearing or visually impaired.
    pub secondary: bool,
    /// Why it is left out.
    pub reason: UnusedReason,
}

/// Why an audio track is left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum UnusedReason {
    /// No decoder that is allowed.
    UnsupportedCodec,
    /// None of the first packets can be decoded.
    Undecodable,
    /// Channels without a known layout; how to mix them down is unknown.
    Channels(u32),
    /// The track has no packets.
    Empty,
    /// The container says that the track is encrypted.
    Encrypted,
    /// The times of the track step too often.
    Times,
    /// The track belongs to another programme of a broadcast than the picture.
    OtherProgramme {
        /// Number and name of the track's programme.
        own: String,
        /// Number and name of the picture's programme.
        chosen: String,
    },
}
