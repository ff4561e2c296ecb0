//! How a command ends: its exit code, and what it says when it fails.

use std::process::ExitCode;

use jetreel_domain::failure::Failure;

use super::output;

/// The exit codes, as `--help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// The media was refused: trying again cannot help.
    Refused,
    /// The job failed.
    JobFailed,
    /// There is no such thing.
    NotFound,
    /// Server or broker unreachable.
    Unreachable,
    /// Interrupted by the user.
    Interrupted,
}

impl Exit {
    fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Refused => 2,
            Self::JobFailed => 3,
            Self::NotFound => 4,
            Self::Unreachable => 6,
            Self::Interrupted => 130,
        }
    }
}

/// An error that knows its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Told {
    exit: Exit,
    message: String,
}

/// An error with an exit code and a sentence.
pub(super) fn told(exit: Exit, message: impl Into<String>) -> anyhow::Error {
    Told { exit, message: message.into() }.into()
}

/// Turns a result into the process's exit code, and says what went wrong.
pub(super) fn code(result: anyhow::Result<Exit>) -> ExitCode {
    let exit = result.unwrap_or_else(|error| {
        output::error(&sentence(&error));
        of_error(&error)
    });
    ExitCode::from(exit.code())
}

fn of_error(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if let Some(told) = cause.downcast_ref::<Told>() {
            return told.exit;
        }
        if cause.downcast_ref::<Failure>().is_some_and(|f| f.code == "broker-unreachable") {
            return Exit::Unreachable;
        }
    }
    Exit::Failed
}

/// The whole chain in one line; what the system said in brackets.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let failure = cause.downcast_ref::<Failure>();
        let said = failure.map_or_else(|| cause.to_string(), |failure| failure.message.clone());
        if text.ends_with(&said) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&said);
        if let Some(failure) = failure.filter(|failure| !failure.detail.is_empty()) {
            text.push_str(&format!(" ({})", failure.detail.trim()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn an_error_ends_with_its_own_code_however_deep_it_lies() {
        let missing = Err::<Exit, _>(told(Exit::NotFound, "no such job")).context("status");
        assert_eq!(of_error(&missing.unwrap_err()), Exit::NotFound);
        let away = anyhow::Error::from(Failure::dependency("broker-unreachable", "no broker"));
        assert_eq!(of_error(&away), Exit::Unreachable);
        assert_eq!(of_error(&anyhow::anyhow!("other")), Exit::Failed);
    }

    #[test]
    fn a_failure_is_told_with_what_the_system_said() {
        let failure = Failure::dependency("x", "the store is away").with_detail("EIO");
        let error = anyhow::Error::from(failure).context("cannot start");
        assert_eq!(sentence(&error), "cannot start: the store is away (EIO)");
    }
}
