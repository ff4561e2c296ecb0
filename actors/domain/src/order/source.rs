//! The original of a video in the store.

use serde::{Deserialize, Serialize};

use crate::order::ledger::Object;

/// An original in the store. Its parts never change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Source {
    /// Size in bytes.
    pub bytes: u64,
    /// The parts, in order, in states of older versions. Empty otherwise. The field is always written, because older programs require it.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// Object with the list of the parts, see [`crate::order::parts::PartList`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<Object>,
}

/// A part of the original.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Key in the store.
    pub key: String,
    /// Size in bytes.
    pub bytes: u64,
}
