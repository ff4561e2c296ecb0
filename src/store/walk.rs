//! A walk over the objects below a folder, by listers that are kept open: neither `fs` nor memory bears a sorted list.
//!
//! On `fs` the folders are listed here, one within the other: OpenDAL's own walk ends at the first one that cannot be read.

use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures::TryStreamExt;
use jetreel_actors::ports::{Met, PortFuture, Walk};
use jetreel_domain::failure::Failure;
use opendal::{Entry, Error, ErrorKind, Lister, Operator};

use super::durable::Directory;
use super::severity::{Doing, failure, gone, io_causes};

/// Folders that a walk leaves out at most: where more cannot be read, it is not the folders' trouble.
const UNREAD_MAX: usize = 100;

/// A folder whose listing broke off is listed again, so often in one walk: what is met twice in it is the same object.
const AGAIN_MAX: usize = 100;

/// The `Walk` port on OpenDAL listers.
pub(super) struct OpenDalWalk {
    operator: Operator,
    /// Where the store is an `fs` store.
    directory: Option<Arc<Directory>>,
    /// Folders being listed, each within the one before: no more than a key has.
    open: Vec<(String, Lister)>,
    unread: Vec<String>,
    /// How often a folder was listed again.
    again: usize,
}

impl OpenDalWalk {
    /// Starts below the folder `prefix`; an absent folder has no objects.
    pub(super) async fn start(
        operator: Operator,
        directory: Option<Arc<Directory>>,
        prefix: &str,
    ) -> Result<Self, Failure> {
        let mut walk = Self { operator, directory, open: Vec::new(), unread: Vec::new(), again: 0 };
        walk.enter(prefix.to_owned()).await?;
        Ok(walk)
    }

    async fn enter(&mut self, folder: String) -> Result<(), Failure> {
        let at_once = self.directory.is_none();
        loop {
            match self.operator.lister_with(&folder).recursive(at_once).await {
                Ok(lister) => {
                    self.open.push((folder, lister));
                    return Ok(());
                }
                Err(error) if self.may_again(&error) => self.again += 1,
                Err(error) => return self.pass_over(folder, &error),
            }
        }
    }

    /// Whether one more try is in order: below, each was repeated with its pauses already.
    fn may_again(&self, error: &Error) -> bool {
        error.is_temporary() && self.again < AGAIN_MAX
    }

    async fn next_page(&mut self, limit: usize) -> Result<Vec<Met>, Failure> {
        let mut page = Vec::new();
        while page.len() < limit {
            let Some((folder, lister)) = self.open.last_mut() else { break };
            match lister.try_next().await {
                Ok(Some(entry)) if entry.metadata().is_dir() => {
                    if self.directory.is_some() && !is_same(entry.path(), folder) {
                        self.enter(entry.path().to_owned()).await?;
                    }
                }
                Ok(Some(entry)) => page.push(met(&entry)),
                Ok(None) => {
                    self.open.pop();
                }
                Err(error) => {
                    let folder = std::mem::take(folder);
                    self.open.pop();
                    if self.may_again(&error) {
                        self.again += 1;
                        self.enter(folder).await?;
                    } else {
                        self.pass_over(folder, &error)?;
                    }
                }
            }
        }
        if page.len() < limit {
            self.must_be_the_store().await?;
        }
        Ok(page)
    }

    /// A folder that vanished is empty. One that the file system does not let be read is left out. Trouble of the store as a whole
    /// ends the walk; a bucket knows no other.
    fn pass_over(&mut self, folder: String, error: &Error) -> Result<(), Failure> {
        let of_this_one = self.directory.is_some()
            && io_causes(error).next().is_some_and(|cause| !is_of_all(cause));
        if of_this_one && error.kind() == ErrorKind::NotFound {
            return Ok(());
        }
        if !of_this_one || self.unread.len() == UNREAD_MAX {
            return Err(failure(Doing::Writing, error));
        }
        tracing::warn!(folder, %error, "a folder of the store cannot be read");
        self.unread.push(folder);
        Ok(())
    }

    /// An unmounted disk leaves an empty folder, which must not be taken for a store without objects.
    async fn must_be_the_store(&self) -> Result<(), Failure> {
        let Some(directory) = self.directory.clone() else { return Ok(()) };
        let present = tokio::task::spawn_blocking(move || directory.is_present()).await;
        if present.unwrap_or(false) { Ok(()) } else { Err(gone()) }
    }
}

impl Walk for OpenDalWalk {
    fn page(&mut self, limit: usize) -> PortFuture<'_, Vec<Met>> {
        Box::pin(self.next_page(limit))
    }

    fn unread(&self) -> &[String] {
        &self.unread
    }
}

/// Whether what the file system says would be said of any folder now.
fn is_of_all(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, OutOfMemory, TimedOut, WouldBlock};
    [Interrupted, OutOfMemory, TimedOut, WouldBlock].contains(&error.kind())
}

/// A folder is listed among what it holds; the root has two names.
fn is_same(path: &str, folder: &str) -> bool {
    path.trim_start_matches('/') == folder.trim_start_matches('/')
}

fn met(entry: &Entry) -> Met {
    let facts = entry.metadata();
    let modified = facts.last_modified().map(|at| seconds(at.into()));
    Met { key: entry.path().to_owned(), bytes: facts.content_length(), modified }
}

fn seconds(at: SystemTime) -> i64 {
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
        assert!(unread.starts_with("out/m/deep/xxx") && unread.ends_with("x/"), "{unread}");
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
    async fn an_unmounted_disk_is_no_store_without_objects() {
        let (place, store) = store(&[]).await;
        std::fs::remove_file(place.path().join(".jetreel-store")).unwrap();
        let failure = store.walk("out/").await.unwrap().page(1).await.unwrap_err();
        assert_eq!(failure.code, "storage-gone");
    }
}
