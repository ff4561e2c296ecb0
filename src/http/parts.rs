//! Stores an upload body of any length as immutable part objects.
//!
//! Invariants: no part is held in memory. A part is logged once it is durable. If a list is returned, all its parts are logged. On an
//! error, everything written is removed except the log. A future that is dropped halfway leaves objects for the sweep.

use bytes::Bytes;
use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt, TryStreamExt};
use jetreel_actors::crash;
use jetreel_actors::ports::{ObjectWriter, PortFuture, Store};
use jetreel_domain::order::ledger::Object;
use jetreel_domain::order::parts::{PartList, hash};
use jetreel_domain::words::failure::Failure;
use tokio::task::JoinHandle;

/// Parts that are being logged at the same time; beyond, the body waits.
const LOGGING_MAX: usize = 64;

/// Why an upload was not taken.
#[derive(Debug, thiserror::Error)]
pub enum UploadError<E> {
    /// The body has more bytes than allowed.
    #[error("the upload is larger than {limit} bytes")]
    TooLarge {
        /// Largest upload in bytes.
        limit: u64,
    },
    /// The client broke off.
    #[error("failed to receive the upload")]
    Body(#[source] E),
    /// The store failed.
    #[error(transparent)]
    Store(Failure),
}

/// Log for the parts of an open upload.
pub trait PartLog: Send + Sync {
    /// Logs a durable part. Fails if another writer continues the same upload.
    fn note<'a>(&'a self, index: u32, part: &'a Object) -> PortFuture<'a, ()>;
}

/// Parts that need no log.
impl PartLog for () {
    fn note<'a>(&'a self, _: u32, _: &'a Object) -> PortFuture<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Destination of the parts.
pub struct Place<'a> {
    pub store: &'a dyn Store,
    pub log: &'a dyn PartLog,
    /// Prefix of the keys, without the final `/`.
    pub prefix: &'a str,
    /// Size of a part in bytes. The last one may be smaller.
    pub part_bytes: u64,
    /// Largest total size in bytes.
    pub limit: u64,
}

/// Streams `body` into objects `<prefix>/00000`, `<prefix>/00001`, … and returns their list. A part is synced while the next one arrives.
pub async fn store_parts<E>(
    place: &Place<'_>,
    body: impl Stream<Item = Result<Bytes, E>> + Send,
) -> Result<PartList, UploadError<E>> {
    let mut parts = Parts::new(place);
    match parts.take(body).await {
        Ok(()) => Ok(parts.stored),
        Err(error) => {
            parts.remove().await;
            Err(error)
        }
    }
}

struct Parts<'a> {
    place: &'a Place<'a>,
    /// Number of parts begun.
    begun: usize,
    /// Bytes received.
    bytes: u64,
    stored: PartList,
    open: Option<(Box<dyn ObjectWriter>, u64)>,
    closing: Option<JoinHandle<Result<Object, Failure>>>,
    /// Parts that are being logged.
    logging: FuturesUnordered<PortFuture<'a, ()>>,
}

impl<'a> Parts<'a> {
    fn new(place: &'a Place<'a>) -> Self {
        let stored = PartList::below(format!("{}/", place.prefix));
        let logging = FuturesUnordered::new();
        Self { place, begun: 0, bytes: 0, stored, open: None, closing: None, logging }
    }

    fn key(&self, index: usize) -> String {
        format!("{}/{index:05}", self.place.prefix)
    }

    async fn take<E>(
        &mut self,
        body: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<(), UploadError<E>> {
        let limit = self.place.limit;
        let mut body = std::pin::pin!(body);
        loop {
            let bytes = tokio::select! {
                bytes = body.next() => bytes,
                Some(logged) = self.logging.next(), if !self.logging.is_empty() => {
                    logged.map_err(UploadError::Store)?;
                    continue;
                }
            };
            let Some(bytes) = bytes else { break };
            let bytes = bytes.map_err(UploadError::Body)?;
            self.bytes += bytes.len() as u64;
            if self.bytes > limit {
                return Err(UploadError::TooLarge { limit });
            }
            self.append(bytes).await.map_err(UploadError::Store)?;
        }
        self.close_open().await.map_err(UploadError::Store)?;
        self.await_closing().await.map_err(UploadError::Store)?;
        self.await_logging(0).await.map_err(UploadError::Store)
    }

    async fn append(&mut self, mut bytes: Bytes) -> Result<(), Failure> {
        let part_bytes = self.place.part_bytes.max(1);
        while !bytes.is_empty() {
            let (mut writer, filled) = match self.open.take() {
                Some(open) => open,
                None => self.begin().await?,
            };
            let room = usize::try_from(part_bytes - filled).unwrap_or(usize::MAX);
            let piece = bytes.split_to(room.min(bytes.len()));
            let filled = filled + piece.len() as u64;
            let written = writer.write(piece).await;
            self.open = Some((writer, filled));
            written?;
            if filled == part_bytes {
                self.close_open().await?;
            }
        }
        Ok(())
    }

    async fn begin(&mut self) -> Result<(Box<dyn ObjectWriter>, u64), Failure> {
        let key = self.key(self.begun);
        self.begun += 1;
        Ok((self.place.store.writer(&key).await?, 0))
    }

    /// Closes the open part in the background, after the previous one is closed.
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
        crash::point("upload-after-part");
        let index = u32::try_from(self.stored.len()).unwrap_or(u32::MAX);
        self.stored.push(&object.key, object.bytes, hash(&object.sha256));
        self.await_logging(LOGGING_MAX - 1).await?;
        let log = self.place.log;
        self.logging.push(Box::pin(async move {
            log.note(index, &object).await?;
            crash::point("upload-after-log");
            Ok(())
        }));
        Ok(())
    }

    /// Waits until at most so many parts are being logged.
    async fn await_logging(&mut self, most: usize) -> Result<(), Failure> {
        while self.logging.len() > most {
            self.logging.try_next().await?;
        }
        Ok(())
    }

    /// Removes every part begun. Parts that cannot be removed are left to the sweep.
    async fn remove(mut self) {
        let open = self.open.take();
        if let Some(closing) = self.closing.take() {
            drop(closing.await);
        }
        if let Some((writer, _)) = open
            && let Err(failure) = writer.abort().await
        {
            tracing::debug!(%failure, "an upload part could not be removed; the sweep will remove it");
        }
        for index in 0..self.begun {
            if let Err(failure) = self.place.store.delete(&self.key(index)).await {
                tracing::debug!(%failure, "an upload part could not be removed; the sweep will remove it");
            }
        }
    }
}
