//! Failures of codec and planner: a code, a sentence, a detail. A process that can send none of them has its exit status.

use serde::{Deserialize, Serialize};

/// Failure that a codec process reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodecFailure {
    pub code: FailureCode,
    /// A sentence for users.
    pub message: String,
    /// Error of libav or the system, for operators.
    pub detail: String,
}

/// Codes of failures of codec and planner. [`crate::words::reason`] has the sentences. A codec process exits with
/// [`FailureCode::exit_code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureCode {
    /// The file has no bytes.
    Empty,
    /// The file has too many bytes.
    TooManyBytes,
    /// No allowed demuxer recognises the file.
    UnknownFormat,
    /// The file is recognised but cannot be read: damaged, cut short, encrypted.
    Unreadable,
    /// There is no picture track, or only a cover.
    NoVideo,
    /// There is no decoder, or it is not allowed.
    UnsupportedCodec,
    /// Nothing could be decoded.
    NoFrames,
    TooManyPixels,
    TooManyStreams,
    TooManyFrames,
    /// The duration exceeds the limit.
    TooLong,
    /// A gap between frames exceeds the limit.
    TimestampGap,
    /// The frame rate exceeds the limit.
    FrameRate,
    /// The clock is finer than MP4 supports.
    TimeBase,
    /// No requested tier fits.
    NoTier,
    /// No level of H.264 supports a tier.
    NoLevel,
    /// The damage exceeds the limit.
    TooDamaged,
    /// The memory exceeds the limit.
    MemoryBudget,
    /// The parent could not deliver source bytes.
    SourceUnavailable,
    /// The parent violated the protocol or disappeared.
    Protocol,
    /// An encoder, filter or muxer failed.
    Internal,
}

/// Exit status of a process that ran out of memory. It may not be able to send more.
pub const MEMORY_EXIT: i32 = 71;

impl FailureCode {
    /// All codes.
    pub const ALL: [Self; 21] = [
        Self::Empty,
        Self::TooManyBytes,
        Self::UnknownFormat,
        Self::Unreadable,
        Self::NoVideo,
        Self::UnsupportedCodec,
        Self::NoFrames,
        Self::TooManyPixels,
        Self::TooManyStreams,
        Self::TooManyFrames,
        Self::TooLong,
        Self::TimestampGap,
        Self::FrameRate,
        Self::TimeBase,
        Self::NoTier,
        Self::NoLevel,
        Self::TooDamaged,
        Self::MemoryBudget,
        Self::SourceUnavailable,
        Self::Protocol,
        Self::Internal,
    ];

    /// Exit status of the process: 65 (`EX_DATAERR`) for a fault of the source, 71 (`EX_OSERR`) for lack of memory, 74 (`EX_IOERR`) for the
    /// delivery of the source, 76 (`EX_PROTOCOL`), 70 (`EX_SOFTWARE`). The numbers are those of BSD `sysexits.h`.
    #[must_use]
    pub fn exit_code(self) -> i32 {
        match self {
            Self::Empty
            | Self::TooManyBytes
            | Self::UnknownFormat
            | Self::Unreadable
            | Self::NoVideo
            | Self::UnsupportedCodec
            | Self::NoFrames
            | Self::TooManyPixels
            | Self::TooManyStreams
            | Self::TooManyFrames
            | Self::TooLong
            | Self::TimestampGap
            | Self::FrameRate
            | Self::TimeBase
            | Self::NoTier
            | Self::NoLevel
            | Self::TooDamaged => 65,
            Self::MemoryBudget => MEMORY_EXIT,
            Self::SourceUnavailable => 74,
            Self::Protocol => 76,
            Self::Internal => 70,
        }
    }
}
