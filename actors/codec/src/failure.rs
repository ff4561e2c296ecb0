//! How a codec process gives up: one sentence for the user, one line for the operator, one code for the retry policy.
//!
//! Invariant: every error of libav becomes a [`FailureCode`] here and nowhere else.

use std::ffi::CStr;
use std::os::raw::c_int;

use ffmpeg_next::ffi;
use jetreel_domain::wire::{CodecFailure, FailureCode};

use crate::memory;

/// What a fallible step of the codec returns.
pub(crate) type Outcome<T> = Result<T, CodecFailure>;

/// A failure with nothing to add for the operator.
pub(crate) fn failure(code: FailureCode, message: impl Into<String>) -> CodecFailure {
    failure_with(code, message, "")
}

/// A failure with what libav or the system said. A process that is out of memory blames that, whatever it looked like.
pub(crate) fn failure_with(
    code: FailureCode,
    message: impl Into<String>,
    detail: impl Into<String>,
) -> CodecFailure {
    let failure = CodecFailure { code, message: message.into(), detail: detail.into() };
    if !hides_lack_of_memory(code) || !memory::is_short() {
        return failure;
    }
    CodecFailure {
        code: FailureCode::MemoryBudget,
        message: "The video needed more memory than its budget allows.".to_owned(),
        detail: format!("{} {}", failure.message, failure.detail).trim_end().to_owned(),
    }
}

/// Failures that a library also ends with when it could not allocate.
fn hides_lack_of_memory(code: FailureCode) -> bool {
    match code {
        FailureCode::Unreadable
        | FailureCode::NoFrames
        | FailureCode::TooDamaged
        | FailureCode::Internal => true,
        FailureCode::UnknownFormat
        | FailureCode::NoVideo
        | FailureCode::UnsupportedCodec
        | FailureCode::TooManyPixels
        | FailureCode::TooManyStreams
        | FailureCode::TooManyFrames
        | FailureCode::TooLong
        | FailureCode::TimestampGap
        | FailureCode::MemoryBudget
        | FailureCode::SourceUnavailable
        | FailureCode::Protocol => false,
    }
}

/// An encoder, filter or muxer that refuses to work: never the source's fault.
pub(crate) fn internal(detail: impl Into<String>) -> CodecFailure {
    failure_with(
        FailureCode::Internal,
        "The video could not be processed because of an internal fault.",
        detail,
    )
}

/// The failure for a libav error met while reading or decoding the source. `doing` completes "failed to …".
pub(crate) fn source_failure(error: c_int, doing: &str) -> CodecFailure {
    let (code, message) = match error {
        ffi::AVERROR_DECODER_NOT_FOUND => {
            (FailureCode::UnsupportedCodec, "The video uses a codec that is not supported here.")
        }
        ffi::AVERROR_DEMUXER_NOT_FOUND => {
            (FailureCode::UnknownFormat, "The file is not a video format that is accepted here.")
        }
        ffi::AVERROR_PATCHWELCOME | ffi::AVERROR_EXPERIMENTAL => {
            (FailureCode::UnsupportedCodec, "The video uses a feature that is not supported here.")
        }
        ffi::AVERROR_BUG | ffi::AVERROR_BUG2 | ffi::AVERROR_OPTION_NOT_FOUND => {
            return internal(format!("failed to {doing}: {}", libav_text(error)));
        }
        _ if error == ffi::AVERROR(ffi::ENOMEM) => (
            FailureCode::Unreadable,
            "The file asks for more memory than is allowed: it is damaged or was made to do harm.",
        ),
        _ => (FailureCode::Unreadable, "The file is damaged or cut short and cannot be read."),
    };
    failure_with(code, message, format!("failed to {doing}: {}", libav_text(error)))
}

/// The failure for a libav error in an encoder, a filter or a muxer.
pub(crate) fn own_failure(error: impl Into<c_int>, doing: &str) -> CodecFailure {
    internal(format!("failed to {doing}: {}", libav_text(error.into())))
}

/// libav's words for an error number.
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
