//! What OpenDAL leaves out on a file system: the directory entries that lead to a new object.
//!
//! Invariant: a directory is remembered as settled only after the directory that holds its entry was synced.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Directories remembered; beyond that, all are forgotten, which costs only some extra syncs.
const SETTLED_MAX: usize = 4096;

/// File that marks a directory as a store: its absence tells an unmounted disk from a missing object.
const MARKER: &str = ".jetreel-store";

/// The directory of an `fs` store.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    settled: Mutex<BTreeSet<PathBuf>>,
}

impl Directory {
    /// Opens a directory, creating and marking it where that was not done.
    pub(super) fn open(root: &str) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        let root = Path::new(root).canonicalize()?;
        let marker = root.join(MARKER);
        if !marker.try_exists()? {
            File::create(&marker)?.sync_all()?;
            sync(&root)?;
            if let Some(parent) = root.parent() {
                sync(parent)?;
            }
        }
        Ok(Self { root, settled: Mutex::default() })
    }

    /// The directory itself.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the marker is still there. Blocks.
    pub(super) fn is_present(&self) -> bool {
        self.root.join(MARKER).exists()
    }

    /// Makes the entry of the object `key` durable, and those of the directories above it. Blocks.
    pub(super) fn settle(&self, key: &str) -> io::Result<()> {
        let object = self.root.join(key);
        let Some(mut directory) = object.parent() else { return Ok(()) };
        sync(directory)?;
        while directory != self.root && !self.is_settled(directory) {
            let Some(parent) = directory.parent() else { break };
            sync(parent)?;
            self.remember(directory);
            directory = parent;
        }
        Ok(())
    }

    fn is_settled(&self, directory: &Path) -> bool {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).contains(directory)
    }

    fn remember(&self, directory: &Path) {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        if settled.len() >= SETTLED_MAX {
            settled.clear();
        }
        settled.insert(directory.to_owned());
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_settled_up_to_the_root_once() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("new");
        let directory = Directory::open(root.to_str().unwrap()).unwrap();
        std::fs::create_dir_all(root.join("out/video/1")).unwrap();
        directory.settle("out/video/1/a").unwrap();
        let settled: Vec<PathBuf> = directory.settled.lock().unwrap().iter().cloned().collect();
        let root = directory.root();
        assert_eq!(settled, [root.join("out"), root.join("out/video"), root.join("out/video/1")]);
    }

    #[test]
    fn a_directory_that_lost_its_marker_is_not_present() {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::open(place.path().to_str().unwrap()).unwrap();
        assert!(directory.is_present());
        std::fs::remove_file(place.path().join(MARKER)).unwrap();
        assert!(!directory.is_present());
    }
}
