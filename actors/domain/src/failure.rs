//! One taxonomy of failure, and the reasons users and operators see.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::reason::{Reason, WorkFault};
use crate::wire::{CodecFailure, FailureCode, MEMORY_EXIT};

/// What kind of thing went wrong, which decides what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Severity {
    /// Bad media or policy: trying again cannot help.
    Permanent,
    /// This task's own trouble: a decoder crash, a timeout, a budget.
    TaskFault,
    /// Somebody else's trouble: storage, broker, disk. Costs nobody an attempt.
    DependencyFault,
}

/// A failure with its stable code, a sentence for the user, and detail for an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Failure {
    /// What kind.
    pub severity: Severity,
    /// Stable, lower case, such as `unknown-format` or `codec-signal`.
    pub code: String,
    /// Whole sentences that a user understands: what happened, why, and what to do next.
    pub message: String,
    /// What the system said.
    #[serde(default)]
    pub detail: String,
    /// The object in the store that it is about, as long as nobody has found out whether others are fine.
    #[serde(skip)]
    pub object: Option<Box<Touched>>,
}

/// What was done to an object that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    /// It was read.
    Read {
        /// Its key.
        key: String,
        /// From this byte on.
        from: u64,
    },
    /// It was written or removed.
    Written {
        /// Its key.
        key: String,
    },
}

impl Touched {
    /// Its key.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Read { key, .. } | Self::Written { key } => key,
        }
    }
}

impl Failure {
    /// Whether it is what a codec or the plan says of media that cannot be used.
    #[must_use]
    pub fn is_of_media(&self) -> bool {
        let says = |found: &FailureCode| {
            severity(*found) == Severity::Permanent && code(*found) == self.code
        };
        self.severity == Severity::Permanent && FailureCode::ALL.iter().any(says)
    }

    /// A failure that trying again cannot mend.
    pub fn permanent(code: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::Permanent, code, message)
    }

    /// A failure of this task.
    pub fn task(code: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::TaskFault, code, message)
    }

    /// A failure of something the task depends on.
    pub fn dependency(code: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::DependencyFault, code, message)
    }

    fn new(severity: Severity, code: &str, message: impl Into<String>) -> Self {
        let (code, detail) = (code.to_owned(), String::new());
        Self { severity, code, message: message.into(), detail, object: None }
    }

    /// The same of an object, whose key the detail names.
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

    /// What happened, with what the system said in brackets: for operators.
    #[must_use]
    pub fn told(&self) -> String {
        let (message, detail) = (self.message.trim_end(), self.detail.trim());
        match message.strip_suffix('.') {
            _ if detail.is_empty() => message.to_owned(),
            Some(sentence) => format!("{sentence} ({}).", detail.trim_end_matches('.')),
            None => format!("{message} ({detail})"),
        }
    }

    /// The same with detail for an operator.
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

/// How the codec process ended, when it did not end with a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodecDeath {
    /// Killed by a signal that nobody here sent.
    Signal(i32),
    /// Ended with this status without a last word.
    Exit(i32),
    /// Ended by its parent: over its wall-clock budget.
    WallClock,
    /// Ended by its parent: over its CPU budget.
    Cpu,
    /// Ended by its parent: no progress for too long.
    NoProgress,
    /// Ended by its parent: wrote more than its budget.
    Output,
    /// Ended by its parent: read more than its budget.
    Reads,
    /// Ended by its parent: it broke the protocol.
    Protocol,
}

/// `SIGKILL`: nothing in the process sends it to itself.
const SIGKILL: i32 = 9;
/// `SIGXCPU` on Linux: the kernel's word for a spent CPU limit.
const SIGXCPU: i32 = 24;

impl From<CodecDeath> for Failure {
    fn from(death: CodecDeath) -> Self {
        match death {
            CodecDeath::Signal(SIGXCPU) | CodecDeath::Cpu => Self::task(
                "codec-cpu-budget",
                "The video needs more CPU time than it may use. Export it with smaller pictures and upload the new file.",
            ),
            CodecDeath::Signal(SIGKILL) => Self::task(
                "codec-signal",
                "The work on the video was killed (signal 9), most often because the machine ran out of memory. Try again when it has less to do.",
            ),
            CodecDeath::Signal(signal) => Self::task(
                "codec-signal",
                format!(
                    "The decoder crashes on this video (signal {signal}). Export the video again and upload the new file."
                ),
            ),
            CodecDeath::Exit(MEMORY_EXIT) => Reason::from(WorkFault::OutOfMemory).into(),
            CodecDeath::Exit(status) => Self::task(
                "codec-exit",
                format!("The decoder ended without a result (status {status}). Try again."),
            ),
            CodecDeath::WallClock => Self::task(
                "codec-wall-clock",
                "The work on the video takes longer than it may. Try again when the node has less to do.",
            ),
            CodecDeath::NoProgress => Self::task(
                "codec-no-progress",
                "The decoder makes no progress on this video. Export the video again and upload the new file.",
            ),
            CodecDeath::Output => Self::task(
                "codec-output-budget",
                "The video becomes more data than it may. Export the video again and upload the new file.",
            ),
            CodecDeath::Protocol => Self::task(
                "codec-protocol",
                "The decoder answers with nonsense on this video. Try again; if that does not help, export the video again.",
            ),
            CodecDeath::Reads => Self::task(
                "codec-read-budget",
                "The decoder reads far more of the video than there is. Export the video again and upload the new file.",
            ),
        }
    }
}

/// The severity of what a codec reports.
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

/// The stable word for what a codec reports.
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
