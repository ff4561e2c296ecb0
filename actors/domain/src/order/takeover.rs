//! Reasons for a takeover.

use serde::{Deserialize, Serialize};

/// Why a later order takes over from one that cannot be carried out as planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Takeover {
    /// The chunks do not fit together. The successor is decoded in one go.
    SeamMismatch,
    /// No node has the codec build that the plan pins. The successor is planned with another build.
    CodecBuild,
    /// A reason that only a later version knows.
    #[serde(other)]
    Other,
}
