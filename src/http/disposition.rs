//! Parses the file name in a `Content-Disposition` header (RFC 6266), as clients send it with an upload.
//!
//! Parameters: RFC 6266, section 4.1, with tokens and quoted strings of RFC 9110, sections 5.6.2 and 5.6.4. `filename*` is an ext-value of
//! RFC 8187, section 3.2. It takes precedence over `filename` (RFC 6266, section 4.3); if it cannot be decoded, `filename` is used. Of
//! parameters with the same name, the first that yields a file name counts.
//!
//! The parser is lenient, because a name is never a reason to refuse an upload. It accepts spaces around `=`, spaces and bytes beyond ASCII
//! in a token, a string without its closing quote, a missing disposition type, and a backslash that escapes neither a quote nor a
//! backslash, as in a Windows path. Bytes are UTF-8 if they are valid UTF-8, else ISO-8859-1.
//!
//! Not a library: `content_disposition` and `mailparse` let `filename` take precedence, `content_disposition` also cuts at a semicolon
//! within quotes, `headers` exposes no parameters, and `parse-net` refuses the lenient forms above.

/// The last segment of the path in the header; `None` if the header has no name.
pub(super) fn file_name(header: &[u8]) -> Option<String> {
    let parameters = parameters(header);
    let named = |wanted: &'static str| {
        parameters.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()))
    };
    let extended = named("filename*").find_map(|(_, value)| base_name(&extended_text(value)?));
    extended.or_else(|| named("filename").find_map(|(_, value)| base_name(&text(value))))
}

/// Names and unquoted values of the parameters. Elements without `=`, such as the disposition type, are left out.
fn parameters(header: &[u8]) -> Vec<(&[u8], Vec<u8>)> {
    let mut found = Vec::new();
    let mut rest = header;
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b';' | b'=')) {
        let name = rest[..end].trim_ascii();
        let is_parameter = rest[end] == b'=';
        rest = &rest[end + 1..];
        if is_parameter {
            let value;
            (value, rest) = value_and_rest(rest.trim_ascii_start());
            found.push((name, value));
        }
    }
    found
}

/// A value, and the rest after the next semicolon.
fn value_and_rest(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let (quoted, text) = match text.strip_prefix(b"\"") {
        Some(text) => {
            let (value, rest) = quoted_string(text);
            (Some(value), rest)
        }
        None => (None, text),
    };
    let end = text.iter().position(|byte| *byte == b';').unwrap_or(text.len());
    let value = quoted.unwrap_or_else(|| text[..end].trim_ascii().to_vec());
    (value, text.get(end + 1..).unwrap_or_default())
}

/// The content of a quoted string, and the rest after its closing quote. `text` begins after the opening quote.
fn quoted_string(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut value = Vec::new();
    let mut rest = text;
    loop {
        match rest {
            [] => return (value, rest),
            [b'"', after @ ..] => return (value, after),
            [b'\\', escaped @ (b'"' | b'\\'), after @ ..] => {
                value.push(*escaped);
                rest = after;
            }
            [byte, after @ ..] => {
                value.push(*byte);
                rest = after;
            }
        }
    }
}

/// Decodes an ext-value: charset, language, percent-encoded text, with a `'` between them.
fn extended_text(value: &[u8]) -> Option<String> {
    let mut parts = value.splitn(3, |byte| *byte == b'\'');
    let (charset, _language, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = percent_decoded(encoded)?;
    if charset.eq_ignore_ascii_case(b"utf-8") {
        String::from_utf8(bytes).ok()
    } else if charset.eq_ignore_ascii_case(b"iso-8859-1") {
        Some(latin_1(&bytes))
    } else {
        None
    }
}

/// Decodes percent-encoded text. `None` if a percent sign is not followed by two hexadecimal digits.
fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, after @ ..] = rest else { return None };
        bytes.push(u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?);
        rest = after;
    }
    Some(bytes)
}

fn text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| latin_1(bytes), ToOwned::to_owned)
}

fn latin_1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// The part of a path after its last separator, of Unix or Windows.
fn base_name(path: &str) -> Option<String> {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path).trim();
    (!matches!(name, "" | "." | "..")).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_names(cases: &[(&[u8], &str)]) {
        for (header, expected) in cases {
            let found = file_name(header);
            let header = String::from_utf8_lossy(header);
            assert_eq!(found.as_deref().unwrap_or_default(), *expected, "{header}");
        }
    }

    #[test]
    fn tokens_and_quoted_strings() {
        assert_names(&[
            (b"attachment; filename=x.mp4", "x.mp4"),
            (b"attachment; filename=\"x.mp4\"", "x.mp4"),
            (b"attachment; filename=\"a;b.mp4\"", "a;b.mp4"),
            (b"attachment; filename=\"a=b, c.mp4\"; size=3", "a=b, c.mp4"),
            (b"attachment; filename=\"say \\\"hi\\\".mp4\"", "say \"hi\".mp4"),
            (b"attachment; filename=\"'x'.mp4\"", "'x'.mp4"),
            (b"attachment; FileName=x.mp4", "x.mp4"),
            (b"ATTACHMENT;FILENAME=\"x.mp4\"", "x.mp4"),
            (b"attachment; filename = \"x.mp4\" ;", "x.mp4"),
            (b"attachment;\tfilename=x.mp4", "x.mp4"),
            (b"attachment;\r\n filename=\"x.mp4\"", "x.mp4"),
            (b"form-data; name=\"file\"; filename=\"x.mp4\"", "x.mp4"),
            (b"attachment; xfilename=y.mp4; filename=x.mp4", "x.mp4"),
            (b"attachment; note=\"; filename=y.mp4\"; filename=x.mp4", "x.mp4"),
            (b"attachment; filename=a b.mp4", "a b.mp4"),
            (b"attachment; filename=\"x.mp4", "x.mp4"),
            (b"attachment; filename=\"x.mp4\"y.mp4; filename=z.mp4", "x.mp4"),
            (b"attachment; filename=\"a%20b.mp4\"", "a%20b.mp4"),
            (b"attachment; filename=\"=?UTF-8?B?eA==?=\"", "=?UTF-8?B?eA==?="),
        ]);
    }

    #[test]
    fn bytes_beyond_ascii() {
        assert_names(&[
            ("attachment; filename=\"тест 日本.mp4\"".as_bytes(), "тест 日本.mp4"),
            ("attachment; filename=тест.mp4".as_bytes(), "тест.mp4"),
            ("attachment; filename=\"🎬👩\u{200d}👧.mp4\"".as_bytes(), "🎬👩\u{200d}👧.mp4"),
            (b"attachment; filename=\"gr\xfcn.mp4\"", "grün.mp4"),
            (b"attachment; filename=\"\xff\xfe.mp4\"", "ÿþ.mp4"),
        ]);
    }

    #[test]
    fn extended_values_win_where_they_can_be_decoded() {
        assert_names(&[
            (b"attachment; filename*=UTF-8''%e2%82%ac%20a.mp4", "€ a.mp4"),
            (b"attachment; filename*=utf-8'en-GB'%C2%A3.mp4", "£.mp4"),
            (b"attachment; FileName*=UTF-8''x.mp4", "x.mp4"),
            (b"attachment; filename*=UTF-8''%F0%9F%8E%AC.mp4", "🎬.mp4"),
            (b"attachment; filename*=iso-8859-1''gr%FCn.mp4", "grün.mp4"),
            (b"attachment; filename*=\"UTF-8''%c3%a9.mp4\"", "é.mp4"),
            (b"attachment; filename*=UTF-8''it's%27.mp4", "it's'.mp4"),
            (b"attachment; filename*=UTF-8''%e2%82%ac.mp4; filename=\"EUR.mp4\"", "€.mp4"),
            (b"attachment; filename=\"EUR.mp4\"; filename*=UTF-8''%e2%82%ac.mp4", "€.mp4"),
            (b"attachment; filename*=UTF-8''%zz.mp4; filename=x.mp4", "x.mp4"),
            (b"attachment; filename*=UTF-8''a%; filename=x.mp4", "x.mp4"),
            (b"attachment; filename*=UTF-8''a%4; filename=x.mp4", "x.mp4"),
            (b"attachment; filename*=UTF-8''%+1.mp4; filename=x.mp4", "x.mp4"),
            (b"attachment; filename*=UTF-8''%ff.mp4; filename=x.mp4", "x.mp4"),
            (b"attachment; filename*=KOI8-R''%f4.mp4; filename=x.mp4", "x.mp4"),
            (b"attachment; filename*=y.mp4; filename=x.mp4", "x.mp4"),
            (b"attachment; filename*=UTF-8''%zz; filename*=UTF-8''y.mp4", "y.mp4"),
        ]);
    }

    #[test]
    fn paths_are_stripped() {
        assert_names(&[
            (b"attachment; filename=\"../../etc/x.mp4\"", "x.mp4"),
            (b"attachment; filename=/x.mp4", "x.mp4"),
            (b"attachment; filename=\"C:\\dir\\x.mp4\"", "x.mp4"),
            (b"attachment; filename=\"C:\\\\dir\\\\x.mp4\"", "x.mp4"),
            (b"attachment; filename=C:\\dir\\x.mp4", "x.mp4"),
            (b"attachment; filename*=UTF-8''..%2f..%5Cx.mp4", "x.mp4"),
            (b"attachment; filename*=UTF-8''dir%2F; filename=x.mp4", "x.mp4"),
            (b"attachment; filename=\"..\"", ""),
            (b"attachment; filename=\"dir/\"", ""),
        ]);
    }

    #[test]
    fn missing_repeated_and_empty_parts() {
        assert_names(&[
            (b"filename=\"x.mp4\"", "x.mp4"),
            (b"; filename=x.mp4", "x.mp4"),
            (b"attachment; filename=a.mp4; filename=b.mp4", "a.mp4"),
            (b"attachment; filename=\"\"; filename=b.mp4", "b.mp4"),
            (b"attachment; filename", ""),
            (b"attachment; filename=", ""),
            (b"attachment; filename=\"\"", ""),
            (b"attachment; filename=\"", ""),
            (b"attachment", ""),
            (b";;=;\"", ""),
            (b"", ""),
        ]);
    }
}
