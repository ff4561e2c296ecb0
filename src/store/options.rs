//! Where objects live and how patient the store is.

use std::fmt;
use std::time::Duration;

/// Which service holds the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    /// A local or mounted directory.
    #[default]
    Fs,
    /// An S3 bucket, or anything that speaks its protocol.
    S3,
}

/// What a store needs to know. Empty text means "not given".
#[derive(Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// Which service.
    pub scheme: Scheme,
    /// `fs`: the directory. `s3`: a prefix within the bucket.
    pub root: String,
    /// `s3`: the bucket.
    pub bucket: String,
    /// `s3`: URL of the service; empty for AWS.
    pub endpoint: String,
    /// `s3`: region.
    pub region: String,
    /// `s3`: key id; empty to take credentials from the environment, the profile or the instance.
    pub access_key: String,
    /// `s3`: secret of the key.
    pub secret_key: String,
    /// `s3`: address the bucket as a host name instead of a path.
    pub virtual_host: bool,
    /// How long one request or one chunk of a transfer may take.
    pub timeout: Duration,
    /// How often a transient fault of a request is retried before it is reported.
    pub retries: usize,
    /// Bytes that a writer collects before it sends them; at least 5 MiB on `s3`.
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

    /// A bucket; where and by which credentials is for the caller to fill in.
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
