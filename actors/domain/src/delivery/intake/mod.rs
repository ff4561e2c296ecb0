//! What is read from broker and store, checked against the place where it was found.
//!
//! Whoever may publish to one subject can write any body there, and whoever may write one key can write any document. So a body must
//! belong to its subject and a document to its key; every object that it names must lie below the prefix of its own order; sizes must
//! be possible and hashes must be hashes.
//!
//! Invariant: what contradicts its place is never acted on. Only this module says what contradicts.

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

/// The schema version of a document or message, whatever else is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct Peek {
    /// 0 where it has none.
    #[serde(default)]
    pub v: u32,
}
