//! Attempts of a confined process that prove its confinement.

use serde::{Deserialize, Serialize};

/// An attempt at an operation that confinement must prevent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The operation, such as "read a file".
    pub what: String,
    /// Whether it was refused.
    pub denied: bool,
    /// Answer of the system.
    pub answer: String,
}
