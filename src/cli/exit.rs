//! Exit codes and error messages of commands.

use std::process::ExitCode;

use jetreel_domain::words::failure::Failure;

use super::output;

/// Exit codes, as `--help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    Done,
    Failed,
    /// The media was refused: trying again cannot help.
    Refused,
    JobFailed,
    /// There is no such job, video or letter.
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

/// An error with its exit code.
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

/// Turns a result into the exit code of the process, and prints the error.
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

/// The chain of causes as sentences. Errors of the system are in brackets.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let failure = cause.downcast_ref::<Failure>();
        let said = failure.map_or_else(|| cause.to_string(), Failure::told);
        if text.ends_with(&said) {
            continue;
        }
        match (text.is_empty(), failure) {
            (true, _) => {}
            // A failure is a sentence of its own; any other cause continues the line.
            (false, Some(_)) => text = format!("{} ", ended(&text)),
            (false, None) => text.push_str(": "),
        }
        text.push_str(&said);
    }
    ended(&capitalised(&text))
}

/// Capitalises the text, unless it begins with the name of a setting, a file or a command.
fn capitalised(text: &str) -> String {
    let word = text.split_whitespace().next().unwrap_or_default().trim_end_matches([',', ':', ';']);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if word.chars().all(char::is_alphabetic) => {
            first.to_uppercase().chain(letters).collect()
        }
        Some(_) | None => text.to_owned(),
    }
}

fn ended(text: &str) -> String {
    let text = text.trim_end();
    if text.ends_with(['.', '?', '!']) { text.to_owned() } else { format!("{text}.") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn an_error_ends_with_its_own_code_however_deep_it_lies() {
        let missing = Err::<Exit, _>(told(Exit::NotFound, "no such job")).context("status");
        assert_eq!(of_error(&missing.unwrap_err()), Exit::NotFound);
        let away =
            anyhow::Error::from(Failure::dependency("broker-unreachable", "No broker answers."));
        assert_eq!(of_error(&away), Exit::Unreachable);
        assert_eq!(of_error(&anyhow::anyhow!("other")), Exit::Failed);
    }

    #[test]
    fn a_failure_is_told_with_what_the_system_said() {
        let failure = Failure::dependency("x", "The store is away.").with_detail("EIO");
        let error = anyhow::Error::from(failure).context("cannot start");
        assert_eq!(sentence(&error), "Cannot start. The store is away (EIO).");
    }

    #[test]
    fn what_is_said_has_a_capital_and_a_full_stop_and_names_stay_as_they_are() {
        for (text, expected) in [
            ("nats.url is not set", "nats.url is not set."),
            ("no server answers; is it running?", "No server answers; is it running?"),
            ("the id is taken.", "The id is taken."),
        ] {
            assert_eq!(sentence(&anyhow::anyhow!(text)), expected);
        }
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        let error = anyhow::Error::from(missing).context("cannot read x.mp4; check the path");
        assert_eq!(sentence(&error), "Cannot read x.mp4; check the path: entity not found.");
    }
}
