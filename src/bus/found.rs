//! A message as its stream stores it, and whether its head is well-formed.
//!
//! Invariant: the client library closes the connection at a head that it cannot parse, and takes a status line in it for the server's own.
//! The server stores both. So heads are checked here by the rules of the library's connection. A message with a malformed head counts as
//! one without headers and body.

use std::str::FromStr as _;

use async_nats::HeaderMap;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::RawMessage;
use async_nats::{HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::severity::Fault;

/// Character in place of bytes that are not UTF-8.
const NO_TEXT: char = char::REPLACEMENT_CHARACTER;

/// A message of a stream.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    /// Subject that the message was published to.
    pub(super) subject: String,
    pub(super) sequence: u64,
    /// Headers; empty if the head is malformed.
    pub(super) headers: HeaderMap,
    /// Body; empty if the head is malformed.
    pub(super) payload: Bytes,
    /// When it was stored, in seconds since the Unix epoch.
    pub(super) at: i64,
    /// Why the head is malformed, so that no consumer can deliver the message. `None` if it is well-formed.
    pub(super) garbled: Option<&'static str>,
}

impl Found {
    /// Parses the answer of the server.
    pub(super) fn of(raw: RawMessage) -> Result<Self, Fault> {
        let bytes = |text: &str| {
            let decoded = STANDARD.decode(text);
            decoded.map_err(|error| Fault::Malformed(format!("message {}: {error}", raw.sequence)))
        };
        let (head, payload) =
            (raw.headers.as_deref().map(bytes).transpose()?, bytes(&raw.payload)?);
        let read = subject(&raw.subject)
            .and_then(|()| head.map_or(Ok(HeaderMap::new()), |head| headers(&head)));
        let (headers, payload, garbled) = match read {
            Ok(headers) => (headers, payload.into(), None),
            Err(why) => (HeaderMap::new(), Bytes::new(), Some(why)),
        };
        let (sequence, at) = (raw.sequence, raw.time.unix_timestamp());
        Ok(Self { subject: raw.subject, sequence, headers, payload, at, garbled })
    }
}

impl From<StreamMessage> for Found {
    /// The connection has already parsed the head.
    fn from(message: StreamMessage) -> Self {
        Self {
            subject: message.subject.into_string(),
            sequence: message.sequence,
            headers: message.headers,
            payload: message.payload,
            at: message.time.unix_timestamp(),
            garbled: None,
        }
    }
}

/// Fails for a subject that is not UTF-8 or contains white space, by the rules of Unicode.
fn subject(subject: &str) -> Result<(), &'static str> {
    if subject.contains(|c: char| c.is_whitespace() || c == NO_TEXT) {
        return Err("its subject contains white space or is not UTF-8");
    }
    Ok(())
}

fn headers(head: &[u8]) -> Result<HeaderMap, &'static str> {
    let text = std::str::from_utf8(head).map_err(|_| "its headers are not UTF-8")?;
    let mut lines = text.lines().peekable();
    match lines.next().and_then(|line| line.strip_prefix("NATS/1.0")) {
        None => return Err("its headers have no version"),
        Some(status) if !status.trim().is_empty() => {
            return Err("its headers begin with a status, which only the server may send");
        }
        Some(_) => {}
    }
    let mut headers = HeaderMap::new();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let (name, value) = line.split_once(':').ok_or("a line of its headers has no colon")?;
        let name = HeaderName::from_str(name).map_err(|_| "a header has no possible name")?;
        let mut value = value.trim_start().to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with(char::is_whitespace)) {
            value.push_str(more);
        }
        headers.append(name, HeaderValue::from(value.trim_end()));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(head: &[u8]) -> Result<Vec<(String, String)>, &'static str> {
        headers(head).map(|headers| super::super::deadletters::pairs(&headers))
    }

    #[test]
    fn a_head_is_read_or_it_is_not() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read(b"NATS/1.0\r\n\r\n"), Ok(Vec::new()));
        let two = b"NATS/1.0\r\nA: 1 \r\nb:\r\nA: x\r\n  y\r\n\r\n";
        assert_eq!(read(two), Ok(vec![pair("A", "1"), pair("A", "x  y"), pair("b", "")]));
        let bad: [&[u8]; 9] = [
            b"",
            b"NATS/1.0\r\nfoo\r\n\r\n",
            b"NATS/1.0\r\nfoo bar: x\r\n\r\n",
            b"NATS/1.0\r\nf\xc3\xb6\xc3\xb6: x\r\n\r\n",
            b"NATS/1.0\r\nfoo: \xff\r\n\r\n",
            b"NATS/2.0\r\nfoo: x\r\n\r\n",
            b"NATS/1.0 404\r\n\r\n",
            b"NATS/1.0 503 No\r\nfoo: x\r\n\r\n",
            b"NATS/1.0 of mine\r\n\r\n",
        ];
        for head in bad {
            assert!(read(head).is_err(), "{:?}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn of_a_bad_head_nothing_is_believed() {
        let found = |subject: &str, head: Option<&[u8]>| {
            let (data, hdrs) = (STANDARD.encode("body"), head.map(|head| STANDARD.encode(head)));
            let time = "2026-01-01T00:00:00Z";
            let raw =
                json!({ "subject": subject, "seq": 7, "data": data, "hdrs": hdrs, "time": time });
            Found::of(serde_json::from_value(raw).unwrap()).unwrap()
        };
        assert_eq!(&found("a.b", None).payload[..], b"body");
        assert_eq!(found("a.b", Some(b"NATS/1.0\r\nx: y\r\n\r\n")).headers.len(), 1);
        for (subject, head) in [
            ("a.b", Some(&b"NATS/1.0\r\nfoo\r\n\r\n"[..])),
            ("a.\u{3000}", None),
            ("a.\u{fffd}", None),
        ] {
            let found = found(subject, head);
            assert!(found.garbled.is_some() && found.payload.is_empty(), "{found:?}");
            assert_eq!((found.headers.len(), found.sequence), (0, 7));
        }
    }
}
