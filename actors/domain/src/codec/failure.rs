//! Failures of codec and planner: a code, a sentence, a detail; and the exit status of a process that can send none.

use serde::{Deserialize, Serialize};

/// Why a codec gave up, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodecFailure {
    /// What happened.
    pub code: FailureCode,
    /// A sentence for a user.
    pub message: String,
    /// What libav or the system said, for an operator.
    pub detail: String,
}

/// Codes of failures of codec and planner; [`crate::words::reason`] has the sentences. A codec process exits with
/// [`FailureCode::exit_code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureCode {
    /// No bytes.
    Empty,
    /// More bytes than allowed.
    TooManyBytes,
    /// Not a media file that is allowed here (no allowed demuxer recognises it).
    UnknownFormat,
    /// Recognised, but it cannot be read: damaged, cut short, encrypted.
    Unreadable,
    /// No picture track, or only a cover.
    NoVideo,
    /// No decoder, or one that is not allowed.
    UnsupportedCodec,
    /// Nothing could be decoded.
    NoFrames,
    /// More pixels than allowed.
    TooManyPixels,
    /// More streams than allowed.
    TooManyStreams,
    /// More frames than allowed.
    TooManyFrames,
    /// Longer than allowed.
    TooLong,
    /// A gap between frames longer than allowed.
    TimestampGap,
    /// More frames per second than allowed.
    FrameRate,
    /// A finer clock than MP4 can carry.
    TimeBase,
    /// No tier that was asked for fits.
    NoTier,
    /// No level of H.264 carries a tier.
    NoLevel,
    /// More damage than allowed.
    TooDamaged,
    /// More memory than allowed.
    MemoryBudget,
    /// The parent could not deliver source bytes.
    SourceUnavailable,
    /// The parent broke the protocol, or vanished.
    Protocol,
    /// An encoder, filter or muxer refused to work.
    Internal,
}

/// Exit status of a process that ran out of memory: all that it may be able to say.
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

    /// Exit status of the process: 65 (`EX_DATAERR`) for what the source is to blame for, 71 (`EX_OSERR`) for lack of memory, 74
    /// (`EX_IOERR`) for the delivery of the source, 76 (`EX_PROTOCOL`), 70 (`EX_SOFTWARE`); numbers of BSD `sysexits.h`.
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
