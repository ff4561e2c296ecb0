//! An upload body of any length as immutable part objects.
//!
//! Invariants: no part is ever held in memory; when this returns parts, all of them are durable; when it returns an error,
//! what it wrote is removed. A future that is dropped halfway leaves objects that nobody refers to, for the sweeper.

use bytes::Bytes;
use futures::{Stream, StreamExt};
use jetreel_actors::crash;
use jetreel_actors::ports::{ObjectWriter, Store};
use jetreel_domain::failure::Failure;
use jetreel_domain::ledger::Object;
use jetreel_domain::state::Part;
use tokio::task::JoinHandle;

/// Why an upload was not taken.
#[derive(Debug, thiserror::Error)]
pub enum UploadError<E> {
    /// More bytes than allowed.
    #[error("the upload is larger than {limit} bytes")]
    TooLarge {
        /// How many are allowed.
        limit: u64,
    },
    /// The sender broke off.
    #[error("failed to receive the upload")]
    Body(#[source] E),
    /// The store failed.
    #[error(transparent)]
    Store(Failure),
}

/// Streams `body` into objects `<prefix>/00000`, `<prefix>/00001`, … of at most `part_bytes` each; gives them and their
/// size together. A part is synced while the next one arrives.
pub async fn store_parts<E>(
    store: &dyn Store,
    prefix: &str,
    body: impl Stream<Item = Result<Bytes, E>> + Send,
    part_bytes: u64,
    limit: u64,
) -> Result<(Vec<Part>, u64), UploadError<E>> {
    let mut parts = Parts::new(store, prefix, part_bytes.max(1));
    match parts.take(body, limit).await {
        Ok(()) => Ok((parts.stored, parts.bytes)),
        Err(error) => {
            parts.remove().await;
            Err(error)
        }
    }
}

struct Parts<'a> {
    store: &'a dyn Store,
    prefix: &'a str,
    part_bytes: u64,
    /// Parts begun so far.
    begun: usize,
    bytes: u64,
    stored: Vec<Part>,
    open: Option<(Box<dyn ObjectWriter>, u64)>,
    closing: Option<JoinHandle<Result<Object, Failure>>>,
}

impl<'a> Parts<'a> {
    fn new(store: &'a dyn Store, prefix: &'a str, part_bytes: u64) -> Self {
        let (begun, bytes, stored) = (0, 0, Vec::new());
        Self { store, prefix, part_bytes, begun, bytes, stored, open: None, closing: None }
    }

    fn key(&self, index: usize) -> String {
        format!("{}/{index:05}", self.prefix)
    }

    async fn take<E>(
        &mut self,
        body: impl Stream<Item = Result<Bytes, E>> + Send,
        limit: u64,
    ) -> Result<(), UploadError<E>> {
        let mut body = std::pin::pin!(body);
        while let Some(bytes) = body.next().await {
            let bytes = bytes.map_err(UploadError::Body)?;
            self.bytes += bytes.len() as u64;
            if self.bytes > limit {
                return Err(UploadError::TooLarge { limit });
            }
            self.append(bytes).await.map_err(UploadError::Store)?;
        }
        self.close_open().await.map_err(UploadError::Store)?;
        self.await_closing().await.map_err(UploadError::Store)
    }

    async fn append(&mut self, mut bytes: Bytes) -> Result<(), Failure> {
        while !bytes.is_empty() {
            let (mut writer, filled) = match self.open.take() {
                Some(open) => open,
                None => self.begin().await?,
            };
            let room = usize::try_from(self.part_bytes - filled).unwrap_or(usize::MAX);
            let piece = bytes.split_to(room.min(bytes.len()));
            let filled = filled + piece.len() as u64;
            let written = writer.write(piece).await;
            self.open = Some((writer, filled));
            written?;
            if filled == self.part_bytes {
                self.close_open().await?;
            }
        }
        Ok(())
    }

    async fn begin(&mut self) -> Result<(Box<dyn ObjectWriter>, u64), Failure> {
        let key = self.key(self.begun);
        self.begun += 1;
        Ok((self.store.writer(&key).await?, 0))
    }

    /// Closes the open part in the background, once the one before it is closed.
    async fn close_open(&mut self) -> Result<(), Failure> {
        let Some((writer, _)) = self.open.take() else { return Ok(()) };
        self.await_closing().await?;
        self.closing = Some(tokio::spawn(writer.finish()));
        Ok(())
    }

    async fn await_closing(&mut self) -> Result<(), Failure> {
        let Some(closing) = self.closing.take() else { return Ok(()) };
        let object = closing.await.map_err(|error| {
            Failure::dependency("storage-failed", "A part could not be closed.").with_detail(error)
        })??;
        self.stored.push(Part { key: object.key, bytes: object.bytes });
        crash::point("upload-after-part");
        Ok(())
    }

    /// Removes every part begun. What cannot be removed is left to the sweeper.
    async fn remove(mut self) {
        let open = self.open.take();
        if let Some(closing) = self.closing.take() {
            drop(closing.await);
        }
        if let Some((writer, _)) = open
            && let Err(failure) = writer.abort().await
        {
            tracing::debug!(%failure, "left an upload part to the sweeper");
        }
        for index in 0..self.begun {
            if let Err(failure) = self.store.delete(&self.key(index)).await {
                tracing::debug!(%failure, "left an upload part to the sweeper");
            }
        }
    }
}
