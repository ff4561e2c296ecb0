//! The store: OpenDAL operators with their layers, and the methods of the port.

use std::ops::Range;

use bytes::Bytes;
use jetreel_actors::ports::{ObjectReader, ObjectWriter, PortFuture, Store, Walk, WriteOnce};
use jetreel_domain::order::ledger::Object;
use jetreel_domain::words::failure::{Failure, Severity, Touched};
use opendal::layers::{RetryLayer, TimeoutLayer};
use opendal::{Error, ErrorKind, Operator, services};

use super::durable::Directory;
use super::file::{FileWriter, Files};
use super::lister::ListerWalk;
use super::options::{S3_CHUNK_BYTES_MIN, Scheme, StoreOptions};
use super::reader::{self, PieceReader};
use super::severity::{Doing, conflict, failure, gone, missing, unusable};
use super::walk::FolderWalk;
use super::writer::OpenDalWriter;

/// A store on OpenDAL.
#[derive(Debug, Clone)]
pub struct OpenDalStore {
    /// Retries temporary faults.
    operator: Operator,
    /// Writer of objects on `fs`; `None` on `s3`.
    files: Option<Files>,
    chunk_bytes: usize,
}

impl OpenDalStore {
    /// Opens the store. On `fs` this creates the directory; on `s3` it sends no request yet. Blocks.
    pub fn open(options: &StoreOptions) -> Result<Self, Failure> {
        let timeout =
            TimeoutLayer::new().with_timeout(options.timeout).with_io_timeout(options.timeout);
        let retry = RetryLayer::new().with_max_times(options.retries).with_jitter();
        match options.scheme {
            Scheme::Fs => {
                let directory = Directory::open(&options.root);
                let directory = directory.map_err(|error| unusable(&options.root, &error))?;
                let root = directory.root().to_string_lossy().into_owned();
                let plain = Operator::new(services::Fs::default().root(&root)).map_err(opening)?;
                Ok(Self {
                    operator: with_faults(plain).layer(timeout).layer(retry),
                    files: Some(Files::new(directory, options.timeout, options.chunk_bytes)),
                    chunk_bytes: options.chunk_bytes.max(1),
                })
            }
            Scheme::S3 => {
                opendal::install_default();
                let plain = Operator::new(bucket(options)).map_err(opening)?;
                Ok(Self {
                    operator: with_faults(plain).layer(timeout).layer(retry),
                    files: None,
                    chunk_bytes: options.chunk_bytes.max(S3_CHUNK_BYTES_MIN),
                })
            }
        }
    }

    pub(super) fn operator(&self) -> &Operator {
        &self.operator
    }

    /// The failure of a read of the object `key` from that byte on. If the directory is no longer the store's, a missing object is not the
    /// object's fault.
    pub(super) async fn explain(&self, key: &str, from: u64, error: Error) -> Failure {
        let touched = Touched::Read { key: key.to_owned(), from };
        if error.kind() == ErrorKind::NotFound && !self.is_present().await {
            return gone().with_detail(error).of(touched);
        }
        failure(Doing::Reading, &error).of(touched)
    }

    /// All bytes of an object. In a folder its size is looked up first: OpenDAL reads a range without an end into two zeroed buffers of
    /// 2 MiB each, however small the object is.
    async fn whole(&self, key: &str) -> Result<Bytes, Error> {
        let read = self.operator.read_with(key);
        if self.files.is_none() {
            return Ok(read.await?.to_bytes());
        }
        let bytes = self.operator.stat(key).await?.content_length();
        if bytes == 0 {
            return Ok(Bytes::new());
        }
        Ok(read.range(0..bytes).await?.to_bytes())
    }

    async fn is_present(&self) -> bool {
        let Some(files) = &self.files else { return true };
        let directory = files.directory.clone();
        tokio::task::spawn_blocking(move || directory.is_present()).await.unwrap_or(false)
    }

    async fn size_of(&self, key: &str) -> Result<Option<u64>, Failure> {
        match self.operator.stat(key).await {
            Ok(facts) => Ok(Some(facts.content_length())),
            Err(error) => {
                let failure = self.explain(key, 0, error).await;
                if failure.severity == Severity::TaskFault && failure.code == missing().code {
                    return Ok(None);
                }
                Err(failure)
            }
        }
    }

    async fn start(&self, key: &str) -> Result<Box<dyn ObjectWriter>, Failure> {
        let inner: Box<dyn ObjectWriter> = match &self.files {
            Some(files) => Box::new(FileWriter::start(files.clone(), key).await.map_err(of(key))?),
            None => {
                let started = OpenDalWriter::start(&self.operator, key, self.chunk_bytes).await;
                Box::new(started.map_err(of(key))?)
            }
        };
        Ok(Box::new(NamedWriter { key: key.to_owned(), inner }))
    }

    /// Creates an object if none exists. A folder enforces this itself; a bucket does so if the service supports conditional writes. Then
    /// the object is read back, because a request may have been carried out although its answer was lost.
    async fn write_new(&self, key: &str, bytes: Bytes) -> Result<WriteOnce, Failure> {
        if self.files.is_some() {
            return match self.write(key, bytes).await {
                Ok(_) => Ok(WriteOnce::Mine),
                Err(failure) if failure.code == conflict().code => Ok(WriteOnce::Taken),
                Err(failure) => Err(failure),
            };
        }
        if self.size_of(key).await?.is_some() {
            return Ok(WriteOnce::Taken);
        }
        let conditional = self.operator.info().capability().write_with_if_not_exists;
        let write = |new| self.operator.write_with(key, bytes.clone()).if_not_exists(new);
        let written = match write(conditional).await {
            // The service speaks S3's protocol without conditional writes.
            Err(error) if error.kind() == ErrorKind::Unsupported => write(false).await,
            written => written,
        };
        match written {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConditionNotMatch => {}
            Err(error) => return Err(of(key)(failure(Doing::Writing, &error))),
        }
        let mine = self.read_all(key).await? == bytes;
        Ok(if mine { WriteOnce::Mine } else { WriteOnce::Taken })
    }

    /// Removes the folders of which the object was the last entry. Folders that cannot be removed do no harm.
    async fn prune(&self, key: &str) {
        let Some(files) = &self.files else { return };
        let (directory, key) = (files.directory.clone(), key.to_owned());
        if let Err(error) = tokio::task::spawn_blocking(move || directory.prune(&key)).await {
            tracing::debug!(%error, "empty folders could not be removed");
        }
    }
}

impl Store for OpenDalStore {
    fn read<'a>(&'a self, key: &'a str, range: Range<u64>) -> PortFuture<'a, Bytes> {
        Box::pin(async move {
            let from = range.start;
            match reader::read(&self.operator, key, range).await {
                Ok(bytes) => Ok(bytes),
                Err(error) => Err(self.explain(key, from, error).await),
            }
        })
    }

    fn reader<'a>(
        &'a self,
        key: &'a str,
        range: Range<u64>,
    ) -> PortFuture<'a, Box<dyn ObjectReader>> {
        let is_folder = self.files.is_some();
        Box::pin(async move {
            let reader = PieceReader::open(self.clone(), key, range, is_folder).await?;
            Ok(Box::new(reader) as Box<dyn ObjectReader>)
        })
    }

    fn read_all<'a>(&'a self, key: &'a str) -> PortFuture<'a, Bytes> {
        Box::pin(async move {
            match self.whole(key).await {
                Ok(bytes) => Ok(bytes),
                Err(error) => Err(self.explain(key, 0, error).await),
            }
        })
    }

    fn writer<'a>(&'a self, key: &'a str) -> PortFuture<'a, Box<dyn ObjectWriter>> {
        Box::pin(self.start(key))
    }

    fn write<'a>(&'a self, key: &'a str, bytes: Bytes) -> PortFuture<'a, Object> {
        Box::pin(async move {
            let mut writer = self.start(key).await?;
            if let Err(failure) = writer.write(bytes).await {
                if let Err(left) = writer.abort().await {
                    tracing::debug!(%left, key, "an object could not be removed; the sweep will remove it");
                }
                return Err(failure);
            }
            writer.finish().await
        })
    }

    fn create<'a>(&'a self, key: &'a str, bytes: Bytes) -> PortFuture<'a, WriteOnce> {
        Box::pin(self.write_new(key, bytes))
    }

    fn size<'a>(&'a self, key: &'a str) -> PortFuture<'a, Option<u64>> {
        Box::pin(self.size_of(key))
    }

    fn delete<'a>(&'a self, key: &'a str) -> PortFuture<'a, ()> {
        Box::pin(async move {
            let deleted = self.operator.delete(key).await;
            deleted.map_err(|error| of(key)(failure(Doing::Writing, &error)))?;
            self.prune(key).await;
            Ok(())
        })
    }

    fn walk<'a>(&'a self, prefix: &'a str) -> PortFuture<'a, Box<dyn Walk>> {
        Box::pin(async move {
            Ok(match &self.files {
                Some(files) => Box::new(FolderWalk::start(files.clone(), prefix)?) as Box<dyn Walk>,
                None => Box::new(ListerWalk::start(&self.operator, prefix).await?),
            })
        })
    }
}

/// A writer that adds the object's key to its failures.
struct NamedWriter {
    key: String,
    inner: Box<dyn ObjectWriter>,
}

impl ObjectWriter for NamedWriter {
    fn write(&mut self, bytes: Bytes) -> PortFuture<'_, ()> {
        Box::pin(async { self.inner.write(bytes).await.map_err(of(&self.key)) })
    }

    fn finish(self: Box<Self>) -> PortFuture<'static, Object> {
        let Self { key, inner } = *self;
        Box::pin(async move { inner.finish().await.map_err(of(&key)) })
    }

    fn abort(self: Box<Self>) -> PortFuture<'static, ()> {
        let Self { key, inner } = *self;
        Box::pin(async move { inner.abort().await.map_err(of(&key)) })
    }
}

/// Adds the object's key to a failure of a write or removal.
fn of(key: &str) -> impl FnOnce(Failure) -> Failure {
    let key = key.to_owned();
    |failure| failure.of(Touched::Written { key })
}

#[cfg(feature = "chaos")]
fn with_faults(operator: Operator) -> Operator {
    operator.layer(super::fault::FaultLayer::of_environment())
}

#[cfg(not(feature = "chaos"))]
fn with_faults(operator: Operator) -> Operator {
    operator
}

fn bucket(options: &StoreOptions) -> services::S3 {
    let mut bucket = services::S3::default().bucket(&options.bucket).root(&options.root);
    if !options.endpoint.is_empty() {
        bucket = bucket.endpoint(&options.endpoint);
    }
    if !options.region.is_empty() {
        bucket = bucket.region(&options.region);
    }
    if !options.access_key.is_empty() {
        bucket = bucket
            .access_key_id(&options.access_key)
            .secret_access_key(&options.secret_key)
            .disable_config_load()
            .disable_ec2_metadata();
    }
    if options.virtual_host {
        bucket = bucket.enable_virtual_host_style();
    }
    bucket
}

fn opening(error: Error) -> Failure {
    failure(Doing::Writing, &error)
}
