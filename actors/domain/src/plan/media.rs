//! Facts of a source, as the codec's probe reports them, without judgement.

use serde::{Deserialize, Serialize};

use crate::codec::discontinuity::ClockStep;
use crate::codec::lasting::Lasting;
use crate::plan::rational::Rational;

/// All random-access points within this many seconds of the first one are reported, up to [`DENSE_POINTS_MAX`].
pub const DENSE_SECONDS: f64 = 12.0;
/// Shortest distance of further reported points in seconds.
pub const SPARSE_SECONDS: f64 = 4.0;
/// Twelve seconds of intra-coded pictures at 340 a second.
pub const DENSE_POINTS_MAX: usize = 4096;

/// Most options of a decoder. Each is given at most once.
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

/// Facts that the probe found about a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeFacts {
    /// Demuxer name of libav, such as `mov,mp4,m4a,3gp,3g2,mj2`.
    pub format: String,
    /// Size of the source in bytes.
    pub bytes: u64,
    /// The video track to use: the default one of the largest real picture tracks (decodable and no cover). `None` if there is none.
    pub video: Option<VideoTrack>,
    /// Audio tracks that can be decoded, in file order.
    pub audio: Vec<AudioTrack>,
    /// Audio tracks that are left out, in file order.
    #[serde(default)]
    pub unused_audio: Vec<UnusedAudio>,
    /// Language tags of the subtitle tracks, one per track.
    #[serde(default)]
    pub subtitles: Vec<String>,
    /// Number of streams that the container declares.
    pub streams: u32,
    /// Whether the container's own data show that it is cut short (samples past the end of the file).
    pub truncated: bool,
    /// Warnings for the user, each a sentence.
    pub warnings: Vec<String>,
}

/// The video track to encode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VideoTrack {
    /// Stream index in the container.
    pub stream: u32,
    /// Codec name of libav, such as `h264`.
    pub codec: String,
    /// Profile number of libav (`FF_PROFILE_*`); -99 if unknown.
    pub profile: i32,
    /// Coded width of the first decoded picture in pixels.
    pub width: u32,
    /// Coded height of the first decoded picture in pixels.
    pub height: u32,
    /// Sample (pixel) aspect ratio; 1/1 if unknown.
    pub sample_aspect: Rational,
    /// Sample aspect that the first picture itself signals; `None` if it signals none. The container may overrule it.
    #[serde(default)]
    pub signalled_aspect: Option<Rational>,
    /// Clockwise rotation to apply for display: 0, 90, 180 or 270.
    pub rotation: u16,
    /// Whether to mirror horizontally after the rotation.
    pub mirrored: bool,
    /// Pixel format name of libav, such as `yuv420p10le`.
    pub pixel_format: String,
    /// Colour as signalled.
    pub colour: Colour,
    /// Whether a decoded frame or the container marks the pictures as interlaced.
    pub interlaced: bool,
    /// Seconds per tick of every timestamp of this track.
    pub time_base: Rational,
    /// Average frames per second, never 0. Measured if the container is wrong.
    pub frame_rate: Rational,
    /// PTS of the first packet that can be shown, in ticks.
    pub start: i64,
    /// PTS just after the last frame in ticks, from packets, not from the header.
    pub end: i64,
    /// Number of the track's packets in the file.
    pub packets: u64,
    /// Random-access points by ascending PTS: dense at first ([`DENSE_SECONDS`]), then sparse ([`SPARSE_SECONDS`]).
    pub random_access: Vec<RandomAccess>,
    /// Whether DTS never goes back over the whole track and every packet has a PTS.
    pub monotonic: bool,
    /// Number of edits of the container's edit list that show media; 0 without a list.
    pub media_edits: u32,
    /// Number of sample descriptions of the track (MP4 `stsd` entries); 1 elsewhere.
    pub descriptions: u32,
    /// Largest distance between neighbouring PTS in ticks.
    pub largest_gap: i64,
    /// Largest such distance in ticks, without times in which there is audio.
    #[serde(default)]
    pub silent_gap: i64,
    /// Durations of the pictures.
    #[serde(default)]
    pub lasting: Lasting,
    /// Further streams that continue this track in the middle of the file. Joined recordings number their streams anew.
    #[serde(default)]
    pub continued: Vec<u32>,
    /// Steps of the container's clock, in file order. All other times of this track are corrected already, except [`RandomAccess::dts`].
    #[serde(default)]
    pub clock: Vec<ClockStep>,
    /// Options that the decoder needs when it starts in the middle of the track, such as `x264_build=142`.
    pub decoder_options: Vec<(String, String)>,
}

impl VideoTrack {
    /// An ordinary track without a file: H.264 with square pixels, progressive, 25 frames per second at 90 kHz, and no pictures yet. Whoever
    /// makes up a source (a simulation, a test, a codec that encodes nothing) sets what differs.
    #[must_use]
    pub fn ordinary(width: u32, height: u32) -> Self {
        let unknown = || "unknown".to_owned();
        Self {
            stream: 0,
            codec: "h264".to_owned(),
            profile: 100,
            width,
            height,
            sample_aspect: Rational::new(1, 1),
            signalled_aspect: None,
            rotation: 0,
            mirrored: false,
            pixel_format: "yuv420p".to_owned(),
            colour: Colour {
                primaries: unknown(),
                transfer: unknown(),
                matrix: unknown(),
                range: unknown(),
            },
            interlaced: false,
            time_base: Rational::new(1, 90_000),
            frame_rate: Rational::new(25, 1),
            start: 0,
            end: 0,
            packets: 0,
            random_access: Vec::new(),
            monotonic: true,
            media_edits: 1,
            descriptions: 1,
            largest_gap: 3600,
            silent_gap: 0,
            lasting: Lasting::default(),
            continued: Vec::new(),
            clock: Vec::new(),
            decoder_options: Vec::new(),
        }
    }
}

/// A point where a decoder can start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RandomAccess {
    /// Presentation time of the key picture in ticks.
    pub pts: i64,
    /// Decode time of its packet by the container's own clock in ticks, for seeking.
    pub dts: i64,
}

/// Colour description with libav's names (`bt709`, `smpte2084`, `arib-std-b67` …; `unknown` if not signalled).
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
    /// Whether the transfer is an HDR one (PQ, ITU-R BT.2100; HLG, ARIB STD-B67).
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
    /// Codec name of libav.
    pub codec: String,
    /// Samples per second.
    pub sample_rate: u32,
    pub channels: u32,
    /// Seconds per tick.
    pub time_base: Rational,
    /// PTS of the first packet in ticks of `time_base`.
    pub start: i64,
    /// Seconds from `start` to the end of the last packet; 0 if unknown.
    pub seconds: f64,
    /// See [`VideoTrack::continued`].
    #[serde(default)]
    pub continued: Vec<u32>,
    /// Steps of the container's clock, in file order.
    #[serde(default)]
    pub clock: Vec<ClockStep>,
    /// ISO 639 language tag; `und` without one.
    pub language: String,
    /// Title tag, made printable; empty without one.
    #[serde(default)]
    pub title: String,
    /// Whether the container marks it as the default.
    pub default: bool,
    /// Number among the audio tracks of the file, from 1; 0 in facts of older probes.
    #[serde(default)]
    pub number: u32,
    /// Whether the container marks it as a commentary or as made for the hearing or visually impaired.
    #[serde(default)]
    pub secondary: bool,
    /// Whether the timestamps contradict the samples. Then time is counted in samples from the first timestamp on.
    #[serde(default)]
    pub counted: bool,
    /// Whether the channels have no known layout and are mixed down by their numbers.
    #[serde(default)]
    pub mixed: bool,
}

/// An audio track that is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnusedAudio {
    /// Stream index in the container.
    pub stream: u32,
    /// Number among the audio tracks of the file, from 1.
    pub number: u32,
    /// Codec name of libav.
    pub codec: String,
    /// ISO 639 language tag; `und` without one.
    pub language: String,
    /// Whether the container marks it as the default.
    pub default: bool,
    /// Whether the container marks it as a commentary or as made for the hearing or visually impaired.
    pub secondary: bool,
    pub reason: UnusedReason,
}

/// Why an audio track is left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum UnusedReason {
    /// There is no allowed decoder.
    UnsupportedCodec,
    /// None of the first packets can be decoded.
    Undecodable,
    /// This many channels without a known layout, so it is unknown how to mix them down.
    Channels(u32),
    /// The track has no packets.
    Empty,
    /// The container marks the track as encrypted.
    Encrypted,
    /// The times of the track step too often.
    Times,
    /// In a broadcast, the track belongs to another programme than the picture.
    OtherProgramme {
        /// Number and name of the track's programme.
        own: String,
        /// Number and name of the picture's programme.
        chosen: String,
    },
}
