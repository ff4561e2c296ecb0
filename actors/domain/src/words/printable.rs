//! Makes text from an upload, such as a title or a language tag, safe for a page, a terminal or a log.
//!
//! Invariant: the result has no character that moves a cursor, breaks a line or changes the order of the text around it.

/// `text` without control characters, line and paragraph separators, and explicit bidirectional controls (UAX #9, section 2: embeddings,
/// overrides, isolates), which can make a name look like another one.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().filter(|c| is_printable(*c)).collect()
}

/// Whether [`printable`] keeps a character.
#[must_use]
pub fn is_printable(c: char) -> bool {
    !c.is_control() && !is_separator(c) && !is_bidi_control(c)
}

fn is_separator(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_or_reorders_text_is_left_out_and_letters_stay() {
        for (text, expected) in [
            ("a\u{1b}[2Jb\r\n\u{0}", "a[2Jb"),
            ("\u{85}\u{9b}x\u{2028}y\u{2029}", "xy"),
            ("gpj.\u{202e}4pm", "gpj.4pm"),
            ("\u{2066}a\u{2069}\u{202a}b\u{202c}", "ab"),
            ("עברית عربى\u{200f} 日本", "עברית عربى\u{200f} 日本"),
            ("👩\u{200d}👧 é", "👩\u{200d}👧 é"),
        ] {
            assert_eq!(printable(text), expected, "{text:?}");
        }
    }
}
