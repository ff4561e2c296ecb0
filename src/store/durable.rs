//! The folder of an `fs` store, and the durability of the directory entries that lead to an object.
//!
//! Invariant: a directory counts as settled only after the directory that holds its entry was synced, and only while it exists. A directory
//! that is created anew is settled anew.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most settled directories in memory. Beyond that all are forgotten, which only costs extra syncs.
const SETTLED_MAX: usize = 4096;

/// File that marks a directory as a store. Its absence distinguishes an unmounted disk from a missing object.
const MARKER: &str = ".jetreel-store";

/// The directory of an `fs` store.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    settled: Mutex<BTreeSet<PathBuf>>,
}

impl Directory {
    /// Opens a directory. Creates and marks it if needed.
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

    /// Path of the directory.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the marker exists. Blocks.
    pub(super) fn is_present(&self) -> bool {
        self.root.join(MARKER).exists()
    }

    /// Path of the object `key`.
    ///
    /// # Errors
    /// The key leads out of the store.
    pub(super) fn path(&self, key: &str) -> io::Result<PathBuf> {
        let mut parts = Path::new(key).components().peekable();
        let within =
            parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)));
        if within {
            return Ok(self.root.join(key));
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, "a key that leads out of the store"))
    }

    /// Creates the directories of the object `key` and returns its path. Blocks.
    pub(super) fn prepare(&self, key: &str) -> io::Result<PathBuf> {
        let path = self.path(key)?;
        if let Some(parent) = path.parent() {
            self.make(parent)?;
        }
        Ok(path)
    }

    fn make(&self, directory: &Path) -> io::Result<()> {
        match std::fs::create_dir(directory) {
            Ok(()) => {
                self.settled().remove(directory);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            // Only directories below the root are created: a root that is gone is not created again.
            Err(error) if error.kind() == io::ErrorKind::NotFound && directory != self.root => {
                let Some(parent) = directory.parent() else { return Err(error) };
                self.make(parent)?;
                self.make(directory)
            }
            Err(error) => Err(error),
        }
    }

    /// Syncs the directory entry of the object `key` and those of the directories above it. Blocks.
    pub(super) fn settle(&self, key: &str) -> io::Result<()> {
        let object = self.root.join(key);
        let Some(mut directory) = object.parent() else { return Ok(()) };
        sync(directory)?;
        while directory != self.root && !self.settled().contains(directory) {
            let Some(parent) = directory.parent() else { break };
            sync(parent)?;
            self.remember(directory);
            directory = parent;
        }
        Ok(())
    }

    /// Removes the empty directories above the object `key`, except the first level. Blocks.
    pub(super) fn prune(&self, key: &str) {
        let forget = |directory: &Path| {
            self.settled().remove(directory);
        };
        prune_above(&self.root, &self.root.join(key), forget);
    }

    fn settled(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, directory: &Path) {
        let mut settled = self.settled();
        if settled.len() >= SETTLED_MAX {
            settled.clear();
        }
        settled.insert(directory.to_owned());
    }
}

/// Removes the empty directories above an object, up to the first level below `root`, which stays. Returns the removed ones. Blocks.
pub(super) fn prune_above(root: &Path, object: &Path, mut removed: impl FnMut(&Path)) {
    for directory in object.ancestors().skip(1) {
        let depth = directory.strip_prefix(root).map_or(0, |below| below.iter().count());
        // A directory that cannot be removed stays, and so do those above it.
        if depth < 2 || std::fs::remove_dir(directory).is_err() {
            return;
        }
        removed(directory);
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> (tempfile::TempDir, Directory) {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::open(place.path().join("new").to_str().unwrap()).unwrap();
        (place, directory)
    }

    #[test]
    fn directories_are_settled_up_to_the_root_once() {
        let (_place, directory) = opened();
        let object = directory.prepare("out/video/1/a").unwrap();
        directory.settle("out/video/1/a").unwrap();
        let settled: Vec<PathBuf> = directory.settled().iter().cloned().collect();
        let root = directory.root();
        assert_eq!(settled, [root.join("out"), root.join("out/video"), root.join("out/video/1")]);
        assert_eq!(object, root.join("out/video/1/a"));
    }

    #[test]
    fn a_directory_that_is_made_again_is_settled_again() {
        let (_place, directory) = opened();
        directory.prepare("raw/video/a").unwrap();
        directory.settle("raw/video/a").unwrap();
        let made = directory.root().join("raw/video");
        // As another process would.
        std::fs::remove_dir(&made).unwrap();
        directory.prepare("raw/video/b").unwrap();
        assert!(made.exists() && !directory.settled().contains(&made));
    }

    #[test]
    fn directories_that_hold_nothing_go_with_the_last_object() {
        let (_place, directory) = opened();
        let first = directory.prepare("out/video/1/task/one/a").unwrap();
        let second = directory.prepare("out/video/1/task/two/b").unwrap();
        for object in [&first, &second] {
            std::fs::write(object, b"x").unwrap();
        }
        std::fs::remove_file(&first).unwrap();
        directory.prune("out/video/1/task/one/a");
        assert!(!first.parent().unwrap().exists() && second.exists());
        std::fs::remove_file(&second).unwrap();
        directory.prune("out/video/1/task/two/b");
        assert!(directory.root().join("out").exists());
        assert!(!directory.root().join("out/video").exists());
    }

    #[test]
    fn no_key_leads_out_of_the_store() {
        let (_place, directory) = opened();
        for key in ["../a", "out/../../a", "/etc/a", "", "."] {
            assert!(directory.path(key).is_err(), "{key:?}");
        }
    }

    #[test]
    fn a_directory_that_lost_its_marker_is_not_present() {
        let (_place, directory) = opened();
        assert!(directory.is_present());
        std::fs::remove_file(directory.root().join(MARKER)).unwrap();
        assert!(!directory.is_present());
    }
}
