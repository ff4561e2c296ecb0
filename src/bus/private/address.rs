//! The address of a private broker, left in its folder for other programs of the same user.
//!
//! Invariant: the file contains a password, so only its owner can read it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

const FILE: &str = "url";
const OWNER_ALONE: u32 = 0o600;

/// The address file. It is removed when dropped. A killed process leaves it, and the next one replaces it.
pub(super) struct Address {
    place: PathBuf,
    url: String,
}

impl Address {
    /// Writes the address into the folder.
    pub(super) fn leave(folder: &Path, url: &str) -> io::Result<Self> {
        let place = folder.join(FILE);
        let unfinished = folder.join(format!("{FILE}.{}", std::process::id()));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(OWNER_ALONE);
        options.open(&unfinished)?.write_all(url.as_bytes())?;
        fs::rename(&unfinished, &place)?;
        Ok(Self { place, url: url.to_owned() })
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        // Another broker may use the folder in the meantime.
        let own = fs::read_to_string(&self.place).is_ok_and(|found| found == self.url);
        if own && let Err(error) = fs::remove_file(&self.place) {
            tracing::debug!(%error, "the address file of the private broker could not be removed");
        }
    }
}

/// The address of the private broker that keeps its data in the folder; `None` if there is no file. The broker may have ended since.
#[must_use]
pub fn running_in(folder: &Path) -> Option<String> {
    let url = fs::read_to_string(folder.join(FILE)).ok()?;
    (!url.is_empty()).then_some(url)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn an_address_is_there_as_long_as_its_broker_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = Address::leave(folder.path(), "nats://u:p@a:1").unwrap();
        assert_eq!(running_in(folder.path()).as_deref(), Some("nats://u:p@a:1"));
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, OWNER_ALONE);
        let second = Address::leave(folder.path(), "nats://u:p@a:2").unwrap();
        drop(first);
        assert_eq!(running_in(folder.path()).as_deref(), Some("nats://u:p@a:2"));
        drop(second);
        assert_eq!(running_in(folder.path()), None);
    }
}
