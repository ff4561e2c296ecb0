//! The protocol between a slot and its codec process: MessagePack in frames of a big-endian `u32` length and a body, over a socket pair.
//!
//! The codec is a client of its parent. It gets one [`Job`], requests source bytes with [`FromCodec::Read`] (one outstanding read at a
//! time) and ends with [`FromCodec::Done`] or [`FromCodec::Failed`]. It sends results unasked; the socket is the back-pressure.
//!
//! Both sides have the same [`VERSION`], so only fields of [`FromCodec::Hello`] have defaults. Fields added to [`Segment`], [`PictureRef`]
//! and [`Verified`] need defaults too, because stored documents contain these types.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::codec::discontinuity::ClockStep;
pub use crate::codec::failure::{CodecFailure, FailureCode, MEMORY_EXIT};
use crate::codec::lasting::Lasting;
pub use crate::codec::trespass::Attempt;
use crate::plan::frame::FirstPicture;
use crate::plan::framerate::FrameRule;
use crate::plan::media::{Colour, ProbeFacts};
use crate::plan::rational::Rational;
use crate::plan::{AudioPlan, Chunk, ImagePlan};

/// Largest frame body of either side. A 6 s segment of the largest tier (17 Mb/s) stays far below it.
pub const FRAME_BYTES_MAX: usize = 64 << 20;

/// Most bytes of one read.
pub const READ_BYTES_MAX: u32 = 8 << 20;

/// Bytes of every [`FromCodec::Output`] except the last of its file.
pub const OUTPUT_BYTES: usize = 1 << 20;

/// Codecs string (RFC 6381) of AAC-LC, in which all audio is encoded.
pub const AAC_CODECS: &str = "mp4a.40.2";

/// Samples of an access unit of AAC.
pub const AAC_UNIT: u32 = 1024;

/// Descriptor of the codec's end of the socket pair: its standard input.
pub const SOCKET_FD: i32 = 0;

/// Version of this protocol. The codec refuses any other.
pub const VERSION: u32 = 3;

/// From the slot to the codec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToCodec {
    /// The first frame, once.
    Job(Box<Job>),
    /// The answer to a read: exactly the requested bytes, fewer only at the end of the object.
    Bytes(ByteBuf),
    /// The bytes are unavailable because storage failed. The codec fails with [`FailureCode::SourceUnavailable`].
    NoBytes,
}

/// [`ToCodec::Bytes`] with borrowed bytes, so that they are copied only once, into the frame.
#[derive(Debug, Serialize)]
#[serde(rename = "ToCodec")]
pub enum Lent<'a> {
    Bytes(&'a serde_bytes::Bytes),
}

/// From the codec to the slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromCodec {
    /// The first frame, a greeting.
    Hello {
        /// [`VERSION`].
        version: u32,
        /// Version of the codec package, versions of libav and build of x264. Together they determine the output bytes.
        build: String,
        /// Confinement in force: `FULL`, `NS`, `SECCOMP` or `NONE`.
        confinement: String,
        /// Parts of the confinement that are missing, each with the reason.
        #[serde(default)]
        weaknesses: Vec<String>,
    },
    /// Requests bytes of a source object.
    Read {
        /// Index into [`Job::objects`].
        object: u32,
        /// Offset of the first byte.
        offset: u64,
        /// Most bytes of the answer.
        length: u32,
    },
    /// Progress of decoding in this task.
    Progress {
        /// Number of frames inside the task's interval.
        frames: u64,
        /// Presentation time reached, in source ticks.
        pts: i64,
    },
    /// A CMAF fragment of a tier, in presentation order per tier. It is appended to the object of (chunk, tier).
    Fragment {
        /// Index into [`crate::plan::Plan::chunks`].
        chunk: u32,
        /// Index into [`VideoJob::tiers`].
        tier: u32,
        /// Position and content of the fragment.
        segment: Segment,
        /// `moof` + `mdat`.
        bytes: ByteBuf,
    },
    /// A picture kept for thumbnails. It is appended to the picture object of the chunk.
    Picture {
        /// Index into [`crate::plan::Plan::chunks`].
        chunk: u32,
        /// PTS in output ticks.
        pts: i64,
        /// A JPEG image.
        bytes: ByteBuf,
    },
    /// All fragments of a chunk are sent.
    ChunkDone(ChunkReport),
    /// An audio fragment. It is appended to the object of the part.
    AudioFragment {
        /// Number of the part, from 0.
        part: u32,
        /// Position and content of the fragment.
        segment: Segment,
        /// `moof` + `mdat`.
        bytes: ByteBuf,
    },
    /// All fragments of an audio part are sent.
    AudioPartDone(AudioReport),
    /// Bytes of a named output (`images` and `package` jobs), in order.
    Output {
        /// File name within the task: `sprite-000.jpg`, `720p.mp4`, …
        name: String,
        /// The next bytes.
        bytes: ByteBuf,
        /// Whether these are the last bytes of the file.
        end: bool,
    },
    /// The job is done.
    Done(Report),
    /// The job cannot be done.
    Failed(CodecFailure),
}

/// The job of one codec process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// [`VERSION`].
    pub version: u32,
    /// Sizes in bytes of the readable objects, by index. Object 0 is the source for `Probe`, `Video` and `Audio`.
    pub objects: Vec<u64>,
    /// Limits of the work.
    pub budget: Budget,
    pub work: JobWork,
}

/// Work of a codec process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "there is one job per process")]
pub enum JobWork {
    /// Greet and end: shows the build.
    Hello,
    /// Attempt operations that confinement must prevent.
    Trespass,
    /// Probe the source.
    Probe,
    /// Decode intervals and encode tiers.
    Video(VideoJob),
    /// Decode and encode an audio track.
    Audio(AudioJob),
    /// Compose poster, sprites and WebVTT from kept pictures.
    Images(ImagesJob),
    /// Copy samples into a progressive MP4.
    Package(PackageJob),
    /// Compose and copy, one after the other: only [`Self::Images`] and [`Self::Package`]. One list holds the objects of all.
    Batch(Vec<JobWork>),
}

/// Limits inside the codec. The parent enforces its own for wall clock, CPU, memory and output bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Most pixels of one frame. The container may be wrong, so the decoder enforces it too.
    pub pixels_max: u64,
    /// Most streams of a container.
    pub streams_max: u32,
    /// Most frames decoded in one task.
    pub frames_max: u64,
    /// Most seconds between neighbouring frames.
    pub gap_seconds_max: f64,
    /// Most damaged packets before the task fails.
    pub damage_max: u64,
    /// Longest source in seconds.
    pub seconds_max: f64,
}

/// Parameters to open and decode the source, as the probe found them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceSpec {
    /// Name of the libav demuxer to use.
    pub format: String,
    /// Stream index.
    pub stream: u32,
    /// Seconds per tick of the stream.
    pub time_base: Rational,
    pub decoder_options: Vec<(String, String)>,
    /// Streams that continue it in the middle of the file.
    pub continued: Vec<u32>,
    /// Steps of the container's clock in this stream.
    pub clock: Vec<ClockStep>,
}

/// Job to decode intervals once and encode every tier from the same frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VideoJob {
    pub source: SourceSpec,
    /// Plan index of the first of `chunks`.
    pub first_chunk: u32,
    /// Consecutive intervals. Several are decoded sequentially.
    pub chunks: Vec<Chunk>,
    /// Chunks (by plan index) whose results are stored already. They are decoded, and nothing is sent.
    pub done: Vec<u32>,
    /// Planned end of the outputs in source ticks. Stands for the end of an open-ended chunk when segments are laid out.
    pub end_estimate: i64,
    /// Source tick until which the last picture stands; `None` without audio.
    pub hold_until: Option<i64>,
    /// Source tick of output time 0.
    pub origin: i64,
    /// Output ticks per source tick.
    pub tick_scale: i64,
    /// Output ticks per second.
    pub timescale: u32,
    /// Output ticks by which composition times lie behind presentation times. The edit list reverses it, see
    /// [`crate::plan::Plan::composition_shift`].
    pub composition_shift: u32,
    /// Planned source frames per second.
    pub frame_rate: Rational,
    /// Durations of the source's pictures.
    pub lasting: Lasting,
    /// Corrections between decoder and encoders.
    pub picture: PicturePlan,
    /// Tiers to encode, largest first.
    pub tiers: Vec<EncoderSpec>,
    /// Sizes of every tier of the order from the largest down to the last of `tiers`. Pictures are scaled from each to the next.
    pub sizes: Vec<(u32, u32)>,
    /// Frame rules of every tier of the order, including those of other tasks. An IDR may only fall on a frame that all of them keep.
    pub rules: Vec<FrameRule>,
    /// Target length of a segment in seconds.
    pub segment_seconds: f64,
    /// Target distance of IDR pictures in seconds.
    pub gop_seconds: f64,
    /// Name of the x264 preset.
    pub preset: String,
    /// Settings of kept pictures, with `tier` as an index into `tiers` here. `None` if none are kept.
    pub images: Option<ImagePlan>,
    /// Number of threads. With more than one, every tier is encoded in its own thread. Set by the node, not by the plan.
    pub threads: u32,
}

/// Corrections that are applied once, before scaling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PicturePlan {
    /// Deinterlace frames that are flagged as interlaced.
    pub deinterlace: bool,
    /// Rotation in degrees, clockwise.
    pub rotation: u16,
    /// Whether the picture is mirrored after rotating.
    pub mirrored: bool,
    /// Whether to tone-map to SDR.
    pub tone_map: bool,
    /// Colour as signalled by the source.
    pub colour: Colour,
    /// The source's first picture, which determines the frames of the tiers. `None`: every picture fills its frame.
    pub first: Option<FirstPicture>,
}

/// Parameters of one encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncoderSpec {
    /// Name of the tier.
    pub name: String,
    /// Width of the output in pixels.
    pub width: u32,
    /// Height of the output in pixels.
    pub height: u32,
    /// x264 constant rate factor.
    pub crf: u32,
    /// Rate cap in bits per second.
    pub max_rate: u32,
    /// H.264 level times ten.
    pub level: u32,
    /// Rule of the frames that it keeps.
    pub rule: FrameRule,
}

/// A media segment: one fragment of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Offset of the first byte in its object.
    pub offset: u64,
    /// Size in bytes, `moof` and `mdat` together.
    pub bytes: u64,
    /// Size of the `moof` in bytes.
    pub header_bytes: u32,
    /// PTS of its first frame or sample in output ticks.
    pub start: i64,
    /// Output ticks up to the next segment.
    pub duration: i64,
    /// Number of frames or access units.
    pub frames: u32,
}

/// Report of a finished chunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChunkReport {
    /// Index into [`crate::plan::Plan::chunks`].
    pub chunk: u32,
    /// Number of decoded source frames inside the interval.
    pub source_frames: u64,
    /// Frames encoded again because their picture stands for long, see [`crate::plan::still`].
    pub repeats: u64,
    /// SHA-256 (first 16 bytes, hex) of the planes of the first decoded frame inside the interval; `None` if there is none.
    pub head_hash: Option<String>,
    /// The same hash of the first frame after the interval. It must equal the next chunk's `head_hash`.
    pub seam_hash: Option<String>,
    /// Largest distance between neighbouring frames in source ticks.
    pub largest_gap: i64,
    /// Pictures after the source's first one that could not be decoded.
    pub lost: u64,
    /// One report per tier, as in [`VideoJob::tiers`].
    pub tiers: Vec<TierReport>,
    /// CPU time of decoding and filtering (user + system) in seconds, without encoders.
    pub cpu_seconds: f64,
}

/// Report of one encoder about a chunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TierReport {
    /// Initialisation segment (`ftyp` + `moov`), equal for all chunks of a tier.
    pub init: ByteBuf,
    /// Number of encoded frames.
    pub frames: u64,
    /// Number of frames given to the encoder. Must equal `frames`.
    pub frames_in: u64,
    /// SHA-256 (first 16 bytes, hex) of the PTS list as big-endian i64.
    pub pts_hash: String,
    /// PTS of the first frame in output ticks.
    pub start: i64,
    /// End of the last frame in output ticks.
    pub end: i64,
    /// PTS of the IDR pictures in output ticks.
    pub idr: Vec<i64>,
    /// CPU time of the encoder in seconds.
    pub cpu_seconds: f64,
}

/// Job to decode and encode an audio track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AudioJob {
    /// The source; `stream` is the audio stream.
    pub source: SourceSpec,
    pub audio: AudioPlan,
    /// Time on the source's clock of output time 0, in seconds.
    pub origin_seconds: f64,
    /// Whether time is counted in samples from the first timestamp on.
    pub counted: bool,
    /// Whether channels without a known layout are mixed down by their numbers.
    pub mixed: bool,
    /// Duration of the outputs in seconds. Longer audio is cut, shorter audio is padded with silence.
    pub end_seconds: f64,
    /// Parts whose results are stored already. They are encoded again (the encoder is deterministic), and nothing is sent.
    pub done: Vec<u32>,
    /// Target length of a segment in seconds.
    pub segment_seconds: f64,
}

impl AudioJob {
    /// Number of access units in a segment.
    #[must_use]
    pub fn segment_units(&self) -> u32 {
        let units = self.segment_seconds * f64::from(self.audio.sample_rate) / f64::from(AAC_UNIT);
        units.round().max(1.0) as u32
    }

    /// Number of segments in a part.
    #[must_use]
    pub fn part_segments(&self) -> u32 {
        let segments = f64::from(self.audio.part_seconds) / self.segment_seconds.max(0.1);
        segments.round().max(1.0) as u32
    }
}

/// Report of a finished audio part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AudioReport {
    /// Number of the part, from 0.
    pub part: u32,
    /// Initialisation segment, equal for all parts.
    pub init: ByteBuf,
    /// Number of access units.
    pub frames: u64,
    /// Index of the first sample, from output time 0.
    pub start: i64,
    /// Index after the last sample.
    pub end: i64,
    /// Codecs string (RFC 6381): `mp4a.40.2`.
    pub codecs: String,
    /// Seconds of the source that could not be decoded.
    pub lost_seconds: f64,
    /// CPU time in seconds.
    pub cpu_seconds: f64,
}

/// Job to compose images. The objects are the picture objects of the chunks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImagesJob {
    pub images: ImagePlan,
    /// Output ticks per second.
    pub timescale: u32,
    /// End of the video in output ticks.
    pub end: i64,
    /// The pictures, in order of time.
    pub pictures: Vec<PictureRef>,
}

/// A kept picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureRef {
    /// Index into [`Job::objects`].
    pub object: u32,
    /// Offset of the first byte.
    pub offset: u64,
    /// Size in bytes.
    pub bytes: u32,
    /// PTS in output ticks.
    pub pts: i64,
}

/// Job to copy the samples of a tier and of the default audio track into one MP4 with the index first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackageJob {
    /// Name of the output, such as `720p.mp4`.
    pub name: String,
    /// The picture track.
    pub video: PackageTrack,
    /// The audio track; `None` for a silent video.
    pub audio: Option<PackageTrack>,
    /// Whether to decode the picture track completely with libav's demuxer and report counts and times.
    pub verify: bool,
}

/// A track of CMAF fragments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageTrack {
    /// Initialisation segment.
    pub init: ByteBuf,
    /// ISO 639-2 code; empty if the language is unknown.
    pub language: String,
    /// Its fragments in order: index into [`Job::objects`] and position.
    pub segments: Vec<(u32, Segment)>,
}

/// Final report of a successful job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Report {
    /// The greeting was sent.
    Hello,
    /// The attempts and their results.
    Trespass(Vec<Attempt>),
    /// Facts of the source.
    Probe(Box<ProbeFacts>),
    /// All chunks were reported.
    Video,
    /// All parts were reported.
    Audio {
        /// Number of parts of the track.
        parts: u32,
    },
    /// File names of the images.
    Images {
        /// Poster file name.
        poster: String,
        /// WebVTT file name.
        vtt: String,
        /// Sprite sheet file names.
        sprites: Vec<String>,
    },
    /// The progressive file is written.
    Package {
        /// Result of the full decode; `None` if none was requested.
        verified: Option<Verified>,
    },
    /// Reports of the pieces, in order.
    Batch(Vec<Report>),
}

/// Result of a full decode of a finished tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Number of decoded frames.
    pub frames: u64,
    /// PTS of the first frame in output ticks.
    pub start: i64,
    /// Hash of the PTS list, as in [`TierReport::pts_hash`] but over the whole tier.
    pub pts_hash: String,
}
