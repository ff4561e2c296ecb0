//! Building blocks of sentences for users: numbers, lists, and the rules that every sentence obeys.
//!
//! A message says what happened, why, and what to do next, in that order, in words for a user who has a video and no manual.

/// Technical words that users of a video service do not know.
const JARGON: [&str; 25] = [
    "demux",
    "muxer",
    "packet",
    "bitstream",
    " stream",
    "pts",
    "dts",
    "timestamp",
    " tick",
    "time base",
    "timescale",
    "clock",
    "keyframe",
    "macroblock",
    "chunk",
    "segment",
    "fragment",
    "libav",
    "ffmpeg",
    "x264",
    "filter graph",
    "buffer",
    "resample",
    "parent",
    " here",
];

/// Longest message in characters: three lines of a page.
const LENGTH_MAX: usize = 400;

/// Checks that a text consists of whole sentences.
///
/// # Errors
/// The broken rule.
pub fn check(text: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{what}: {text:?}"));
    let starts = |sentence: &str| {
        sentence.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit() || "`[".contains(c))
    };
    if !text.split(". ").all(starts) {
        return wrong("a sentence begins without a capital");
    }
    if !text.ends_with('.') || text.ends_with("..") {
        return wrong("no full stop at the end");
    }
    if text != text.trim() || text.contains("  ") || text.contains(char::is_control) {
        return wrong("stray spaces");
    }
    if text.contains("\"\"") || text.contains("()") || text.contains(" ,") || text.contains(" .") {
        return wrong("an empty name");
    }
    if text.chars().count() > LENGTH_MAX {
        return wrong("too long");
    }
    Ok(())
}

/// Like [`check`], and without technical words.
///
/// # Errors
/// The broken rule.
pub fn check_plain(text: &str) -> Result<(), String> {
    check(text)?;
    let low = text.to_lowercase();
    match JARGON.into_iter().find(|word| low.contains(word)) {
        Some(word) => Err(format!("the word {word:?} means nothing to a user: {text:?}")),
        None => Ok(()),
    }
}

/// `1,234,567`.
#[must_use]
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 sound track`, `2 sound tracks`.
#[must_use]
pub fn count(value: usize, thing: &str) -> String {
    let plural = if value == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", number(value as u64))
}

/// `a`, `a or b`, `a, b or c`, with `or` as the last word.
#[must_use]
pub fn list(names: &[impl AsRef<str>], last: &str) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_sentences_pass_and_fragments_do_not() {
        for good in ["The file is empty.", "It lasts 2.5 h. `x` is set.", "4:4:4 is rare. 2 are."] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "the file is empty.",
            "The file is empty",
            "It is empty. upload it again.",
            "The codec () is unknown.",
            "Two  spaces.",
            "A\nB.",
            "",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn words_of_the_machinery_are_found() {
        assert!(check_plain("The clock of the video is too fine.").is_err());
        assert!(check_plain("That is not accepted here.").is_err());
        assert_eq!(check_plain("The pictures have 2 × 2 pixels."), Ok(()));
    }

    #[test]
    fn numbers_and_lists_read_well() {
        assert_eq!([0, 999, 1000, 67_108_864].map(number), ["0", "999", "1,000", "67,108,864"]);
        assert_eq!([1, 2].map(|n| count(n, "track")), ["1 track", "2 tracks"]);
        assert_eq!(list(&["a", "b", "c"], "or"), "a, b or c");
        assert_eq!(list(&["a"], "or"), "a");
        assert_eq!(list(&[""; 0], "or"), "");
    }
}
