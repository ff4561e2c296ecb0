//! Reasons for which a video is refused or fails: a code, and sentences for the uploader.
//!
//! A new reason is a new variant. It compiles only with a code and a sentence, and the tests require an example of it.

use crate::codec::failure::FailureCode;
use crate::words::failure::{self, Failure};
use crate::words::sentence::{count, list, number};

/// Recommended export codecs. Each can be decoded, and every editor writes one of them.
pub const CODECS: &str = "H.264, HEVC, VP9 or AV1";

/// A reason as code and sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub code: FailureCode,
    /// What happened, why, and what to do next.
    pub sentence: String,
}

/// The file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileFault {
    /// The file has no bytes.
    Empty,
    /// The file is a playlist or another list of files.
    PointsElsewhere,
    /// The file has no known format.
    NotRecognised {
        /// Accepted formats, as a list.
        accepted: String,
    },
    /// The format is not accepted.
    FormatNotAccepted {
        recognised: String,
        /// Accepted formats, as a list.
        accepted: String,
    },
    /// The file has the signature of its format and cannot be read.
    Damaged,
    /// An MP4 has no index.
    IndexMissing,
    /// The media is protected by DRM.
    Encrypted,
    /// A field of the file asks for an allocation above the limit.
    AsksForMemory,
    /// The timestamps overflow or contradict each other.
    TimesMakeNoSense,
    /// A track that the probe found cannot be found again.
    TrackGone,
}

/// The file can be read, but its content cannot become a video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentFault {
    /// The file has no picture track.
    NoVideo {
        /// Number of audio tracks.
        sounds: usize,
        /// Whether there is a cover picture.
        cover: bool,
    },
    /// The picture's codec is not accepted.
    CodecNotSupported {
        /// Common name of the codec.
        codec: String,
    },
    /// The file names no codec for its pictures.
    CodecUnknown,
    /// The decoder lacks a feature.
    FeatureNotSupported,
    /// The codec of an audio track is not accepted.
    SoundNotSupported {
        /// Common name of the codec.
        codec: String,
    },
    /// Audio that cannot be mixed down to stereo.
    SoundFormNotSupported,
    /// The picture track is empty.
    NoPictures,
    /// No picture can be decoded.
    NothingDecoded,
    NoKeyPicture,
    /// Too many pictures cannot be decoded.
    TooDamaged,
}

/// The video exceeds a limit of the settings or of the output.
#[derive(Debug, Clone, PartialEq)]
pub enum OverLimit {
    /// Size of the file.
    Bytes {
        /// Its size in bytes.
        found: u64,
        /// Limit in bytes.
        limit: u64,
    },
    Tracks {
        /// Largest number.
        limit: u32,
    },
    /// Size of a picture.
    Pixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Most pixels of a picture.
        limit: u64,
    },
    /// Number of pictures.
    Frames {
        /// Largest number.
        limit: u64,
    },
    ClockSteps {
        /// Largest number.
        limit: usize,
    },
    /// Duration.
    Length {
        /// Its duration in seconds.
        seconds: f64,
        /// Limit in seconds.
        limit: f64,
    },
    /// Frame rate.
    FrameRate {
        /// Its frames per second.
        rate: f64,
        /// Limit in frames per second.
        limit: f64,
    },
    /// Time without a new picture.
    Pause {
        /// The longest such time in seconds.
        seconds: f64,
        /// Limit in seconds.
        limit: f64,
    },
    /// The clock is finer than MP4 supports.
    Fineness,
    /// Every requested tier is larger than the source.
    NoTier {
        /// Width of the source's frames.
        width: u32,
        /// Height of the source's frames.
        height: u32,
    },
    /// No level of H.264 supports a tier.
    NoLevel {
        /// Width of the tier's frames.
        width: u32,
        /// Height of the tier's frames.
        height: u32,
        /// Frames per second.
        rate: f64,
    },
}

/// Faults other than the file's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkFault {
    /// The task ran out of memory.
    OutOfMemory,
    /// The store does not deliver the source.
    SourceUnavailable,
    /// A stored object of the result is cut short.
    PieceShort,
    /// The node stopped communicating with the codec.
    Abandoned,
    /// A fault of Jetreel itself.
    Internal,
}

impl From<FileFault> for Reason {
    fn from(fault: FileFault) -> Self {
        use FailureCode::{Empty, UnknownFormat, Unreadable};
        let (code, sentence) = match fault {
            FileFault::Empty => (Empty, "The file is empty. Upload the video again.".to_owned()),
            FileFault::PointsElsewhere => (
                UnknownFormat,
                "The file is a text that points to other files, such as a playlist. Upload the video itself.".to_owned(),
            ),
            FileFault::NotRecognised { accepted } => (
                UnknownFormat,
                format!("The file is not recognised as a video. Upload a video as {accepted}."),
            ),
            FileFault::FormatNotAccepted { recognised, accepted } => (
                UnknownFormat,
                format!(
                    "The file is recognised as {recognised}, which is not accepted. Export the video as {accepted} and upload the new file."
                ),
            ),
            FileFault::Damaged => (
                Unreadable,
                "The file is damaged or incomplete and cannot be read. Upload it again; if that does not help, export the video again."
                    .to_owned(),
            ),
            FileFault::IndexMissing => (
                Unreadable,
                "The index of the file is missing or damaged, perhaps because it was not uploaded completely. Upload it again; if \
                 that does not help, export the video again."
                    .to_owned(),
            ),
            FileFault::Encrypted => (
                Unreadable,
                "The video is encrypted (DRM) and cannot be read without its key. Upload a copy without encryption.".to_owned(),
            ),
            FileFault::AsksForMemory => (
                Unreadable,
                "The file asks for more memory than is allowed: it is damaged, or made to do harm. Export the video again.".to_owned(),
            ),
            FileFault::TimesMakeNoSense => (
                Unreadable,
                "The times that the file gives for its pictures make no sense. Export the video again.".to_owned(),
            ),
            FileFault::TrackGone => (
                Unreadable,
                "A track that the file had before cannot be found any more. Upload the video again.".to_owned(),
            ),
        };
        Self { code, sentence }
    }
}

impl From<ContentFault> for Reason {
    fn from(fault: ContentFault) -> Self {
        use FailureCode::{NoFrames, NoVideo, TooDamaged, UnsupportedCodec};
        let (code, sentence) = match fault {
            ContentFault::NoVideo { sounds, cover } => (NoVideo, no_video(sounds, cover)),
            ContentFault::CodecNotSupported { codec } => (
                UnsupportedCodec,
                format!("The video is coded as {codec}, which is not supported. Export it as {CODECS} and upload the new file."),
            ),
            ContentFault::CodecUnknown => (
                UnsupportedCodec,
                format!("The file does not say how its video is coded. Export it as {CODECS} and upload the new file."),
            ),
            ContentFault::FeatureNotSupported => (
                UnsupportedCodec,
                format!("The video uses a feature of its codec that is not supported. Export it as {CODECS} and upload the new file."),
            ),
            ContentFault::SoundNotSupported { codec } => (
                UnsupportedCodec,
                format!("The sound is coded as {codec}, which is not supported. Export the video with AAC sound and upload the new file."),
            ),
            ContentFault::SoundFormNotSupported => (
                UnsupportedCodec,
                "The channels of the sound cannot be mixed down to stereo. Export the video with stereo sound and upload the new file."
                    .to_owned(),
            ),
            ContentFault::NoPictures => {
                (NoFrames, "The video track of the file holds no pictures. Export the video again.".to_owned())
            }
            ContentFault::NothingDecoded => (
                NoFrames,
                "No picture of the video can be decoded. Upload it again; if that does not help, export the video again.".to_owned(),
            ),
            ContentFault::NoKeyPicture => (
                NoFrames,
                "No picture of the video can be decoded: it has no key picture, which decoding has to start with. Perhaps it was cut \
                 out of a longer video. Export it from that one again, and upload the result."
                    .to_owned(),
            ),
            ContentFault::TooDamaged => (
                TooDamaged,
                "Too many pictures of the video are damaged. Upload it again; if that does not help, export the video again."
                    .to_owned(),
            ),
        };
        Self { code, sentence }
    }
}

fn no_video(sounds: usize, cover: bool) -> String {
    let mut held = Vec::new();
    if cover {
        held.push("a cover picture".to_owned());
    }
    if sounds > 0 {
        held.push(count(sounds, "sound track"));
    }
    let held =
        if held.is_empty() { "nothing that can be shown".to_owned() } else { list(&held, "and") };
    format!("The file has no video: it holds {held}. Upload a file with a video.")
}

impl From<OverLimit> for Reason {
    fn from(over: OverLimit) -> Self {
        use FailureCode as Code;
        let (code, sentence) = match over {
            OverLimit::Bytes { found, limit } => (
                Code::TooManyBytes,
                format!(
                    "The file has {} bytes, and at most {} are allowed. Upload a smaller file.",
                    number(found),
                    number(limit)
                ),
            ),
            OverLimit::Tracks { limit } => (
                Code::TooManyStreams,
                format!("The file has more than {limit} tracks, the most that are allowed. Export it without those that are not needed."),
            ),
            OverLimit::Pixels { width, height, limit } => (
                Code::TooManyPixels,
                format!(
                    "The pictures have {width}×{height} pixels, and at most {} are allowed. Export the video in a smaller size.",
                    number(limit)
                ),
            ),
            OverLimit::Frames { limit } => (
                Code::TooManyFrames,
                format!("The video has more than {} pictures, the most that are allowed. Upload it in parts.", number(limit)),
            ),
            OverLimit::ClockSteps { limit } => (
                Code::TooDamaged,
                format!("The times of the recording start again or jump at more than {} places, the most that can be joined. Upload it in parts.", number(limit as u64)),
            ),
            OverLimit::Length { seconds, limit } => (
                Code::TooLong,
                format!("The video lasts {}, and at most {} are allowed. Upload it in parts.", time(seconds), time(limit)),
            ),
            OverLimit::FrameRate { rate, limit } => (
                Code::FrameRate,
                format!(
                    "The video has {rate:.0} pictures per second, and at most {limit:.0} are allowed. Export it with a lower frame rate."
                ),
            ),
            OverLimit::Pause { seconds, limit } => (
                Code::TimestampGap,
                format!(
                    "The video stands still without sound for {}, and at most {} are allowed. Export it without the pause.",
                    time(seconds),
                    time(limit)
                ),
            ),
            OverLimit::Fineness => (
                Code::TimeBase,
                "The times of the pictures are finer than an MP4 can carry. Export the video at a usual frame rate.".to_owned(),
            ),
            OverLimit::NoTier { width, height } => (
                Code::NoTier,
                format!("All renditions that were asked for are larger than the video, which has {width}×{height} pixels. Ask for smaller ones."),
            ),
            OverLimit::NoLevel { width, height, rate } => (
                Code::NoLevel,
                format!(
                    "No level of H.264 carries {width}×{height} pixels at {rate:.0} pictures per second. Export the video in a smaller \
                     size or with a lower frame rate."
                ),
            ),
        };
        Self { code, sentence }
    }
}

/// Seconds as text for users.
pub(crate) fn time(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds:.0} seconds"),
        120.0..7200.0 => format!("{:.0} minutes", seconds / 60.0),
        _ => format!("{:.1} hours", seconds / 3600.0),
    }
}

impl From<WorkFault> for Reason {
    fn from(fault: WorkFault) -> Self {
        let (code, sentence) = match fault {
            WorkFault::OutOfMemory => (
                FailureCode::MemoryBudget,
                "The video needs more memory than it may use. Export it with smaller pictures and upload the new file.",
            ),
            WorkFault::SourceUnavailable => (
                FailureCode::SourceUnavailable,
                "The stored video cannot be read at the moment. Try again later.",
            ),
            WorkFault::PieceShort => (
                FailureCode::SourceUnavailable,
                "A stored piece of the video is shorter than it was. Try again later.",
            ),
            WorkFault::Abandoned => {
                (FailureCode::Protocol, "The node stopped working on the video. Try again.")
            }
            WorkFault::Internal => (
                FailureCode::Internal,
                "The video cannot be processed because of a fault in Jetreel. Try again; if that does not help, report it with the detail.",
            ),
        };
        Self { code, sentence: sentence.to_owned() }
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self {
            severity: failure::severity(reason.code),
            code: failure::code(reason.code).to_owned(),
            message: reason.sentence,
            detail: String::new(),
            object: None,
        }
    }
}

#[cfg(test)]
#[path = "reason_tests.rs"]
mod tests;
