//! Why a later order takes over from one that cannot be carried out as it was planned.

use serde::{Deserialize, Serialize};

/// Why a later order takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Takeover {
    /// Its chunks do not fit together: the next is decoded in one go.
    SeamMismatch,
    /// No node has the codec build that its plan pins: the next is planned with another.
    CodecBuild,
    /// A reason of a later version.
    #[serde(other)]
    Other,
}
