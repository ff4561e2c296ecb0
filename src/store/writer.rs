//! One object being written: counted and hashed on its way.
//!
//! Invariant: after a write that failed, or whose future was dropped, nobody knows what was written, so `finish` refuses.

use std::sync::Arc;

use bytes::Bytes;
use jetreel_actors::ports::{ObjectWriter, PortFuture};
use jetreel_domain::failure::Failure;
use jetreel_domain::ledger::Object;
use opendal::{Metadata, Operator, Writer};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::durable::Directory;
use super::severity::{Doing, failure, io_failure};

/// Pieces above this are hashed off the async threads.
const HASH_INLINE_BYTES_MAX: usize = 64 << 10;

/// Files being synced at one time. OpenDAL's `close` blocks its thread and needs another one meanwhile: without a limit,
/// closers could occupy the whole blocking pool and wait for each other for ever.
const CLOSING_MAX: usize = 64;

/// What is special about a file system: OpenDAL blocks in `close`, and syncs no directory.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) directory: Arc<Directory>,
    closing: Arc<Semaphore>,
}

impl Files {
    pub(super) fn new(directory: Directory) -> Self {
        Self { directory: Arc::new(directory), closing: Arc::new(Semaphore::new(CLOSING_MAX)) }
    }
}

/// The `ObjectWriter` port on an OpenDAL writer.
pub(super) struct OpenDalWriter {
    writer: Writer,
    operator: Operator,
    files: Option<Files>,
    key: String,
    bytes: u64,
    hasher: Sha256,
    broken: bool,
}

impl OpenDalWriter {
    /// Starts the object `key`.
    pub(super) async fn start(
        operator: &Operator,
        files: Option<Files>,
        key: &str,
        chunk_bytes: usize,
    ) -> Result<Self, Failure> {
        let writer = operator
            .writer_with(key)
            .chunk(chunk_bytes)
            .await
            .map_err(|error| failure(Doing::Writing, &error))?;
        Ok(Self {
            writer,
            operator: operator.clone(),
            files,
            key: key.to_owned(),
            bytes: 0,
            hasher: Sha256::new(),
            broken: false,
        })
    }

    async fn append(&mut self, bytes: Bytes) -> Result<(), Failure> {
        if self.broken {
            return Err(broken());
        }
        self.broken = true;
        self.hash(&bytes).await?;
        self.bytes += bytes.len() as u64;
        self.writer.write(bytes).await.map_err(|error| failure(Doing::Writing, &error))?;
        self.broken = false;
        Ok(())
    }

    async fn hash(&mut self, bytes: &Bytes) -> Result<(), Failure> {
        if bytes.len() <= HASH_INLINE_BYTES_MAX {
            self.hasher.update(bytes);
            return Ok(());
        }
        let (mut hasher, bytes) = (std::mem::take(&mut self.hasher), bytes.clone());
        let hashed = tokio::task::spawn_blocking(move || {
            hasher.update(&bytes);
            hasher
        });
        self.hasher = hashed.await.map_err(|_| broken())?;
        Ok(())
    }

    async fn close(self) -> Result<Object, Failure> {
        if self.broken {
            return Err(broken());
        }
        let Self { mut writer, files, key, bytes, hasher, .. } = self;
        match files {
            None => {
                writer.close().await.map_err(|error| failure(Doing::Writing, &error))?;
            }
            Some(files) => close_file(writer, files, key.clone(), bytes).await?,
        }
        Ok(Object { key, bytes, sha256: hex(&hasher.finalize()) })
    }

    async fn discard(mut self) -> Result<(), Failure> {
        if self.files.is_none() {
            return self.writer.abort().await.map_err(|error| failure(Doing::Writing, &error));
        }
        drop(self.writer);
        self.operator.delete(&self.key).await.map_err(|error| failure(Doing::Writing, &error))
    }
}

impl ObjectWriter for OpenDalWriter {
    fn write(&mut self, bytes: Bytes) -> PortFuture<'_, ()> {
        Box::pin(self.append(bytes))
    }

    fn finish(self: Box<Self>) -> PortFuture<'static, Object> {
        Box::pin(self.close())
    }

    fn abort(self: Box<Self>) -> PortFuture<'static, ()> {
        Box::pin(self.discard())
    }
}

/// Closes and syncs a file and the directories that lead to it, away from the async threads.
async fn close_file(
    mut writer: Writer,
    files: Files,
    key: String,
    bytes: u64,
) -> Result<(), Failure> {
    let Ok(permit) = files.closing.clone().acquire_owned().await else { return Err(broken()) };
    let runtime = tokio::runtime::Handle::current();
    let closed = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let written: Metadata =
            runtime.block_on(writer.close()).map_err(|error| failure(Doing::Writing, &error))?;
        if written.content_length() != bytes {
            let found = written.content_length();
            return Err(broken().with_detail(format!("{key}: wrote {bytes} bytes, found {found}")));
        }
        files.directory.settle(&key).map_err(|error| io_failure(&error))
    });
    closed.await.map_err(|_| broken())?
}

fn broken() -> Failure {
    Failure::dependency("storage-failed", "an object could not be written completely")
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}
