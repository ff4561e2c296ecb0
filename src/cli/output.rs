//! The only place that prints: data to standard output, messages to standard error.

use std::io::Write;

use jetreel_domain::words::printable::{is_printable, printable};
use serde::Serialize;

/// A line of data. A reader that went away is not an error.
pub(super) fn data(text: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        tracing::debug!("nobody reads the output");
    }
}

/// Lines of data for people. What they quote of an upload or a letter moves no cursor.
pub(super) fn text(text: &str) {
    data(&shown(text));
}

/// One JSON object. What a terminal would act on is escaped.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    data(&escaped(&serde_json::to_string_pretty(value)?));
    Ok(())
}

/// A line for people.
pub(super) fn note(text: &str) {
    let mut out = std::io::stderr().lock();
    if writeln!(out, "{}", shown(text)).is_err() {
        tracing::debug!("nobody reads the messages");
    }
}

/// What went wrong.
pub(super) fn error(text: &str) {
    note(&format!("error: {text}"));
}

/// The same lines, each printable.
fn shown(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(printable).collect();
    lines.join("\n")
}

/// The same JSON: outside of its strings it has no other control characters than line feeds.
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

    /// Clears the screen, by an escape sequence and by its one-character form; then turns the text around.
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
