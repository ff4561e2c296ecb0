//! Failures of a codec process: a sentence for the user, a detail for the operator, a code for the retry policy.
//!
//! Invariant: every error of libav becomes a [`FailureCode`] here and nowhere else.

use std::ffi::CStr;
use std::os::raw::c_int;

use ffmpeg_next::ffi;
use jetreel_domain::codec::wire::{CodecFailure, FailureCode};
use jetreel_domain::words::reason::{ContentFault, FileFault, Reason, WorkFault};

use crate::{allow, memory};

/// Result of a fallible step of the codec.
pub(crate) type Outcome<T> = Result<T, CodecFailure>;

/// A failure without detail.
pub(crate) fn failure(reason: impl Into<Reason>) -> CodecFailure {
    failure_with(reason, "")
}

/// A failure with detail from libav or the system. If the process is out of memory, that is the failure.
pub(crate) fn failure_with(reason: impl Into<Reason>, detail: impl Into<String>) -> CodecFailure {
    let (reason, detail) = (reason.into(), detail.into());
    let of = |Reason { code, sentence }, detail| CodecFailure { code, message: sentence, detail };
    if !hides_lack_of_memory(reason.code) || !memory::is_short() {
        return of(reason, detail);
    }
    let detail = format!("{} {detail}", reason.sentence).trim_end().to_owned();
    of(WorkFault::OutOfMemory.into(), detail)
}

/// Codes of failures that may also result from a failed allocation of a library.
fn hides_lack_of_memory(code: FailureCode) -> bool {
    match code {
        FailureCode::Unreadable
        | FailureCode::NoFrames
        | FailureCode::TooDamaged
        | FailureCode::Internal => true,
        FailureCode::Empty
        | FailureCode::TooManyBytes
        | FailureCode::UnknownFormat
        | FailureCode::NoVideo
        | FailureCode::UnsupportedCodec
        | FailureCode::TooManyPixels
        | FailureCode::TooManyStreams
        | FailureCode::TooManyFrames
        | FailureCode::TooLong
        | FailureCode::TimestampGap
        | FailureCode::FrameRate
        | FailureCode::TimeBase
        | FailureCode::NoTier
        | FailureCode::NoLevel
        | FailureCode::MemoryBudget
        | FailureCode::SourceUnavailable
        | FailureCode::Protocol => false,
    }
}

/// An encoder, filter or muxer failed. This is never the source's fault.
pub(crate) fn internal(detail: impl Into<String>) -> CodecFailure {
    failure_with(WorkFault::Internal, detail)
}

/// The failure for a libav error met while reading or decoding the source. `doing` completes "failed to …".
pub(crate) fn source_failure(error: c_int, doing: &str) -> CodecFailure {
    let reason = match error {
        ffi::AVERROR_DEMUXER_NOT_FOUND => {
            FileFault::NotRecognised { accepted: allow::accepted_formats() }.into()
        }
        ffi::AVERROR_DECODER_NOT_FOUND | ffi::AVERROR_PATCHWELCOME | ffi::AVERROR_EXPERIMENTAL => {
            ContentFault::FeatureNotSupported.into()
        }
        ffi::AVERROR_BUG | ffi::AVERROR_BUG2 | ffi::AVERROR_OPTION_NOT_FOUND => {
            return internal(told(doing, error));
        }
        _ if error == ffi::AVERROR(ffi::ENOMEM) => FileFault::AsksForMemory.into(),
        _ => Reason::from(FileFault::Damaged),
    };
    failure_with(reason, told(doing, error))
}

/// The failure for a libav error in an encoder, a filter or a muxer.
pub(crate) fn own_failure(error: impl Into<c_int>, doing: &str) -> CodecFailure {
    internal(told(doing, error.into()))
}

/// The failed operation as a sentence for operators.
fn told(doing: &str, error: c_int) -> String {
    format!("Failed to {doing}: {}.", libav_text(error))
}

/// libav's text for an error number.
pub(crate) fn libav_text(error: c_int) -> String {
    let mut buffer = [0 as std::os::raw::c_char; 128];
    #[expect(
        unsafe_code,
        reason = "av_strerror writes at most the given length, with a final zero"
    )]
    let text = unsafe {
        ffi::av_strerror(error, buffer.as_mut_ptr(), buffer.len());
        CStr::from_ptr(buffer.as_ptr())
    };
    format!("{} ({error})", text.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_libav_map_to_codes() {
        let cases = [
            (ffi::AVERROR_INVALIDDATA, FailureCode::Unreadable),
            (ffi::AVERROR_DECODER_NOT_FOUND, FailureCode::UnsupportedCodec),
            (ffi::AVERROR_DEMUXER_NOT_FOUND, FailureCode::UnknownFormat),
            (ffi::AVERROR_PATCHWELCOME, FailureCode::UnsupportedCodec),
            (ffi::AVERROR_BUG, FailureCode::Internal),
            (ffi::AVERROR(ffi::ENOMEM), FailureCode::Unreadable),
            (ffi::AVERROR_EOF, FailureCode::Unreadable),
        ];
        for (error, code) in cases {
            assert_eq!(source_failure(error, "test").code, code, "{}", libav_text(error));
        }
        assert_eq!(own_failure(ffi::AVERROR_INVALIDDATA, "test").code, FailureCode::Internal);
    }

    #[test]
    fn libav_says_what_happened() {
        assert!(libav_text(ffi::AVERROR_INVALIDDATA).contains("Invalid data"));
    }
}
