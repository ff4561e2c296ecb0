//! Whether stored bytes are those that were written.

use sha2::{Digest, Sha256};

/// Whether `bytes` have the SHA-256 that a document names, in hexadecimal.
#[must_use]
pub fn is_intact(bytes: &[u8], sha256: &str) -> bool {
    hex::encode(Sha256::digest(bytes)) == sha256
}
