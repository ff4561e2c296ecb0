//! A walk over the objects of an `fs` store.
//!
//! OpenDAL's own walk ends at the first folder that cannot be read. Here such a folder is left out and told; the next walk looks again,
//! so that nothing waits for it.

use std::io;
use std::path::{Path, PathBuf};

use jetreel_actors::ports::{Met, PortFuture, Walk};
use jetreel_domain::failure::Failure;
use walkdir::{DirEntry, IntoIter, WalkDir};

use super::file::{Files, away};
use super::lister::seconds;
use super::severity::{broken, gone, io_failure};

/// Folders that a walk leaves out at most: where more cannot be read, it is not the folders' trouble.
const UNREAD_MAX: usize = 100;

/// Entries looked at in one go, for which the time limit of a request holds: each can cost a slow disk some seeks.
const STEP_ENTRIES: usize = 256;

/// The `Walk` port on a directory.
pub(super) struct FolderWalk {
    files: Files,
    /// `None` after a look that failed, or whose future was dropped: nobody knows what it met.
    left: Option<Left>,
}

/// What was not walked yet.
struct Left {
    /// Of the store.
    root: PathBuf,
    /// Of this walk.
    top: PathBuf,
    entries: IntoIter,
    unread: Vec<String>,
}

impl FolderWalk {
    /// Starts below the folder `prefix`; an absent folder has no objects.
    pub(super) fn start(files: Files, prefix: &str) -> Result<Self, Failure> {
        let directory = &files.directory;
        let root = directory.root().to_owned();
        let top = match prefix.trim_matches('/') {
            "" => root.clone(),
            below => directory.path(below).map_err(|error| io_failure(&error))?,
        };
        let entries = WalkDir::new(&top).into_iter();
        let left = Left { root, top, entries, unread: Vec::new() };
        Ok(Self { files, left: Some(left) })
    }

    async fn next_page(&mut self, limit: usize) -> Result<Vec<Met>, Failure> {
        let mut page = Vec::new();
        while page.len() < limit {
            let mut left = self.left.take().ok_or_else(broken)?;
            let wanted = limit - page.len();
            let step = away(self.files.patience(), move || {
                let mut met = Vec::new();
                let goes_on = left.step(wanted, &mut met)?;
                Ok((left, met, goes_on))
            });
            let (left, met, goes_on) = step.await?;
            self.left = Some(left);
            page.extend(met);
            if !goes_on {
                self.must_be_the_store().await?;
                break;
            }
        }
        Ok(page)
    }

    /// An unmounted disk leaves an empty folder, which must not be taken for a store without objects.
    async fn must_be_the_store(&self) -> Result<(), Failure> {
        let directory = self.files.directory.clone();
        let present = move || directory.is_present().then_some(()).ok_or_else(gone);
        away(self.files.patience(), present).await
    }
}

impl Walk for FolderWalk {
    fn page(&mut self, limit: usize) -> PortFuture<'_, Vec<Met>> {
        Box::pin(self.next_page(limit))
    }

    fn unread(&self) -> &[String] {
        self.left.as_ref().map_or(&[], |left| &left.unread)
    }
}

impl Left {
    /// Meets some objects, `wanted` at most. `false`: there are no more. Blocks.
    fn step(&mut self, wanted: usize, met: &mut Vec<Met>) -> Result<bool, Failure> {
        for _ in 0..STEP_ENTRIES {
            if met.len() == wanted {
                break;
            }
            let Some(entry) = self.entries.next() else { return Ok(false) };
            match entry {
                Ok(entry) => match self.look(&entry) {
                    Ok(found) => met.extend(found),
                    Err(error) => self.pass_over(entry.path(), &error)?,
                },
                Err(error) => {
                    // Where the rest of a folder could not be read, it is not said of which.
                    let path = error.path().map_or_else(|| self.top.clone(), Path::to_owned);
                    self.pass_over(&path, &error.into())?;
                }
            }
        }
        Ok(true)
    }

    /// The object that an entry is: a plain file. Links and devices are not of Jetreel's making.
    fn look(&mut self, entry: &DirEntry) -> io::Result<Option<Met>> {
        #[cfg(feature = "chaos")]
        if entry.file_type().is_dir() {
            super::fault::strike("list").inspect_err(|_| self.entries.skip_current_dir())?;
        }
        let Some(key) = self.key(entry.path()).filter(|_| entry.file_type().is_file()) else {
            return Ok(None);
        };
        let facts = entry.metadata()?;
        let modified = facts.modified().ok().map(seconds);
        Ok(Some(Met { key, bytes: facts.len(), modified }))
    }

    /// `None`: not Unicode, so no key of Jetreel's making.
    fn key(&self, path: &Path) -> Option<String> {
        path.strip_prefix(&self.root).ok()?.to_str().map(ToOwned::to_owned)
    }

    /// What vanished is no more. What the file system does not let be read is left out. Trouble of the store as a whole ends the walk.
    fn pass_over(&mut self, path: &Path, error: &io::Error) -> Result<(), Failure> {
        if error.kind() == io::ErrorKind::NotFound {
            return Ok(());
        }
        let Some(key) = self.key(path) else { return Ok(()) };
        if is_of_all(error) || self.unread.len() == UNREAD_MAX {
            return Err(io_failure(error).with_detail(format!("{key}: {error}")));
        }
        tracing::warn!(key, %error, "a folder of the store cannot be read");
        self.unread.push(key);
        Ok(())
    }
}

/// Whether what the file system says would be said of any folder now.
fn is_of_all(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, OutOfMemory, TimedOut, WouldBlock};
    [Interrupted, OutOfMemory, TimedOut, WouldBlock].contains(&error.kind())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;

    use bytes::Bytes;
    use jetreel_actors::ports::Store as _;
    use rustix::fs::{Mode, OFlags, mkdirat, openat};

    use super::super::{OpenDalStore, StoreOptions};
    use super::*;

    async fn store(keys: &[&str]) -> (tempfile::TempDir, OpenDalStore) {
        let place = tempfile::tempdir().unwrap();
        let mut options = StoreOptions::fs(place.path().to_str().unwrap());
        options.retries = 0;
        let store = OpenDalStore::open(&options).unwrap();
        for key in keys {
            store.write(key, Bytes::from_static(b"x")).await.unwrap();
        }
        (place, store)
    }

    /// Makes folders within each other until the path to the last one is too long to be opened, whoever asks.
    fn deepen(top: &Path) {
        let name = "x".repeat(250);
        std::fs::create_dir_all(top).unwrap();
        let mut folder = File::open(top).unwrap();
        for _ in 0..20 {
            mkdirat(&folder, &name, Mode::RWXU).unwrap();
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            folder = openat(&folder, &name, flags, Mode::empty()).unwrap().into();
        }
    }

    async fn rest(walk: &mut dyn Walk) -> Vec<String> {
        let page = walk.page(usize::MAX).await.unwrap();
        let mut keys: Vec<String> = page.into_iter().map(|met| met.key).collect();
        keys.sort();
        keys
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_read_is_told_and_the_others_are_met() {
        let keys = ["out/a/1", "out/m/deep/0", "out/m/z/2", "out/z/3"];
        let (place, store) = store(&keys).await;
        deepen(&place.path().join("out/m/deep"));
        let mut walk = store.walk("out/").await.unwrap();
        assert_eq!(rest(walk.as_mut()).await, keys);
        let [unread] = walk.unread() else { panic!("{:?}", walk.unread()) };
        assert!(unread.starts_with("out/m/deep/xxx") && unread.ends_with('x'), "{unread}");
    }

    #[tokio::test]
    async fn folders_that_vanish_are_empty() {
        let (place, store) = store(&["out/a/1", "out/b/1", "out/c/1"]).await;
        let mut walk = store.walk("out/").await.unwrap();
        let first = walk.page(1).await.unwrap().remove(0).key;
        for folder in ["out/a", "out/b", "out/c"].into_iter().filter(|it| !first.starts_with(it)) {
            std::fs::remove_dir_all(place.path().join(folder)).unwrap();
        }
        assert!(rest(walk.as_mut()).await.is_empty() && walk.unread().is_empty());
        let mut nowhere = store.walk("nowhere/").await.unwrap();
        assert!(rest(nowhere.as_mut()).await.is_empty() && nowhere.unread().is_empty());
    }

    #[tokio::test]
    async fn every_plain_file_is_met_once_whatever_the_page_and_links_are_none() {
        let (place, store) = store(&["out/a/1"]).await;
        let links = place.path().join("out/links");
        std::fs::create_dir(&links).unwrap();
        std::os::unix::fs::symlink("../a/1", links.join("1")).unwrap();
        std::os::unix::fs::symlink("..", links.join("out")).unwrap();
        let mut all: Vec<String> = (0..3 * STEP_ENTRIES).map(|n| format!("out/b/{n}")).collect();
        std::fs::create_dir(place.path().join("out/b")).unwrap();
        for key in &all {
            File::create(place.path().join(key)).unwrap();
        }
        all.push("out/a/1".to_owned());
        all.sort();
        for limit in [1, STEP_ENTRIES - 1, usize::MAX] {
            let mut walk = store.walk("out/").await.unwrap();
            let mut keys = Vec::new();
            loop {
                let page = walk.page(limit).await.unwrap();
                let ended = page.len() < limit;
                keys.extend(page.into_iter().map(|met| met.key));
                if ended {
                    break;
                }
            }
            keys.sort();
            assert_eq!(keys, all, "pages of {limit}");
        }
    }

    #[tokio::test]
    async fn an_unmounted_disk_is_no_store_without_objects() {
        let (place, store) = store(&[]).await;
        std::fs::remove_file(place.path().join(".jetreel-store")).unwrap();
        let failure = store.walk("out/").await.unwrap().page(1).await.unwrap_err();
        assert_eq!(failure.code, "storage-gone");
    }
}
