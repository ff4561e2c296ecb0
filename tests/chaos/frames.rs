//! The protocol of NATS as far as a proxy must understand it: where a frame ends, and where a message goes to.

/// Content of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// `PUB` or `HPUB`: subject, and where the answer is to go.
    Published { subject: String, reply: Option<String> },
    /// `MSG` or `HMSG`: subject.
    Delivered { subject: String },
    /// Anything else.
    Other,
}

/// The first frame in `bytes` and its length; `None` where it is not there as a whole yet.
pub(crate) fn first(bytes: &[u8]) -> Option<(Frame, usize)> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let line = String::from_utf8_lossy(&bytes[..end]);
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let (frame, payload) = match words.as_slice() {
        [verb, subject, between @ .., length]
            if ["PUB", "HPUB"].iter().any(|known| known.eq_ignore_ascii_case(verb)) =>
        {
            // Of HPUB the length of the headers stands before that of the whole.
            let replies = between.len() - usize::from(verb.len() == 4 && !between.is_empty());
            let reply = between[..replies].first().map(|reply| (*reply).to_owned());
            (Frame::Published { subject: (*subject).to_owned(), reply }, length.parse().ok())
        }
        [verb, subject, .., length]
            if ["MSG", "HMSG"].iter().any(|known| known.eq_ignore_ascii_case(verb)) =>
        {
            (Frame::Delivered { subject: (*subject).to_owned() }, length.parse().ok())
        }
        _ => (Frame::Other, None),
    };
    let whole = end + 2 + payload.map_or(0, |payload: usize| payload + 2);
    (bytes.len() >= whole).then_some((frame, whole))
}

/// Checks the assumptions of the proxy. The campaign's program has no test runner that would.
pub(crate) fn must_be_understood() {
    let frame = first(b"HPUB a.b _INBOX.x.1 12 17\r\nNATS/1.0\r\n\r\nhello\r\nPING\r\n");
    let reply = Some("_INBOX.x.1".to_owned());
    assert_eq!(frame, Some((Frame::Published { subject: "a.b".into(), reply }, 46)));
    assert_eq!(first(b"PUB a 2\r\nhi"), None);
    let without = Frame::Published { subject: "a".into(), reply: None };
    assert_eq!(first(b"PUB a 2\r\nhi\r\n"), Some((without, 13)));
    let delivered = Frame::Delivered { subject: "_INBOX.x.1".into() };
    assert_eq!(first(b"MSG _INBOX.x.1 7 0\r\n\r\n"), Some((delivered, 22)));
    assert_eq!(first(b"PING\r\nPONG\r\n"), Some((Frame::Other, 6)));
}
