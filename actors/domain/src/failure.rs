//! One taxonomy of failure, and the reasons users and operators see.

use std::fmt;

use serde::{Deserialize, Serialize};

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
    /// A sentence a user understands, with what to do where there is something.
    pub message: String,
    /// What the system said.
    #[serde(default)]
    pub detail: String,
}

impl Failure {
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
        Self { severity, code: code.to_owned(), message: message.into(), detail: String::new() }
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

/// `SIGXCPU` on Linux: the kernel's word for a spent CPU limit.
const SIGXCPU: i32 = 24;

impl From<CodecDeath> for Failure {
    fn from(death: CodecDeath) -> Self {
        match death {
            CodecDeath::Signal(SIGXCPU) | CodecDeath::Cpu => Self::task(
                "codec-cpu-budget",
                "the video needed more CPU time than its budget allows",
            ),
            CodecDeath::Signal(signal) => Self::task(
                "codec-signal",
                format!("the decoder crashed on this video (signal {signal})"),
            ),
            CodecDeath::Exit(MEMORY_EXIT) => Self::task(
                code(FailureCode::MemoryBudget),
                "the video needed more memory than its budget allows",
            ),
            CodecDeath::Exit(status) => Self::task(
                "codec-exit",
                format!("the codec process ended without a result (status {status})"),
            ),
            CodecDeath::WallClock => {
                Self::task("codec-wall-clock", "the task took longer than its budget allows")
            }
            CodecDeath::NoProgress => {
                Self::task("codec-no-progress", "the decoder stopped making progress")
            }
            CodecDeath::Output => {
                Self::task("codec-output-budget", "the task produced more data than allowed")
            }
            CodecDeath::Reads => Self::task(
                "codec-read-budget",
                "the decoder read the file again and again, far more than its size explains",
            ),
            CodecDeath::Protocol => {
                Self::task("codec-protocol", "the codec process answered with nonsense")
            }
        }
    }
}

/// The severity of what a codec reports.
#[must_use]
pub fn severity(code: FailureCode) -> Severity {
    match code {
        FailureCode::UnknownFormat
        | FailureCode::Unreadable
        | FailureCode::NoVideo
        | FailureCode::UnsupportedCodec
        | FailureCode::NoFrames
        | FailureCode::TooManyPixels
        | FailureCode::TooManyStreams
        | FailureCode::TooManyFrames
        | FailureCode::TooLong
        | FailureCode::TimestampGap
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
        FailureCode::TooDamaged => "too-damaged",
        FailureCode::MemoryBudget => "codec-memory-budget",
        FailureCode::SourceUnavailable => "source-unavailable",
        FailureCode::Protocol => "codec-protocol",
        FailureCode::Internal => "codec-internal",
    }
}
