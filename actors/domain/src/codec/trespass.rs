//! What a confined process tries in order to show that it is confined.

use serde::{Deserialize, Serialize};

/// Something that a confined process must not be able to do, tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// What, such as "read a file".
    pub what: String,
    /// It was refused.
    pub denied: bool,
    /// In the words of the system.
    pub answer: String,
}
