//! Writes one object to a bucket, and counts and hashes it.
//!
//! Invariants: after a write that failed or whose future was dropped, the number of written bytes is unknown, so `finish` fails. An
//! unfinished upload is aborted, also when its writer is dropped.

use bytes::Bytes;
use jetreel_actors::ports::{ObjectWriter, PortFuture};
use jetreel_domain::order::ledger::Object;
use jetreel_domain::words::failure::Failure;
use opendal::{Operator, Writer};
use sha2::{Digest, Sha256};

use super::severity::{Doing, broken, failure};

/// Larger pieces are hashed on a blocking thread.
const HASH_INLINE_BYTES_MAX: usize = 64 << 10;

/// The `ObjectWriter` port on an OpenDAL writer.
pub(super) struct OpenDalWriter {
    upload: Upload,
    key: String,
    bytes: u64,
    hasher: Sha256,
    broken: bool,
}

impl OpenDalWriter {
    /// Begins the object `key`.
    pub(super) async fn start(
        operator: &Operator,
        key: &str,
        chunk_bytes: usize,
    ) -> Result<Self, Failure> {
        let writer = operator
            .writer_with(key)
            .chunk(chunk_bytes)
            .await
            .map_err(|error| failure(Doing::Writing, &error))?;
        let upload = Upload(Some(writer));
        Ok(Self { upload, key: key.to_owned(), bytes: 0, hasher: Sha256::new(), broken: false })
    }

    async fn append(&mut self, bytes: Bytes) -> Result<(), Failure> {
        if self.broken {
            return Err(broken());
        }
        self.broken = true;
        self.hash(&bytes).await?;
        self.bytes += bytes.len() as u64;
        self.upload.write(bytes).await?;
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
        let Self { upload, key, bytes, hasher, .. } = self;
        upload.close().await?;
        Ok(Object { key, bytes, sha256: hex::encode(hasher.finalize()) })
    }

    async fn discard(self) -> Result<(), Failure> {
        self.upload.abort().await
    }
}

/// A multipart upload in progress. Its parts stay in the bucket, invisible to walks, until it is closed or aborted.
struct Upload(Option<Writer>);

impl Upload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), Failure> {
        let writer = self.0.as_mut().ok_or_else(broken)?;
        writer.write(bytes).await.map_err(|error| failure(Doing::Writing, &error))
    }

    async fn close(mut self) -> Result<(), Failure> {
        let writer = self.0.as_mut().ok_or_else(broken)?;
        writer.close().await.map_err(|error| failure(Doing::Writing, &error))?;
        self.0 = None;
        Ok(())
    }

    async fn abort(mut self) -> Result<(), Failure> {
        let writer = self.0.as_mut().ok_or_else(broken)?;
        writer.abort().await.map_err(|error| failure(Doing::Writing, &error))?;
        self.0 = None;
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(mut writer) = self.0.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = writer.abort().await {
                tracing::debug!(%error, "an unfinished multipart upload could not be aborted");
            }
        });
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
