//! Failures: their taxonomy, and the texts for users and operators.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::codec::wire::{CodecFailure, FailureCode};

/// Kind of a failure. It decides what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Severity {
    /// Bad media or policy: another attempt cannot help.
    Permanent,
    /// The task's own fault: a decoder crash, a timeout, a spent budget.
    TaskFault,
    /// A fault of a dependency: storage, broker, disk. It charges no attempt.
    DependencyFault,
}

/// A failure with its code, a sentence for the user, and detail for an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Failure {
    pub severity: Severity,
    /// Stable code in lower case, such as `unknown-format` or `codec-signal`.
    pub code: String,
    /// Whole sentences for users: what happened, why, and what to do next.
    pub message: String,
    /// Detail for operators, such as an error of the system.
    #[serde(default)]
    pub detail: String,
    /// The object of the store that failed, until it is known whether other objects work. `None` for other failures.
    #[serde(skip)]
    pub object: Option<Box<Touched>>,
}

/// An operation on an object that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    /// A read.
    Read {
        key: String,
        /// First byte of the read.
        from: u64,
    },
    /// A write or removal.
    Written { key: String },
}

impl Touched {
    /// Key of the object.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Read { key, .. } | Self::Written { key } => key,
        }
    }
}

impl Failure {
    /// Whether the codec or the planner rejects the media itself.
    #[must_use]
    pub fn is_of_media(&self) -> bool {
        let says = |found: &FailureCode| {
            severity(*found) == Severity::Permanent && code(*found) == self.code
        };
        self.severity == Severity::Permanent && FailureCode::ALL.iter().any(says)
    }

    /// A failure that another attempt cannot cure.
    pub fn permanent(code: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::Permanent, code, message)
    }

    /// A failure of this task.
    pub fn task(code: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::TaskFault, code, message)
    }

    /// A failure of a dependency.
    pub fn dependency(code: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::DependencyFault, code, message)
    }

    fn new(severity: Severity, code: &str, message: impl Into<String>) -> Self {
        let (code, detail) = (code.to_owned(), String::new());
        Self { severity, code, message: message.into(), detail, object: None }
    }

    /// The failure with the object that it concerns. The detail names its key.
    #[must_use]
    pub fn of(mut self, touched: Touched) -> Self {
        let key = touched.key();
        if self.detail.is_empty() {
            key.clone_into(&mut self.detail);
        } else if !self.detail.contains(key) {
            self.detail = format!("{key}: {}", self.detail);
        }
        self.object = Some(Box::new(touched));
        self
    }

    /// The message, with the detail in brackets: for operators.
    #[must_use]
    pub fn told(&self) -> String {
        let (message, detail) = (self.message.trim_end(), self.detail.trim());
        match message.strip_suffix('.') {
            _ if detail.is_empty() => message.to_owned(),
            Some(sentence) => format!("{sentence} ({}).", detail.trim_end_matches('.')),
            None => format!("{message} ({detail})"),
        }
    }

    /// The failure with detail for an operator.
    #[must_use]
    pub fn with_detail(mut self, detail: impl fmt::Display) -> Self {
        self.detail = detail.to_string();
        self
    }
}

impl From<CodecFailure> for Failure {
    fn from(failure: CodecFailure) -> Self {
        Self {
            severity: severity(failure.code),
            code: code(failure.code).to_owned(),
            message: failure.message,
            detail: failure.detail,
            object: None,
        }
    }
}

/// Severity of a codec's failure code.
#[must_use]
pub fn severity(code: FailureCode) -> Severity {
    match code {
        FailureCode::Empty
        | FailureCode::TooManyBytes
        | FailureCode::UnknownFormat
        | FailureCode::Unreadable
        | FailureCode::NoVideo
        | FailureCode::UnsupportedCodec
        | FailureCode::NoFrames
        | FailureCode::TooManyPixels
        | FailureCode::TooManyStreams
        | FailureCode::TooManyFrames
        | FailureCode::TooLong
        | FailureCode::TimestampGap
        | FailureCode::FrameRate
        | FailureCode::TimeBase
        | FailureCode::NoTier
        | FailureCode::NoLevel
        | FailureCode::TooDamaged => Severity::Permanent,
        FailureCode::SourceUnavailable => Severity::DependencyFault,
        FailureCode::MemoryBudget | FailureCode::Protocol | FailureCode::Internal => {
            Severity::TaskFault
        }
    }
}

/// Stable code of a codec's failure code.
#[must_use]
pub fn code(code: FailureCode) -> &'static str {
    match code {
        FailureCode::Empty => "empty",
        FailureCode::TooManyBytes => "too-many-bytes",
        FailureCode::UnknownFormat => "unknown-format",
        FailureCode::Unreadable => "unreadable",
        FailureCode::NoVideo => "no-video",
        FailureCode::UnsupportedCodec => "unsupported-codec",
        FailureCode::NoFrames => "no-frames",
        FailureCode::TooManyPixels => "too-many-pixels",
        FailureCode::TooManyStreams => "too-many-streams",
        FailureCode::TooManyFrames => "too-many-frames",
        FailureCode::TooLong => "too-long",
        FailureCode::TimestampGap => "timestamp-gap",
        FailureCode::FrameRate => "frame-rate",
        FailureCode::TimeBase => "time-base",
        FailureCode::NoTier => "no-tier",
        FailureCode::NoLevel => "no-level",
        FailureCode::TooDamaged => "too-damaged",
        FailureCode::MemoryBudget => "codec-memory-budget",
        FailureCode::SourceUnavailable => "source-unavailable",
        FailureCode::Protocol => "codec-protocol",
        FailureCode::Internal => "codec-internal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_permanent_reports_of_a_codec_are_about_media() {
        for found in FailureCode::ALL {
            let permanent = severity(found) == Severity::Permanent;
            assert_eq!(Failure::permanent(code(found), "").is_of_media(), permanent, "{found:?}");
        }
        assert!(!Failure::permanent("message-too-large", "").is_of_media());
        assert!(!Failure::task("no-video", "").is_of_media());
    }
}
