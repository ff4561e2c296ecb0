//! Excerpts of long texts such as the log of a codec: the first line and the last whole lines.

/// Text in place of the omitted lines.
const GAP: &str = "…";

/// About `bytes_max` bytes of `text`: all of it if it fits, else the first line, which says what failed, and as many of the last lines as
/// fit.
#[must_use]
pub fn excerpt(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let first = head(first, bytes_max / 2);
    let room = bytes_max.saturating_sub(first.len() + GAP.len() + 2);
    match last_lines(rest, room) {
        // One line that is longer than `bytes_max`.
        "" => format!("{first}{GAP}{}", tail(text, room)),
        last => format!("{first}\n{GAP}\n{last}"),
    }
}

/// The last whole lines of `text` that fit into `bytes_max` bytes.
#[must_use]
pub fn last_lines(text: &str, bytes_max: usize) -> &str {
    let cut = text.len().saturating_sub(bytes_max);
    if cut == 0 {
        return text;
    }
    let line = text.bytes().skip(cut - 1).position(|byte| byte == b'\n');
    line.and_then(|line| text.get(cut + line..)).unwrap_or_default()
}

fn head(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or_default()]
}

fn tail(text: &str, bytes_max: usize) -> &str {
    let start = text.len().saturating_sub(bytes_max);
    let start = (start..=text.len()).find(|at| text.is_char_boundary(*at));
    &text[start.unwrap_or(text.len())..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_fits_is_left_alone() {
        assert_eq!(excerpt("a\nb", 3), "a\nb");
        assert_eq!(last_lines("a\nb", 3), "a\nb");
    }

    #[test]
    fn the_first_line_and_the_last_whole_ones_are_kept() {
        let text = "Failed to open.\nfirst of the log\nsecond\nthird";
        assert_eq!(excerpt(text, 40), "Failed to open.\n…\nsecond\nthird");
        assert_eq!(excerpt(text, 31), "Failed to open.\n…\nthird");
        assert_eq!(last_lines("first\nsecond\nthird", 12), "second\nthird");
        assert_eq!(last_lines("first\nsecond\nthird", 11), "third");
        assert_eq!(last_lines("no line ends", 4), "");
        assert_eq!(excerpt("one line without an end", 17), "one line… end");
    }

    #[test]
    fn no_character_is_cut_in_two() {
        for length in 0..40 {
            let cut = excerpt("Fäiled tö öpen\nlög öf thé cödec\nénd", length);
            assert!(cut.len() <= length + GAP.len(), "{length}: {cut}");
        }
    }
}
