//! Removes secrets from logs, dead letters and answers.
//!
//! Invariants: one pass over any text, without panics. In doubt more is removed than needed: an address can be looked up, a leaked secret
//! cannot be recalled.

/// Query parameters whose values are secrets by convention.
const SECRET_PARAMETERS: [&str; 19] = [
    "access_token",
    "api_key",
    "apikey",
    "awsaccesskeyid",
    "client_secret",
    "id_token",
    "key",
    "password",
    "refresh_token",
    "secret",
    "sig",
    "signature",
    "token",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
    "x-api-key",
    "x-goog-credential",
    "x-goog-signature",
];

/// Characters before a parameter. The last two are `&` in HTML and JSON.
const BEFORE_PARAMETER: [&str; 4] = ["?", "&", "&amp;", "\\u0026"];

/// Name of the header with credentials. The one for proxies ends with it.
const HEADER: &str = "authorization";

/// Schemes with one word of credentials. After any other scheme the rest of the line is hidden.
const SCHEMES: [&str; 2] = ["bearer", "basic"];

/// Text in place of a secret.
const HIDDEN: &str = "***";

/// The text with user names and passwords in addresses, secret query parameters and `Authorization` headers replaced by `***`.
#[must_use]
pub fn redact(text: &str) -> String {
    let mut told = String::with_capacity(text.len());
    // Up to `from`, the rest has been searched for headers.
    let (mut rest, mut from) = (text, 0);
    while let Some(at) = position(&rest[from..], HEADER) {
        let end = from + at + HEADER.len();
        let Some((shown, secret)) = header(&rest[end..]) else {
            from = end;
            continue;
        };
        words(&rest[..end], &mut told);
        told.push_str(&rest[end..end + shown]);
        told.push_str(if secret > 0 { HIDDEN } else { "" });
        (rest, from) = (&rest[end + shown + secret..], 0);
    }
    words(rest, &mut told);
    told
}

/// Position of the first `word`, case-insensitive.
fn position(text: &str, word: &str) -> Option<usize> {
    let mut windows = text.as_bytes().windows(word.len());
    windows.position(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

/// Lengths of the shown and of the hidden text after the name of the header. `None` if it was no header.
fn header(text: &str) -> Option<(usize, usize)> {
    // The value may be quoted once or twice, in a list, or printed as an `Option`.
    let value = text.trim_start_matches([' ', '\t', ':', '=', '"', '\'', '`', '\\', '[', '(']);
    let value = value.strip_prefix("Some(").unwrap_or(value).trim_start_matches(['"', '\\']);
    let between = text.len() - value.len();
    if !text[..between].contains([':', '=']) {
        return None;
    }
    let length = |text: &str, ends: fn(char) -> bool| text.find(ends).unwrap_or(text.len());
    let name = length(value, |c| !c.is_ascii_alphanumeric());
    if !SCHEMES.iter().any(|scheme| value[..name].eq_ignore_ascii_case(scheme)) {
        return Some((between, length(value, char::is_control)));
    }
    let credentials = value[name..].trim_start_matches([' ', '\t', '"', '\'', '\\']);
    let shown = text.len() - credentials.len();
    Some((shown, length(credentials, |c| ends_value(c) || c == ',')))
}

/// Whether a character ends an address. A password in an address contains no such character. Quotes and brackets may belong to one; the
/// text behind them is then hidden too.
fn ends_word(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

fn words(text: &str, told: &mut String) {
    text.split_inclusive(ends_word).for_each(|word| addresses(word, told));
}

/// Copies a word with any number of addresses. Each ends where the next begins.
fn addresses(word: &str, told: &mut String) {
    const MARK: &str = "://";
    let mut rest = word;
    while let Some((before, after)) = rest.split_once(MARK) {
        parameters(before, told);
        told.push_str(MARK);
        let next = after.find(MARK).map_or(after.len(), |at| scheme_start(&after[..at]));
        let (address, others) = after.split_at(next);
        let secret = user_length(address);
        told.push_str(if secret > 0 { "***@" } else { "" });
        parameters(&address[secret..], told);
        rest = others;
    }
    parameters(rest, told);
}

/// Position of the scheme that the text ends with.
fn scheme_start(text: &str) -> usize {
    text.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || "+-.".contains(c)).len()
}

/// Length of user name and password after `://`, with their `@`.
///
/// By the standard they end before the first `/`, `?` or `#`, but passwords are not always encoded, and a password may begin like a port.
/// Only a password that contains `://` is not recognised.
fn user_length(address: &str) -> usize {
    let end = address.find(['/', '?', '#']).unwrap_or(address.len());
    if !address[..end].contains(['@', ':']) {
        return 0;
    }
    address.rfind('@').map_or(0, |at| at + 1)
}

fn parameters(text: &str, told: &mut String) {
    let mut rest = text;
    // Position up to which the text was examined.
    let mut from = 0;
    while let Some(at) = rest[from..].find('=') {
        let end = from + at + 1;
        if is_secret(&rest[..end - 1]) {
            told.push_str(&rest[..end]);
            told.push_str(HIDDEN);
            let value = &rest[end..];
            let length = value.find(ends_value).unwrap_or(value.len());
            (rest, from) = (&value[length..], 0);
        } else {
            from = end;
        }
    }
    told.push_str(rest);
}

/// Whether the text ends with the name of a secret parameter.
fn is_secret(text: &str) -> bool {
    SECRET_PARAMETERS.iter().any(|name| {
        let start = text.len().checked_sub(name.len());
        let cut = start.and_then(|start| text.split_at_checked(start));
        cut.is_some_and(|(before, last)| {
            last.eq_ignore_ascii_case(name)
                && BEFORE_PARAMETER.iter().any(|it| before.ends_with(it))
        })
    })
}

/// Whether a character ends the value of a parameter.
fn ends_value(c: char) -> bool {
    ends_word(c) || matches!(c, '"' | '<' | '>' | '`' | '&' | '#' | '\\')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn users_and_passwords_are_left_out() {
        for (text, told) in [
            ("at nats://me:pw@host:4222/x", "at nats://***@host:4222/x"),
            ("nats://token@host\nnext", "nats://***@host\nnext"),
            // Several in one word, in a list and in JSON.
            (
                "to nats://a:pw@h1,nats://b:pw@h2:4222,tls://c:pw@h3/?x=1,2",
                "to nats://***@h1,nats://***@h2:4222,tls://***@h3/?x=1,2",
            ),
            (
                r#"{"a":"https://u:p@h/x","b":"https://v:q@k"}"#,
                r#"{"a":"https://***@h/x","b":"https://***@k"}"#,
            ),
            (r"['s3://u:p@h','s3://v:q@k']", r"['s3://***@h','s3://***@k']"),
            ("https://h/x?next=https://u:p@k/y", "https://h/x?next=https://***@k/y"),
            (r#""a\nhttps://u:p@h\nhttps://v:q@k""#, r#""a\nhttps://***@h\nhttps://***@k""#),
            // Passwords that are not encoded.
            ("nats://u:p/w@h:4222", "nats://***@h:4222"),
            ("nats://u:p@w@h/x", "nats://***@h/x"),
            ("nats://u:p@a/b@h/x", "nats://***@h/x"),
            ("nats://u:1/2@h", "nats://***@h"),
            ("nats://u:p?q#r@h", "nats://***@h"),
            ("nats://u:authorization@h", "nats://***@h"),
            ("nats://u:it's@h", "nats://***@h"),
            ("nats://u:p,w@h", "nats://***@h"),
            ("nats://u:p<w@h", "nats://***@h"),
            ("nats://u:p>w@h", "nats://***@h"),
            ("nats://u:p`w@h", "nats://***@h"),
            ("nats://u:p\"w@h", "nats://***@h"),
        ] {
            assert_eq!(redact(text), told, "{text}");
        }
    }

    #[test]
    fn secret_parameters_are_left_out_in_whatever_case() {
        for name in SECRET_PARAMETERS {
            for name in [name.to_owned(), name.to_ascii_uppercase()] {
                let told = redact(&format!("GET https://h/p?a=1&{name}=s%20/?=;x&b=2 sent"));
                assert_eq!(told, format!("GET https://h/p?a=1&{name}=***&b=2 sent"));
            }
        }
        for (text, told) in [
            ("GET /p?token=t\tsent", "GET /p?token=***\tsent"),
            ("\"/p?a=1&amp;sig=s\"", "\"/p?a=1&amp;sig=***\""),
            (r#""/p?a=1\u0026key=s\u0026b=2""#, r#""/p?a=1\u0026key=***\u0026b=2""#),
            (
                "https://u:p@h?Token=s,nats://v:q@k?key=",
                "https://***@h?Token=***nats://***@k?key=***",
            ),
        ] {
            assert_eq!(redact(text), told, "{text}");
        }
    }

    #[test]
    fn credentials_in_headers_are_left_out() {
        for (text, told) in [
            ("Authorization: Bearer a.b-c_d then", "Authorization: Bearer *** then"),
            ("authorization:basic dXNlcjpwdw==\nHost: h", "authorization:basic ***\nHost: h"),
            (r#"{"Authorization":"Bearer s","b":1}"#, r#"{"Authorization":"Bearer ***","b":1}"#),
            (r#"{\"authorization\": \"Basic s\"}"#, r#"{\"authorization\": \"Basic ***\"}"#),
            ("Proxy-Authorization=BEARER  s, x", "Proxy-Authorization=BEARER  ***, x"),
            ("Authorization: AWS4 Credential=a, Signature=s\nx", "Authorization: ***\nx"),
            ("Authorization: s", "Authorization: ***"),
            (r#"{"Authorization":"s","b":1}"#, r#"{"Authorization":"***"#),
            ("Authorization: Digest username=\"bob\", response=\"s\"", "Authorization: ***"),
            ("authorization: OAuth oauth_token=\"s\"\nHost: h", "authorization: ***\nHost: h"),
            (r#"{"authorization": ["Bearer s"]}"#, r#"{"authorization": ["Bearer ***"]}"#),
            (r#"authorization: Some("Bearer s")"#, r#"authorization: Some("Bearer ***")"#),
            (r#"Authorization: Bearer "s" then"#, r#"Authorization: Bearer "***" then"#),
        ] {
            assert_eq!(redact(text), told, "{text}");
        }
    }

    #[test]
    fn what_is_no_secret_is_left_as_it_is() {
        for text in [
            "frame 7: a@b key=5 token\n\tend ",
            "https://h:80/p?a=1&monkey=2#x",
            "https://cdn/a@2x.png",
            "nats: Authorization Violation",
            "basic settings, bearer of news",
            "://",
            "",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    #[test]
    fn a_long_text_takes_no_longer_than_its_length() {
        // Many repetitions of each searched text: anything but one pass would take minutes.
        for piece in
            ["a", "://", "a:@", "?&;", "=", "key=", "?key=", "a://b:", "authorization:", "é"]
        {
            let text = piece.repeat((1 << 17) / piece.len());
            assert!(redact(&text).len() <= 4 * text.len(), "{piece}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in r#"([:/@?&=#,;"'\\ \n aé]|://|token|key|Authorization|Bearer ){0,40}"#) {
            prop_assert!(redact(&text).len() <= 4 * text.len());
        }

        #[test]
        fn a_password_never_comes_through(
            before in r#"[a-z:/ "{,']{0,8}"#,
            around in r#"[a-z0-9/@?#:,;.=&!<>`"\[\]{}']{0,6}"#,
            after in r#"[a-z/"?&=:,@' ]{0,12}"#,
        ) {
            prop_assume!(!format!(":{around}").contains("://"));
            let text = format!("{before}nats://u:{around}CANARY{around}@h{after}");
            prop_assert!(!redact(&text).contains("CANARY"), "{}", redact(&text));
        }

        #[test]
        fn credentials_never_come_through(
            before in r#"[a-z:/ "{,']{0,8}"#,
            between in r#"("?: ?"?|=|": \["|: Some\("| = ')"#,
            scheme in r#"(Bearer |bearer  |Basic |Digest a="b", c=|Token token="|AWS4 x=y, |)"#,
            after in r#"[a-z/"?&=:,@' ]{0,12}"#,
        ) {
            let text = format!("{before}Authorization{between}{scheme}CANARY{after}");
            prop_assert!(!redact(&text).contains("CANARY"), "{}", redact(&text));
        }
    }
}
