//! Contradictions between a place and the content found there, and the rules for keys, sizes and hashes.

use crate::order::ledger::Object;
use crate::words::excerpt::excerpt;
use crate::words::failure::Failure;

/// Most bytes of the content that are quoted, so that forged content cannot fill the logs.
const QUOTED_MAX: usize = 200;
/// Most bytes of a key. Jetreel's own keys have about a hundred.
const KEY_LENGTH_MAX: usize = 512;
/// Most bytes of one object: a petabyte, far above every upload.
pub(super) const OBJECT_BYTES_MAX: u64 = 1 << 50;
/// Characters of a SHA-256 in hexadecimal.
const HASH_LENGTH: usize = 64;

/// Content that contradicts the place where it was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Contradiction {
    /// Subject or key of the place.
    place: String,
    /// The contradiction.
    what: String,
}

impl Contradiction {
    pub(super) fn new(place: &str, what: impl Into<String>) -> Self {
        Self { place: place.to_owned(), what: what.into() }
    }

    /// As the failure of a message. It is buried at once.
    #[must_use]
    pub fn of_message(&self) -> Failure {
        let message = "The message does not agree with the subject that it was published to.";
        Failure::permanent("message-contradicts", message).with_detail(self)
    }

    /// As the failure of a ledger entry. The entry counts as absent, and its task is done again.
    #[must_use]
    pub fn of_entry(&self) -> Failure {
        let message = "A ledger entry does not agree with its subject. Its task is done again.";
        Failure::task("entry-contradicts", message).with_detail(self)
    }

    /// As the failure of a document in the broker or the store.
    #[must_use]
    pub fn of_document(&self) -> Failure {
        let message = "A stored document does not agree with the place where it lies.";
        Failure::task("document-contradicts", message).with_detail(self)
    }
}

/// An excerpt of the content, to be quoted.
pub(super) fn quoted(found: &str) -> String {
    format!("{:?}", excerpt(found, QUOTED_MAX))
}

/// Fails with `what` unless `holds`.
pub(super) fn ensure(holds: bool, place: &str, what: &str) -> Result<(), Contradiction> {
    if holds { Ok(()) } else { Err(Contradiction::new(place, what)) }
}

/// Whether a text is one segment of a key as Jetreel makes them.
pub(super) fn is_segment(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !text.is_empty() && !text.starts_with('.') && text.bytes().all(plain)
}

/// Fails unless the key lies below `prefix`, which ends with `/`.
pub(super) fn below(place: &str, key: &str, prefix: &str) -> Result<(), Contradiction> {
    let segments = key.strip_prefix(prefix).filter(|_| key.len() <= KEY_LENGTH_MAX);
    if segments.is_some_and(|rest| rest.split('/').all(is_segment)) {
        return Ok(());
    }
    let what = format!("the key {} is not below {prefix}", quoted(key));
    Err(Contradiction::new(place, what))
}

/// Fails unless the object lies below `prefix` and has a possible size and a valid hash.
pub(super) fn object(place: &str, object: &Object, prefix: &str) -> Result<(), Contradiction> {
    below(place, &object.key, prefix)?;
    let possible = object.bytes <= OBJECT_BYTES_MAX;
    ensure(possible, place, "the size of an object is not possible")?;
    hash(place, &object.sha256)
}

/// Fails unless the text is a SHA-256 in lower-case hexadecimal.
pub(super) fn hash(place: &str, sha256: &str) -> Result<(), Contradiction> {
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let is_hash = sha256.len() == HASH_LENGTH && sha256.bytes().all(digit);
    ensure(is_hash, place, "the hash of an object is no SHA-256")
}

/// Fails unless the body's own subject is the one where it was found.
pub(super) fn of_subject(found: &str, own: &str) -> Result<(), Contradiction> {
    if found == own {
        return Ok(());
    }
    Err(Contradiction::new(found, format!("the body belongs to {own}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lies_below_a_prefix_or_is_refused() {
        let (prefix, long) = ("out/v/1/", format!("out/v/1/{}", "a".repeat(KEY_LENGTH_MAX)));
        assert_eq!(below("x", "out/v/1/main-0000/5f-e2/720p.mp4", prefix), Ok(()));
        for key in [
            "out/v/10/a",
            "out/w/1/a",
            "raw/v/00000",
            "out/v/1/",
            "out/v/1",
            "out/v/1/../2/a",
            "out/v/1//a",
            "out/v/1/.hidden",
            "out/v/1/a b",
            "out/v/1/ä",
            "",
            long.as_str(),
        ] {
            assert!(below("x", key, prefix).is_err(), "{key}");
        }
    }

    #[test]
    fn a_size_is_possible_and_a_hash_is_one() {
        let good = Object { key: "out/v/1/a".into(), bytes: 7, sha256: "0f".repeat(32) };
        assert_eq!(object("x", &good, "out/v/1/"), Ok(()));
        let huge = Object { bytes: u64::MAX, ..good.clone() };
        assert!(object("x", &huge, "out/v/1/").is_err());
        for sha256 in ["", "0F", &"0F".repeat(32), &"0g".repeat(32), &"0f".repeat(33)] {
            let bad = Object { sha256: sha256.into(), ..good.clone() };
            assert!(object("x", &bad, "out/v/1/").is_err(), "{sha256}");
        }
    }

    #[test]
    fn what_is_quoted_is_short() {
        let told = below("subject", &"x".repeat(9999), "out/").unwrap_err().to_string();
        assert!(told.starts_with("subject: ") && told.len() < 400, "{told}");
    }
}
