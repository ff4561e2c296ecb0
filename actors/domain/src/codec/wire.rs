//! The protocol between a slot and its codec process: MessagePack in frames of a big-endian `u32` length and a body, over a socket pair.
//!
//! The codec is a client of its parent: it gets one [`Job`], asks for source bytes with [`FromCodec::Read`] (one outstanding
//! read at a time) and ends with [`FromCodec::Done`] or [`FromCodec::Failed`]. It writes results without being asked; the
//! socket is the back-pressure.
//!
//! Both sides have one [`VERSION`], so only fields of [`FromCodec::Hello`] have defaults; fields added to [`Segment`], [`PictureRef`] and
//! [`Verified`] need them too, because stored documents hold these.

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

/// Largest frame body either side accepts: a 6 s segment of the largest tier (17 Mb/s) stays far below it.
pub const FRAME_BYTES_MAX: usize = 64 << 20;

/// Bytes that one read may ask for.
pub const READ_BYTES_MAX: u32 = 8 << 20;

/// Bytes of every [`FromCodec::Output`] but the last one of its file.
pub const OUTPUT_BYTES: usize = 1 << 20;

/// RFC 6381 name of AAC-LC, in which all sound is encoded.
pub const AAC_CODECS: &str = "mp4a.40.2";

/// Samples of an access unit of AAC.
pub const AAC_UNIT: u32 = 1024;

/// Descriptor of the codec's end of the socket pair.
pub const SOCKET_FD: i32 = 3;

/// Version of this protocol; the codec refuses another.
pub const VERSION: u32 = 3;

/// From the slot to the codec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToCodec {
    /// The first frame, once.
    Job(Box<Job>),
    /// The answer to a read: exactly the bytes asked for, fewer only at the end of the object.
    Bytes(ByteBuf),
    /// The bytes cannot be had (storage failed); the codec gives up with [`FailureCode::SourceUnavailable`].
    NoBytes,
}

/// From the codec to the slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromCodec {
    /// The first frame: who is talking.
    Hello {
        /// [`VERSION`].
        version: u32,
        /// Codec package version, libav versions and x264 build, which together determine the output bytes.
        build: String,
        /// Confinement in force: `FULL`, `NS`, `SECCOMP` or `NONE`.
        confinement: String,
        /// What of it could not be had, each with the reason.
        #[serde(default)]
        weaknesses: Vec<String>,
    },
    /// Bytes of a source object are needed.
    Read {
        /// Index into [`Job::objects`].
        object: u32,
        /// First byte.
        offset: u64,
        /// At most this many.
        length: u32,
    },
    /// Source frames decoded so far in this task.
    Progress {
        /// Frames inside the task's interval.
        frames: u64,
        /// Presentation time reached, source ticks.
        pts: i64,
    },
    /// A CMAF fragment of a tier, in presentation order per tier: append it to the object of (chunk, tier).
    Fragment {
        /// Index into [`crate::plan::Plan::chunks`].
        chunk: u32,
        /// Index into [`VideoJob::tiers`].
        tier: u32,
        /// Where it lies and what it holds.
        segment: Segment,
        /// `moof` + `mdat`.
        bytes: ByteBuf,
    },
    /// Pictures kept for thumbnails: append to the picture object of the chunk.
    Picture {
        /// Index into [`crate::plan::Plan::chunks`].
        chunk: u32,
        /// PTS in output ticks.
        pts: i64,
        /// One JPEG.
        bytes: ByteBuf,
    },
    /// All fragments of a chunk are sent.
    ChunkDone(ChunkReport),
    /// An audio fragment: append it to the object of the part.
    AudioFragment {
        /// Counted from 0.
        part: u32,
        /// Where it lies.
        segment: Segment,
        /// `moof` + `mdat`.
        bytes: ByteBuf,
    },
    /// All fragments of an audio part are sent.
    AudioPartDone(AudioReport),
    /// Bytes of a named output (`images` and `package` jobs), in order; `end` closes the output.
    Output {
        /// File name within the task: `sprite-000.jpg`, `720p.mp4`, …
        name: String,
        /// The next bytes.
        bytes: ByteBuf,
        /// No more bytes follow for this name.
        end: bool,
    },
    /// The job is done.
    Done(Report),
    /// The job cannot be done.
    Failed(CodecFailure),
}

/// One codec process's whole assignment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// [`VERSION`].
    pub version: u32,
    /// What can be read, by index, with their sizes in bytes. Object 0 is the source for `Probe`, `Video` and `Audio`.
    pub objects: Vec<u64>,
    /// What bounds the work.
    pub budget: Budget,
    /// What to do.
    pub work: JobWork,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "there is one job per process")]
pub enum JobWork {
    /// Say hello and end: shows the build.
    Hello,
    /// Try what a confined process must not be able to do.
    Trespass,
    /// Find out what the source is.
    Probe,
    /// Decode intervals and encode tiers.
    Video(VideoJob),
    /// Decode and encode a sound track.
    Audio(AudioJob),
    /// Compose poster, sprites and WebVTT from kept pictures.
    Images(ImagesJob),
    /// Copy samples into a progressive MP4.
    Package(PackageJob),
    /// Compose and copy, one after the other: only [`Self::Images`] and [`Self::Package`]. The objects of all stand in one list.
    Batch(Vec<JobWork>),
}

/// Limits inside the codec (the parent has its own for wall clock, CPU, memory and output bytes).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Pixels of one frame; the container may lie, so the decoder holds it too.
    pub pixels_max: u64,
    /// Streams of a container.
    pub streams_max: u32,
    /// Frames decoded in one task.
    pub frames_max: u64,
    /// Seconds between neighbouring frames.
    pub gap_seconds_max: f64,
    /// Damaged packets tolerated before the task fails.
    pub damage_max: u64,
    /// Seconds of a source.
    pub seconds_max: f64,
}

/// How to open and decode the source again, as the probe found it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceSpec {
    /// libav demuxer name to force.
    pub format: String,
    /// Stream index.
    pub stream: u32,
    /// Seconds per tick of the stream.
    pub time_base: Rational,
    pub decoder_options: Vec<(String, String)>,
    /// Streams that carry on with it in the middle of the file.
    pub continued: Vec<u32>,
    /// Steps of the container's clock in this stream.
    pub clock: Vec<ClockStep>,
}

/// Decode intervals once, encode every tier from the same frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VideoJob {
    pub source: SourceSpec,
    /// Index into the plan of the first of `chunks`.
    pub first_chunk: u32,
    /// Consecutive intervals; more than one is decoded sequentially.
    pub chunks: Vec<Chunk>,
    /// Chunks (by plan index) whose results are stored already: decode them, send nothing.
    pub done: Vec<u32>,
    /// End of the outputs as planned, source ticks: stands for the end of an open-ended chunk where segments are laid out.
    pub end_estimate: i64,
    /// The last picture stands until here, source ticks; `None` where there is no sound.
    pub hold_until: Option<i64>,
    /// Source tick of output time 0.
    pub origin: i64,
    /// Output ticks per source tick.
    pub tick_scale: i64,
    /// Output ticks per second.
    pub timescale: u32,
    /// Output ticks by which composition times lie behind presentation times; the edit list reverses it, see [`crate::plan::Plan::composition_shift`].
    pub composition_shift: u32,
    /// Source frames per second, as planned.
    pub frame_rate: Rational,
    /// How long the source's pictures last.
    pub lasting: Lasting,
    /// What happens between decoder and encoders.
    pub picture: PicturePlan,
    /// Tiers to encode, from the largest to the smallest.
    pub tiers: Vec<EncoderSpec>,
    /// Sizes of every tier of the order from the largest down to the last of `tiers`. Pictures are scaled from each to the next.
    pub sizes: Vec<(u32, u32)>,
    /// The frame rules of every tier of the order (also those of other tasks): an IDR may only fall on a frame that all keep.
    pub rules: Vec<FrameRule>,
    /// Segments aim at this length, seconds.
    pub segment_seconds: f64,
    /// IDR pictures aim at this distance, seconds.
    pub gop_seconds: f64,
    /// x264 preset.
    pub preset: String,
    /// Keep pictures: settings, with `tier` an index into `tiers` here.
    pub images: Option<ImagePlan>,
    /// Threads that work at once; with more than one, every tier is encoded in a thread of its own. Set by the node, not by the plan.
    pub threads: u32,
}

/// Corrections applied once, before scaling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PicturePlan {
    /// Deinterlace frames that are flagged as interlaced.
    pub deinterlace: bool,
    /// Clockwise degrees.
    pub rotation: u16,
    /// Mirror after rotating.
    pub mirrored: bool,
    /// Tone-map to SDR from this colour.
    pub tone_map: bool,
    /// As signalled by the source.
    pub colour: Colour,
    /// The source's first picture, which the frames of the tiers are made for. `None`: every picture fills its frame.
    pub first: Option<FirstPicture>,
}

/// One encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncoderSpec {
    /// Tier name.
    pub name: String,
    /// Output size.
    pub width: u32,
    /// Output size.
    pub height: u32,
    /// x264 constant rate factor.
    pub crf: u32,
    /// Bits per second.
    pub max_rate: u32,
    /// H.264 level times ten.
    pub level: u32,
    /// Which frames it keeps.
    pub rule: FrameRule,
}

/// A media segment: one fragment of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// First byte in its object.
    pub offset: u64,
    /// Bytes, `moof` and `mdat` together.
    pub bytes: u64,
    /// Bytes of the `moof`.
    pub header_bytes: u32,
    /// PTS of its first frame (or sample), output ticks.
    pub start: i64,
    /// Output ticks up to the next segment.
    pub duration: i64,
    /// Frames (or access units).
    pub frames: u32,
}

/// What a finished chunk consists of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChunkReport {
    /// Index into [`crate::plan::Plan::chunks`].
    pub chunk: u32,
    /// Decoded source frames inside the interval.
    pub source_frames: u64,
    /// Frames encoded again because their picture stands for long, see [`crate::plan::still`].
    pub repeats: u64,
    /// SHA-256 (first 16 bytes, hex) of the planes of the first decoded frame inside the interval; `None` where there is none.
    pub head_hash: Option<String>,
    /// The same of the first frame after the interval: must equal the neighbour's `head_hash`.
    pub seam_hash: Option<String>,
    /// Largest distance between neighbouring frames, source ticks.
    pub largest_gap: i64,
    /// Pictures behind the first one of the source that could not be decoded.
    pub lost: u64,
    /// Per tier, as in [`VideoJob::tiers`].
    pub tiers: Vec<TierReport>,
    /// CPU seconds spent on decoding and filtering (user + system), not on encoders.
    pub cpu_seconds: f64,
}

/// What one encoder made of a chunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TierReport {
    /// Initialisation segment (`ftyp` + `moov`), equal for all chunks of a tier.
    pub init: ByteBuf,
    /// Frames encoded.
    pub frames: u64,
    /// Frames handed to the encoder: must equal `frames`.
    pub frames_in: u64,
    /// SHA-256 (first 16 bytes, hex) of the PTS list as big-endian i64.
    pub pts_hash: String,
    /// PTS of the first frame, output ticks.
    pub start: i64,
    /// End of the last frame, output ticks.
    pub end: i64,
    /// IDR instants, output ticks.
    pub idr: Vec<i64>,
    /// CPU seconds of the encoder.
    pub cpu_seconds: f64,
}

/// Decode and encode a sound track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AudioJob {
    /// The source; `stream` is the audio stream.
    pub source: SourceSpec,
    /// Settings.
    pub audio: AudioPlan,
    /// Seconds of the source's clock that are output time 0.
    pub origin_seconds: f64,
    /// Time is counted in samples from the first timestamp on.
    pub counted: bool,
    /// Channels without a known layout are mixed down by their numbers.
    pub mixed: bool,
    /// Seconds of the outputs: longer sound is cut, shorter sound is filled up with silence.
    pub end_seconds: f64,
    /// Parts whose results are stored already: encode them again (the encoder is deterministic), send nothing.
    pub done: Vec<u32>,
    /// Segments aim at this length, seconds.
    pub segment_seconds: f64,
}

impl AudioJob {
    /// Access units of a segment.
    #[must_use]
    pub fn segment_units(&self) -> u32 {
        let units = self.segment_seconds * f64::from(self.audio.sample_rate) / f64::from(AAC_UNIT);
        units.round().max(1.0) as u32
    }

    /// Segments of a part.
    #[must_use]
    pub fn part_segments(&self) -> u32 {
        let segments = f64::from(self.audio.part_seconds) / self.segment_seconds.max(0.1);
        segments.round().max(1.0) as u32
    }
}

/// What a finished audio part consists of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AudioReport {
    /// Counted from 0.
    pub part: u32,
    /// Initialisation segment, equal for all parts.
    pub init: ByteBuf,
    /// Access units.
    pub frames: u64,
    /// First sample, in samples from output time 0.
    pub start: i64,
    /// After the last sample.
    pub end: i64,
    /// RFC 6381 codec string: `mp4a.40.2`.
    pub codecs: String,
    /// Seconds of the source that could not be decoded.
    pub lost_seconds: f64,
    /// CPU seconds.
    pub cpu_seconds: f64,
}

/// Compose pictures. The objects are the picture objects of the chunks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImagesJob {
    /// Settings.
    pub images: ImagePlan,
    /// Output ticks per second.
    pub timescale: u32,
    /// End of the video, output ticks.
    pub end: i64,
    /// The pictures, in order of time.
    pub pictures: Vec<PictureRef>,
}

/// A kept picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureRef {
    /// Index into [`Job::objects`].
    pub object: u32,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub bytes: u32,
    /// PTS, output ticks.
    pub pts: i64,
}

/// Copy the samples of a tier and of the default audio track into one MP4 with the index first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackageJob {
    /// Output name, such as `720p.mp4`.
    pub name: String,
    /// The picture track.
    pub video: PackageTrack,
    /// The sound track.
    pub audio: Option<PackageTrack>,
    /// Decode the picture track completely with libav's demuxer and report counts and times.
    pub verify: bool,
}

/// A track of CMAF fragments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageTrack {
    /// Initialisation segment.
    pub init: ByteBuf,
    /// ISO 639-2 code; empty where the language is not known.
    pub language: String,
    /// Its fragments in order: index into [`Job::objects`] and place.
    pub segments: Vec<(u32, Segment)>,
}

/// The last word of a job that went well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Report {
    /// Nothing to report.
    Hello,
    /// What was tried, and how it went.
    Trespass(Vec<Attempt>),
    /// What the source is.
    Probe(Box<ProbeFacts>),
    /// All chunks were reported.
    Video,
    /// All parts were reported.
    Audio {
        /// How many parts the track has.
        parts: u32,
    },
    /// The files written, with their roles.
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
        /// Result of the full decode, where asked for.
        verified: Option<Verified>,
    },
    /// Of each piece, in order.
    Batch(Vec<Report>),
}

/// What a full decode of a finished tier found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Frames decoded.
    pub frames: u64,
    /// PTS of the first frame, output ticks.
    pub start: i64,
    /// Hash of the PTS list, as in [`TierReport::pts_hash`] but over the whole tier.
    pub pts_hash: String,
}
