//! Options of the store.

use std::fmt;
use std::time::Duration;

/// Service that holds the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    /// A local or mounted directory.
    #[default]
    Fs,
    /// An S3 bucket, or another service with S3's protocol.
    S3,
}

/// Options of a store. An empty text means that the option is not set.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreOptions {
    pub scheme: Scheme,
    /// `fs`: path of the directory. `s3`: prefix within the bucket.
    pub root: String,
    /// `s3`: name of the bucket.
    pub bucket: String,
    /// `s3`: URL of the service; empty for AWS.
    pub endpoint: String,
    /// `s3`: name of the region.
    pub region: String,
    /// `s3`: access key id. If empty, credentials come from the environment, the profile or the instance.
    pub access_key: String,
    /// `s3`: secret access key.
    pub secret_key: String,
    /// `s3`: whether the bucket is part of the host name instead of the path.
    pub virtual_host: bool,
    /// Timeout of one request, or of one chunk of a transfer.
    pub timeout: Duration,
    /// Retries of a request after a temporary fault, before the fault is reported.
    pub retries: usize,
    /// Size of the chunks that a writer sends, in bytes. At least 5 MiB on `s3`.
    pub chunk_bytes: usize,
}

/// Smallest part of a multipart upload that S3 accepts.
pub(super) const S3_CHUNK_BYTES_MIN: usize = 5 << 20;
const FS_CHUNK_BYTES: usize = 128 << 10;

impl StoreOptions {
    /// A directory.
    #[must_use]
    pub fn fs(root: impl Into<String>) -> Self {
        Self {
            scheme: Scheme::Fs,
            root: root.into(),
            bucket: String::new(),
            endpoint: String::new(),
            region: String::new(),
            access_key: String::new(),
            secret_key: String::new(),
            virtual_host: false,
            timeout: Duration::from_secs(60),
            retries: 3,
            chunk_bytes: FS_CHUNK_BYTES,
        }
    }

    /// An S3 bucket. The caller sets endpoint and credentials.
    #[must_use]
    pub fn s3(bucket: impl Into<String>) -> Self {
        let mut options = Self::fs("");
        options.scheme = Scheme::S3;
        options.bucket = bucket.into();
        options.chunk_bytes = S3_CHUNK_BYTES_MIN;
        options
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("scheme", &self.scheme)
            .field("root", &self.root)
            .field("bucket", &self.bucket)
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_never_printed() {
        let mut options = StoreOptions::s3("videos");
        options.access_key = "AKIA-canary".to_owned();
        options.secret_key = "secret-canary".to_owned();
        assert!(!format!("{options:?}").contains("canary"));
    }
}
