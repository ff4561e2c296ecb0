//! Reads and writes documents that several versions of the program share: JSON with a schema version.
//!
//! Invariants: a document of a newer version is read if possible and never written. Fields of this version that this program does not know
//! survive a change.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::delivery::claim::{self, Claim};
use crate::delivery::intake::Peek;
use crate::order::state::{self, Video};
use crate::order::unknown::Unknown;
use crate::words::failure::Failure;

/// A document that is changed by compare-and-set.
pub trait Document: Serialize + DeserializeOwned {
    /// The newest schema version that this program knows.
    const VERSION: u32;

    /// Schema version of the document.
    fn version(&self) -> u32;

    /// Fields and values that this program does not know.
    fn unknown(&self) -> &Unknown;

    /// Stores the fields and values that this program does not know.
    fn keep(&mut self, unknown: Unknown);

    /// Whether a newer program wrote the document. Only such a program may change it.
    fn is_newer(&self) -> bool {
        self.version() > Self::VERSION
    }
}

/// Why a document cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentFault {
    /// The document is of this newer version. It has an unknown form, or only a program of that version may change it.
    #[error("it has the version {0}")]
    Newer(u32),
    /// The document has no known form.
    #[error("{0}")]
    Form(String),
}

/// Reads a document.
///
/// # Errors
/// The bytes do not have the form of such a document.
pub fn read<D: Document>(bytes: &[u8]) -> Result<D, DocumentFault> {
    let form = |error: serde_json::Error| match serde_json::from_slice::<Peek>(bytes) {
        Ok(Peek { v }) if v > D::VERSION => DocumentFault::Newer(v),
        Ok(_) | Err(_) => DocumentFault::Form(error.to_string()),
    };
    let mut document: D = serde_json::from_slice(bytes).map_err(form)?;
    // The usual case: the same program wrote the document, and it holds nothing unknown.
    let same = serde_json::to_vec(&document).is_ok_and(|known| known == bytes);
    if !same {
        let original = serde_json::from_slice(bytes).map_err(form)?;
        let known = serde_json::to_value(&document).map_err(form)?;
        document.keep(Unknown::between(&original, &known));
    }
    Ok(document)
}

/// Writes a document, together with what was unknown when it was read.
///
/// # Errors
/// A newer program wrote the document, and only such a program may change it.
pub fn write<D: Document>(document: &D) -> Result<Vec<u8>, DocumentFault> {
    if document.is_newer() {
        return Err(DocumentFault::Newer(document.version()));
    }
    let unwritten = |error: serde_json::Error| DocumentFault::Form(error.to_string());
    if document.unknown().is_empty() {
        return serde_json::to_vec(document).map_err(unwritten);
    }
    let mut value = serde_json::to_value(document).map_err(unwritten)?;
    document.unknown().restore(&mut value);
    serde_json::to_vec(&value).map_err(unwritten)
}

/// The failure of work that would have to change a document of a newer version. It charges no attempt.
#[must_use]
pub fn newer() -> Failure {
    let message =
        "A newer version of Jetreel wrote the document. Only a node of that version changes it.";
    Failure::task("newer-document", message)
}

impl Document for Video {
    const VERSION: u32 = state::VERSION;

    fn version(&self) -> u32 {
        self.v
    }

    fn unknown(&self) -> &Unknown {
        &self.unknown
    }

    fn keep(&mut self, unknown: Unknown) {
        self.unknown = unknown;
    }
}

impl Document for Claim {
    const VERSION: u32 = claim::VERSION;

    fn version(&self) -> u32 {
        self.v
    }

    fn unknown(&self) -> &Unknown {
        &self.unknown
    }

    fn keep(&mut self, unknown: Unknown) {
        self.unknown = unknown;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::id::VideoId;
    use crate::order::lane::Lane;
    use crate::order::state::Status;

    fn stored(edit: impl FnOnce(&mut Value)) -> Vec<u8> {
        let video = Video::receiving(VideoId::from_bits(1), "Holiday".into(), Lane::Normal, 7);
        let mut value = serde_json::to_value(video).unwrap();
        edit(&mut value);
        serde_json::to_vec(&value).unwrap()
    }

    #[test]
    fn unknown_fields_survive_a_change() {
        let bytes = stored(|value| {
            value["mood"] = json!({ "good": true });
            value["orders"][0]["owner"] = json!("somebody");
        });
        let mut video: Video = read(&bytes).unwrap();
        video.advance(1, Status::Queued, 9).unwrap();
        let value: Value = serde_json::from_slice(&write(&video).unwrap()).unwrap();
        assert_eq!(value["mood"], json!({ "good": true }));
        assert_eq!(value["orders"][0]["owner"], "somebody");
        assert_eq!(value["orders"][0]["status"], "QUEUED");
        assert_eq!(read::<Video>(&write(&video).unwrap()), Ok(video));
    }

    #[test]
    fn a_state_of_before_there_were_lists_is_read_and_stays_as_it_is() {
        let bytes = stored(|value| {
            value["v"] = json!(1);
            value["source"] =
                json!({ "bytes": 9, "parts": [{ "key": "raw/a/00000", "bytes": 9 }] });
        });
        let mut video: Video = read(&bytes).unwrap();
        assert_eq!((video.v, video.source.parts.len(), &video.source.list), (1, 1, &None));
        video.advance(1, Status::Queued, 9).unwrap();
        let value: Value = serde_json::from_slice(&write(&video).unwrap()).unwrap();
        assert_eq!((&value["v"], &value["source"]["parts"][0]["bytes"]), (&json!(1), &json!(9)));
        assert_eq!(value["source"].get("list"), None, "older programs read it as before");
    }

    #[test]
    fn a_newer_document_is_read_and_not_written() {
        let video: Video = read(&stored(|value| value["v"] = json!(99))).unwrap();
        assert!(video.is_newer());
        assert_eq!(write(&video), Err(DocumentFault::Newer(99)));
    }

    #[test]
    fn a_document_that_cannot_be_read_tells_whether_it_is_newer() {
        let unread = |bytes: Vec<u8>| read::<Video>(&bytes).unwrap_err();
        let newer = stored(|value| {
            value["v"] = json!(3);
            value["orders"][0]["status"] = json!("DREAMING");
        });
        assert_eq!(unread(newer), DocumentFault::Newer(3));
        let odd = stored(|value| value["orders"][0]["status"] = json!("DREAMING"));
        assert!(matches!(unread(odd), DocumentFault::Form(_)));
        assert!(matches!(unread(b"{\"v\":".to_vec()), DocumentFault::Form(_)));
    }

    #[test]
    fn a_claim_of_before_it_had_a_version_is_of_the_first() {
        let old = br#"{"attempt_id":"a","node":"n","sequence":3,"attempts":1,"mood":"good"}"#;
        let found: Claim = read(old).unwrap();
        assert_eq!((found.v, found.is_newer()), (1, false));
        let taken = claim::take(Some(found), "b".into(), "m".into(), 4, 9);
        let value: Value = serde_json::from_slice(&write(&taken).unwrap()).unwrap();
        assert_eq!((&value["mood"], &value["attempt_id"]), (&json!("good"), &json!("b")));
    }
}
