//! A walk over the objects of an `fs` store.
//!
//! OpenDAL's walk ends at the first folder that cannot be read. This walk leaves such a folder out and reports it. The next walk tries
//! again, so nothing waits for the folder.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use jetreel_actors::ports::{Met, PortFuture, Walk};
use jetreel_domain::words::failure::Failure;
use rustix::io::Errno;
use walkdir::{DirEntry, IntoIter, WalkDir};

use super::file::{Files, away};
use super::severity::{gone, io_failure};

/// Most folders that a walk leaves out. If more cannot be read, the fault is the store's.
const UNREAD_MAX: usize = 100;

/// Entries examined in one step, within the timeout of a request. Each may cost a slow disk several seeks.
const STEP_ENTRIES: usize = 256;

/// Most nested folders that are open at one time. The remaining entries of those above are held in memory.
const OPEN_MAX: usize = 64;

/// The `Walk` port on a directory.
pub(super) struct FolderWalk {
    files: Files,
    /// `None` after a step that failed or whose future was dropped: the objects it met are unknown then.
    left: Option<Left>,
}

/// The rest of the walk.
struct Left {
    /// Root of the store.
    root: PathBuf,
    /// The folder that was entered last.
    folder: PathBuf,
    /// Depth below the folder where the walk began.
    depth: usize,
    entries: IntoIter,
    unread: Vec<String>,
}

impl FolderWalk {
    /// Begins below the folder `prefix`. A folder that does not exist has no objects.
    pub(super) fn start(files: Files, prefix: &str) -> Result<Self, Failure> {
        let directory = &files.directory;
        let root = directory.root().to_owned();
        let top = match prefix.trim_matches('/') {
            "" => root.clone(),
            below => directory.path(below).map_err(|error| io_failure(&error))?,
        };
        let entries = WalkDir::new(&top).max_open(OPEN_MAX).into_iter();
        let left = Left { root, folder: top, depth: 0, entries, unread: Vec::new() };
        Ok(Self { files, left: Some(left) })
    }

    async fn next_page(&mut self, limit: usize) -> Result<Vec<Met>, Failure> {
        let mut page = Vec::new();
        while page.len() < limit {
            let mut left = self.left.take().ok_or_else(broken_off)?;
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

    /// Fails if the marker is missing: an unmounted disk leaves an empty folder that must not be mistaken for a store without objects.
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
    /// Adds at most `wanted` objects. `false` at the end of the walk. Blocks.
    fn step(&mut self, wanted: usize, met: &mut Vec<Met>) -> Result<bool, Failure> {
        for _ in 0..STEP_ENTRIES {
            if met.len() == wanted {
                break;
            }
            let Some(entry) = self.entries.next() else { return Ok(false) };
            match entry {
                Ok(entry) if entry.file_type().is_dir() => self.enter(entry)?,
                Ok(entry) => match self.object(&entry) {
                    Ok(found) => met.extend(found),
                    Err(error) => self.leave_out(entry.path().parent(), &error)?,
                },
                Err(error) => {
                    let folder = self.folder_of(&error).to_owned();
                    // Without followed links there are no other errors.
                    let cause =
                        error.into_io_error().unwrap_or_else(|| io::ErrorKind::Other.into());
                    self.leave_out(Some(&folder), &cause)?;
                }
            }
        }
        Ok(true)
    }

    fn enter(&mut self, entry: DirEntry) -> Result<(), Failure> {
        self.depth = entry.depth();
        self.folder = entry.into_path();
        #[cfg(feature = "chaos")]
        if let Err(error) = super::fault::strike("list") {
            self.entries.skip_current_dir();
            return self.leave_out(Some(&self.folder.clone()), &error);
        }
        Ok(())
    }

    /// The object of an entry: a plain file below the folder where the walk began. Links and devices are skipped.
    fn object(&self, entry: &DirEntry) -> io::Result<Option<Met>> {
        let is_object = entry.file_type().is_file() && entry.depth() > 0;
        // OpenDAL trims keys, so it would mistake this one for another.
        let is_key = |key: &&str| key.trim() == *key;
        let Some(key) = self.key(entry.path()).filter(is_key).filter(|_| is_object) else {
            return Ok(None);
        };
        #[cfg(feature = "chaos")]
        super::fault::strike("stat")?;
        let facts = entry.metadata()?;
        let modified = facts.modified().ok().map(seconds);
        Ok(Some(Met { key: key.to_owned(), bytes: facts.len(), modified }))
    }

    /// The key of a path. `None` if it is not UTF-8: Jetreel writes no such keys.
    fn key<'a>(&self, path: &'a Path) -> Option<&'a str> {
        path.strip_prefix(&self.root).ok()?.to_str()
    }

    /// The folder that could not be read completely. If the error does not name it, it is the folder entered last, or one above.
    fn folder_of<'a>(&'a self, error: &'a walkdir::Error) -> &'a Path {
        let above = (self.depth + 1).saturating_sub(error.depth());
        let folder = match error.path() {
            Some(path) if path == self.folder => Some(path),
            Some(path) => path.parent(),
            None => self.folder.ancestors().nth(above),
        };
        folder.unwrap_or(&self.root)
    }

    /// Handles an error. A vanished entry is skipped. A folder that the file system refuses to read is left out. A fault of the whole store
    /// ends the walk.
    fn leave_out(&mut self, folder: Option<&Path>, error: &io::Error) -> Result<(), Failure> {
        let Some(key) = folder.and_then(|folder| self.key(folder)) else { return Ok(()) };
        let key = if key.is_empty() { String::new() } else { format!("{key}/") };
        if error.kind() == io::ErrorKind::NotFound || self.unread.contains(&key) {
            return Ok(());
        }
        if is_of_all(error) || self.unread.len() == UNREAD_MAX {
            return Err(io_failure(error).with_detail(format!("{key}: {error}")));
        }
        tracing::warn!(folder = key, %error, "a folder of the store could not be read");
        self.unread.push(key);
        Ok(())
    }
}

fn broken_off() -> Failure {
    Failure::dependency("storage-failed", "A walk through the storage ended too early.")
}

/// Whether the error would affect every folder.
fn is_of_all(error: &io::Error) -> bool {
    let full = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::TIMEDOUT];
    Errno::from_io_error(error).is_some_and(|said| full.contains(&said))
}

/// Seconds since the Unix epoch.
pub(super) fn seconds(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
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

    /// Longest path that the system accepts.
    const PATH_MAX: usize = 4096;
    const TOO_LONG: usize = PATH_MAX + 500;

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

    /// Creates nested folders until the last path has `length` bytes. Returns the last folder.
    fn deepen(top: &Path, length: usize) -> File {
        std::fs::create_dir_all(top).unwrap();
        let mut folder = File::open(top).unwrap();
        let mut left = length - top.as_os_str().len();
        while left > 1 {
            let name = "x".repeat((left - 1).min(250));
            mkdirat(&folder, &name, Mode::RWXU).unwrap();
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            folder = openat(&folder, &name, flags, Mode::empty()).unwrap().into();
            left -= name.len() + 1;
        }
        folder
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
        deepen(&place.path().join("out/m/deep"), TOO_LONG);
        let mut walk = store.walk("out/").await.unwrap();
        assert_eq!(rest(walk.as_mut()).await, keys);
        let [unread] = walk.unread() else { panic!("{:?}", walk.unread()) };
        assert!(unread.starts_with("out/m/deep/xxx") && unread.ends_with("x/"), "{unread}");
    }

    #[tokio::test]
    async fn a_folder_counts_once_however_many_of_its_files_cannot_be_looked_at() {
        let (place, store) = store(&["out/a/1"]).await;
        let folder = deepen(&place.path().join("out/deep"), PATH_MAX - 100);
        for number in 0..2 * UNREAD_MAX {
            let name = format!("{number:0>200}");
            let flags = OFlags::WRONLY | OFlags::CREATE;
            drop(openat(&folder, &name, flags, Mode::RWXU).unwrap());
        }
        let mut walk = store.walk("out/").await.unwrap();
        assert_eq!(rest(walk.as_mut()).await, ["out/a/1"]);
        let [unread] = walk.unread() else { panic!("{:?}", walk.unread()) };
        assert!(unread.starts_with("out/deep/x") && unread.ends_with("x/"), "{unread}");
    }

    #[tokio::test]
    async fn a_store_of_which_much_cannot_be_read_is_not_walked() {
        let (place, store) = store(&["out/a/1"]).await;
        for number in 0..=UNREAD_MAX {
            deepen(&place.path().join(format!("out/{number}")), TOO_LONG);
        }
        let mut walk = store.walk("out/").await.unwrap();
        assert_eq!(walk.page(usize::MAX).await.unwrap_err().code, "storage-failed");
        assert_eq!(walk.page(usize::MAX).await.unwrap_err().code, "storage-failed", "nor later");
    }

    #[tokio::test]
    async fn a_name_that_would_be_taken_for_another_is_none() {
        let (place, store) = store(&["out/a/1"]).await;
        for name in ["out/a/1 ", "out/a/1\n", "out/a/\u{a0}"] {
            File::create(place.path().join(name)).unwrap();
        }
        assert_eq!(rest(store.walk("out/").await.unwrap().as_mut()).await, ["out/a/1"]);
        assert!(rest(store.walk("out/a/1/").await.unwrap().as_mut()).await.is_empty(), "a file");
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
            assert!(walk.unread().is_empty(), "{:?}", walk.unread());
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
