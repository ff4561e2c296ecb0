//! Name of the owner of a video, chosen by the uploader. Owners share the slots.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::BadId;
use crate::words::printable;

/// Longest name in bytes.
pub const OWNER_BYTES_MAX: usize = 128;

/// Characters of a refused name that its error repeats.
const SHOWN_MAX: usize = 64;

/// Name of an owner. It is checked where it is given; a state is read whatever name it holds. All videos without an owner have the empty
/// name, and share as one owner does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OwnerName(String);

impl OwnerName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether no owner was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for OwnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for OwnerName {
    type Err = BadId;

    /// At most [`OWNER_BYTES_MAX`] bytes of printable text without white space at its ends.
    fn from_str(text: &str) -> Result<Self, BadId> {
        let printable = text.chars().all(printable::is_printable);
        if printable && text.len() <= OWNER_BYTES_MAX && text.trim() == text {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadId { kind: "owner", text: text.chars().take(SHOWN_MAX).collect() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_printable_and_short() {
        let longest = "x".repeat(OWNER_BYTES_MAX);
        for name in ["", "team-a", "Zoë 3", longest.as_str()] {
            assert_eq!(name.parse::<OwnerName>().unwrap().as_str(), name);
        }
        let longer = format!("{longest}x");
        for name in [" a", "a\n", "a\u{0}b", "a\u{202e}b", longer.as_str()] {
            assert_eq!(name.parse::<OwnerName>().unwrap_err().kind, "owner", "{name:?}");
        }
    }
}
