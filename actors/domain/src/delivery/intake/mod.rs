//! Checks everything read from broker and store against the place where it was found.
//!
//! A client that may publish to one subject can write any body there, and a client that may write one key can write any document. So a body
//! must belong to its subject and a document to its key. Every object that it names must lie below the prefix of its own order. Sizes must
//! be possible, and hashes must be hashes.
//!
//! Invariant: content that contradicts its place is never processed. Only this module decides about contradictions.

mod contradiction;
mod entries;
mod messages;
mod plans;
mod sources;
mod states;

pub use contradiction::Contradiction;
pub use entries::entry;
pub use messages::Body;
pub use plans::{manifest, plan};
pub use sources::{BadPrefix, SourcePrefixes};
pub use states::{claim, parts, video};

use serde::Deserialize;

/// The schema version of a document or message of any form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct Peek {
    /// 0 if there is none.
    #[serde(default)]
    pub v: u32,
}
