//! The only place that prints: data to standard output, messages to standard error.

use std::io::Write;

use serde::Serialize;

/// A line of data. A reader that went away is not an error.
pub(super) fn data(text: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        tracing::debug!("nobody reads the output");
    }
}

/// One JSON object.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    data(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// A line for people.
pub(super) fn note(text: &str) {
    let mut out = std::io::stderr().lock();
    if writeln!(out, "{text}").is_err() {
        tracing::debug!("nobody reads the messages");
    }
}

/// What went wrong.
pub(super) fn error(text: &str) {
    note(&format!("error: {text}"));
}
