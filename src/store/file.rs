//! Writes one object to an `fs` store.
//!
//! OpenDAL's writer opens the object under its final key: readers can see half an object, an older object is silently overwritten, and the
//! folder is not synced. This writer works as follows:
//!
//! 1. bytes go to a temporary name in the object's own folder;
//! 2. the file is synced, once: a second fsync can succeed after the first one lost data;
//! 3. it is renamed without replacing (`RENAME_NOREPLACE`; a hard link where the file system has none): an existing
//!    object is a conflict;
//! 4. the folder is synced, and those above it that are not known to be.
//!
//! So a visible object is complete, and an object whose `finish` returned survives a power failure. A crash leaves at most a temporary file
//! that no document names, and the sweep deletes it. Memory is one chunk per writer.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jetreel_actors::ports::{ObjectWriter, PortFuture};
use jetreel_domain::order::ledger::Object;
use jetreel_domain::words::failure::Failure;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::durable::{Directory, prune_above};
use super::severity::{broken, gone, io_failure, timed_out};

/// Most files being synced at one time: the disk has one queue, and other work needs the blocking threads too.
const CLOSING_MAX: usize = 64;

/// Tries to open a file. Its empty folder may be removed by another process before the file is created.
const OPEN_TRIES_MAX: usize = 8;

/// The place where files are written.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) directory: Arc<Directory>,
    closing: Arc<Semaphore>,
    timeout: Duration,
    chunk_bytes: usize,
}

impl Files {
    pub(super) fn new(directory: Directory, timeout: Duration, chunk_bytes: usize) -> Self {
        let closing = Arc::new(Semaphore::new(CLOSING_MAX));
        Self { directory: Arc::new(directory), closing, timeout, chunk_bytes }
    }

    /// Deadline of an operation that begins now.
    pub(super) fn patience(&self) -> Instant {
        Instant::now() + self.timeout
    }
}

/// A temporary file. Dropping it removes the file and its empty folders, unless it was renamed.
#[derive(Debug)]
struct Temporary {
    path: Option<PathBuf>,
    root: PathBuf,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let Some(path) = self.path.take() else { return };
        match std::fs::remove_file(&path) {
            Ok(()) => prune_above(&self.root, &path, |_| ()),
            Err(error) => {
                tracing::debug!(%error, path = %path.display(), "a temporary file could not be removed; the sweep will remove it");
            }
        }
    }
}

/// The open file, written on a blocking thread.
#[derive(Debug)]
struct Sink {
    file: File,
    temporary: Temporary,
    hasher: Sha256,
    bytes: u64,
}

impl Sink {
    fn open(directory: &Directory, key: &str) -> io::Result<Self> {
        let mut tries = 0;
        loop {
            let target = directory.prepare(key)?;
            let path = temporary_for(&target);
            match File::create_new(&path) {
                Ok(file) => {
                    let root = directory.root().to_owned();
                    let temporary = Temporary { path: Some(path), root };
                    return Ok(Self { file, temporary, hasher: Sha256::new(), bytes: 0 });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound && tries < OPEN_TRIES_MAX => {
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        #[cfg(feature = "chaos")]
        super::fault::strike("write")?;
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Steps 2 to 4 of the module's list.
    fn publish(mut self, directory: &Directory, key: &str) -> io::Result<Object> {
        #[cfg(feature = "chaos")]
        super::fault::strike("close")?;
        self.file.sync_all()?;
        let found = self.file.metadata()?.len();
        if found != self.bytes {
            let text = format!("{key}: wrote {} bytes, found {found}", self.bytes);
            return Err(io::Error::other(text));
        }
        if let Some(path) = &self.temporary.path {
            rename_new(path, &directory.path(key)?)?;
        }
        self.temporary.path = None;
        directory.settle(key)?;
        let sha256 = hex::encode(self.hasher.finalize());
        Ok(Object { key: key.to_owned(), bytes: self.bytes, sha256 })
    }
}

fn temporary_for(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{}.part", uuid::Uuid::new_v4().simple()))
}

/// Renames a file and fails if the new name exists.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // The file system has no rename without replacing. A hard link also fails if the name exists.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            std::fs::hard_link(from, to)?;
            std::fs::remove_file(from)
        }
        Err(error) => Err(error.into()),
    }
}

/// The `ObjectWriter` port on a file.
pub(super) struct FileWriter {
    files: Files,
    key: String,
    /// `None` after a write that failed or whose future was dropped: the number of written bytes is unknown then.
    sink: Option<Sink>,
    waiting: Vec<u8>,
}

impl FileWriter {
    /// Begins the object `key`.
    pub(super) async fn start(files: Files, key: &str) -> Result<Self, Failure> {
        let (directory, wanted) = (files.directory.clone(), key.to_owned());
        let sink = away(files.patience(), move || {
            // An unmounted disk leaves an empty folder that must not be mistaken for the store.
            if !directory.is_present() {
                return Err(gone().with_detail(wanted));
            }
            Sink::open(&directory, &wanted).map_err(|error| io_failure(&error))
        });
        let sink = sink.await?;
        Ok(Self { files, key: key.to_owned(), sink: Some(sink), waiting: Vec::new() })
    }

    async fn append(&mut self, bytes: Bytes) -> Result<(), Failure> {
        if self.sink.is_none() {
            return Err(broken());
        }
        if self.waiting.len() + bytes.len() <= self.files.chunk_bytes {
            self.waiting.extend_from_slice(&bytes);
            return Ok(());
        }
        let mut sink = self.sink.take().ok_or_else(broken)?;
        let mut waiting = std::mem::take(&mut self.waiting);
        let written = away(self.files.patience(), move || {
            let written = sink.append(&waiting).and_then(|()| sink.append(&bytes));
            written.map_err(|error| io_failure(&error))?;
            waiting.clear();
            Ok((sink, waiting))
        });
        let (sink, waiting) = written.await?;
        self.sink = Some(sink);
        self.waiting = waiting;
        Ok(())
    }

    async fn publish(self) -> Result<Object, Failure> {
        let Self { files, key, sink, waiting } = self;
        let mut sink = sink.ok_or_else(broken)?;
        let until = files.patience();
        let Ok(permit) = timeout_at(until, files.closing.clone().acquire_owned()).await else {
            // The write hangs on the disk, and removing the temporary file would hang too. It runs on another thread, and nothing waits for
            // it.
            drop(tokio::task::spawn_blocking(move || drop(sink)));
            return Err(timed_out());
        };
        let permit = permit.map_err(|_| broken())?;
        let directory = files.directory.clone();
        away(until, move || {
            let _permit = permit;
            let written = sink.append(&waiting).and_then(|()| sink.publish(&directory, &key));
            written.map_err(|error| io_failure(&error))
        })
        .await
    }
}

impl ObjectWriter for FileWriter {
    fn write(&mut self, bytes: Bytes) -> PortFuture<'_, ()> {
        Box::pin(self.append(bytes))
    }

    fn finish(self: Box<Self>) -> PortFuture<'static, Object> {
        Box::pin(self.publish())
    }

    fn abort(self: Box<Self>) -> PortFuture<'static, ()> {
        let until = self.files.patience();
        Box::pin(away(until, move || {
            drop(self);
            Ok(())
        }))
    }
}

/// Runs a blocking operation on its own thread. If it is not done at `until`, it continues there without being awaited: the disk may hang.
pub(super) async fn away<T: Send + 'static>(
    until: Instant,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match timeout_at(until, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => Err(broken()),
        Err(_) => Err(timed_out()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> (tempfile::TempDir, Directory) {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::open(place.path().to_str().unwrap()).unwrap();
        (place, directory)
    }

    fn names(place: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(place).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn half_an_object_cannot_be_seen_and_a_dropped_one_leaves_nothing() {
        let (place, directory) = directory();
        let mut sink = Sink::open(&directory, "out/v/a").unwrap();
        sink.append(b"half").unwrap();
        let folder = place.path().join("out/v");
        assert_eq!(names(&folder).len(), 1);
        assert!(names(&folder)[0].starts_with(".a.") && !folder.join("a").exists());
        drop(sink);
        assert_eq!(names(place.path().join("out").as_path()), Vec::<String>::new());
    }

    #[test]
    fn of_many_writers_of_one_key_one_wins_and_its_bytes_stay() {
        let (place, directory) = directory();
        let outcomes: Vec<io::Result<Object>> = std::thread::scope(|scope| {
            let write = |byte: u8| {
                let directory = &directory;
                scope.spawn(move || {
                    let mut sink = Sink::open(directory, "out/v/a").unwrap();
                    sink.append(&[byte; 1000]).unwrap();
                    sink.publish(directory, "out/v/a")
                })
            };
            let writers: Vec<_> = (0..8).map(write).collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        let winners: Vec<&Object> = outcomes.iter().flatten().collect();
        assert_eq!(winners.len(), 1);
        for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert_eq!(io_failure(error).code, "object-conflict");
        }
        let there = std::fs::read(place.path().join("out/v/a")).unwrap();
        assert_eq!(hex::encode(Sha256::digest(&there)), winners[0].sha256);
        assert_eq!(names(&place.path().join("out/v")), ["a"], "the others left nothing");
    }

    #[tokio::test]
    async fn who_waits_behind_a_disk_that_hangs_is_told_in_time() {
        let (place, directory) = directory();
        let files = Files::new(directory, Duration::from_millis(100), 1 << 10);
        let _hanging = files.closing.clone().try_acquire_many_owned(CLOSING_MAX as u32).unwrap();
        let mut writer = Box::new(FileWriter::start(files, "out/v/a").await.unwrap());
        writer.write(Bytes::from_static(b"x")).await.unwrap();
        let finished = tokio::time::timeout(Duration::from_secs(20), writer.finish()).await;
        let failure = finished.expect("an answer").unwrap_err();
        assert_eq!(failure.severity, jetreel_domain::words::failure::Severity::DependencyFault);
        assert_eq!(failure.code, "storage-failed");
        let folder = place.path().join("out/v");
        while folder.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[test]
    fn a_link_serves_where_the_file_system_cannot_rename_so() {
        let (place, _) = directory();
        let [from, to] = ["from", "to"].map(|name| place.path().join(name));
        std::fs::write(&from, b"new").unwrap();
        std::fs::write(&to, b"old").unwrap();
        let taken = rename_new(&from, &to).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::hard_link(&from, &to).unwrap_err().kind(), taken.kind());
        assert_eq!(std::fs::read(&to).unwrap(), b"old");
    }
}
