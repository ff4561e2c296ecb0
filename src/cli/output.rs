//! The only module that prints: data to standard output, messages to standard error.

use std::io::Write;

use jetreel_domain::words::printable::{is_printable, printable};
use serde::Serialize;

/// Prints a line of data. It is no error if the reader has closed the pipe.
pub(super) fn data(text: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        tracing::debug!("the reader of the output has closed it");
    }
}

/// Prints lines of data for display. Quoted text cannot move the terminal's cursor.
pub(super) fn text(text: &str) {
    data(&shown(text));
}

/// Writes to a terminal as it is, with sequences that it acts on. The text between them must be [`shown`].
pub(super) fn terminal(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        tracing::debug!("the terminal is closed");
    }
}

/// Prints one JSON object. Characters that a terminal interprets are escaped.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    data(&escaped(&serde_json::to_string_pretty(value)?));
    Ok(())
}

/// Prints a message.
pub(super) fn note(text: &str) {
    let mut out = std::io::stderr().lock();
    if writeln!(out, "{}", shown(text)).is_err() {
        tracing::debug!("the reader of the messages has closed them");
    }
}

/// Prints an error.
pub(super) fn error(text: &str) {
    note(&format!("error: {text}"));
}

/// The text with each line made printable.
pub(super) fn shown(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(printable).collect();
    lines.join("\n")
}

/// The JSON with control characters escaped. Outside of its strings it contains only line feeds.
fn escaped(json: &str) -> String {
    let escape = |c: char| match c {
        '\n' => c.to_string(),
        _ if is_printable(c) => c.to_string(),
        _ => format!("\\u{:04x}", u32::from(c)),
    };
    json.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clears the screen, by an escape sequence and by its one-character form, then reverses the direction of the text.
    const HOSTILE: &str = "\u{1b}[2J\u{9b}2J\u{202e}gpj";

    #[test]
    fn lines_stay_and_what_a_terminal_acts_on_goes() {
        assert_eq!(shown(&format!("a {HOSTILE}\nb")), "a [2J2Jgpj\nb");
    }

    #[test]
    fn json_keeps_its_value() {
        let value = serde_json::json!({ "title": HOSTILE });
        let text = escaped(&serde_json::to_string_pretty(&value).unwrap());
        assert!(text.chars().all(|c| c == '\n' || is_printable(c)), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
