//! Parses the byte range of a request (RFC 9110, section 14).

use std::ops::Range;

/// Bytes of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All bytes: there is no range, it has a form that may be ignored, or there are several.
    All,
    Part(Range<u64>),
    /// The range lies outside the object: 416.
    Outside,
}

/// Reads a `Range` header for an object of `size` bytes.
#[must_use]
pub(super) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some(spec) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else {
        return Wanted::All;
    };
    let Some((first, last)) = spec.split_once('-') else { return Wanted::All };
    match (number(first), number(last)) {
        // The last `count` bytes.
        (Number::None, Number::Some(count)) if count > 0 && size > 0 => {
            Wanted::Part(size.saturating_sub(count)..size)
        }
        (Number::None, Number::Some(_)) => Wanted::Outside,
        (Number::Some(first), Number::None) if first < size => Wanted::Part(first..size),
        (Number::Some(first), Number::Some(last)) if first <= last && first < size => {
            Wanted::Part(first..last.saturating_add(1).min(size))
        }
        (Number::Some(first), Number::Some(last)) if last < first => Wanted::All,
        (Number::Some(_), Number::None | Number::Some(_)) => Wanted::Outside,
        (Number::None, Number::None) | (Number::Bad, _) | (_, Number::Bad) => Wanted::All,
    }
}

enum Number {
    None,
    Some(u64),
    Bad,
}

fn number(text: &str) -> Number {
    let text = text.trim();
    if text.is_empty() {
        return Number::None;
    }
    // `parse` alone would accept a sign.
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Number::Bad;
    }
    text.parse().map_or(Number::Bad, Number::Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_range_is_cut_to_the_object() {
        for (header, range) in [
            ("bytes=0-0", 0..1),
            ("bytes=2-4", 2..5),
            ("bytes=7-", 7..10),
            ("bytes=-3", 7..10),
            ("bytes=-99", 0..10),
            ("bytes=5-99", 5..10),
            ("bytes=0-18446744073709551615", 0..10),
        ] {
            assert_eq!(wanted(Some(header), 10), Wanted::Part(range), "{header}");
        }
    }

    #[test]
    fn a_range_outside_is_refused_and_nonsense_is_ignored() {
        for header in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            assert_eq!(wanted(Some(header), 10), Wanted::Outside, "{header}");
        }
        assert_eq!(wanted(Some("bytes=-5"), 0), Wanted::Outside);
        for header in
            ["bytes=4-2", "bytes=a-b", "items=1-2", "bytes=0-1,4-5", "bytes=+1-2", "bytes=-"]
        {
            assert_eq!(wanted(Some(header), 10), Wanted::All, "{header}");
        }
        assert_eq!(wanted(None, 10), Wanted::All);
    }
}
