//! A store of tests that counts its requests.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use jetreel_actors::ports::{ObjectReader, ObjectWriter, PortFuture, Store, Walk, WriteOnce};
use jetreel_domain::order::ledger::Object;

/// A folder whose requests are counted.
pub(super) struct Counted {
    pub(super) folder: Arc<dyn Store>,
    /// Sizes that were asked for.
    pub(super) sizes: AtomicUsize,
    /// Reads and readers.
    pub(super) reads: AtomicUsize,
}

impl Store for Counted {
    fn read<'a>(&'a self, key: &'a str, range: Range<u64>) -> PortFuture<'a, Bytes> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.folder.read(key, range)
    }
    fn reader<'a>(
        &'a self,
        key: &'a str,
        range: Range<u64>,
    ) -> PortFuture<'a, Box<dyn ObjectReader>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.folder.reader(key, range)
    }
    fn read_all<'a>(&'a self, key: &'a str) -> PortFuture<'a, Bytes> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.folder.read_all(key)
    }
    fn writer<'a>(&'a self, key: &'a str) -> PortFuture<'a, Box<dyn ObjectWriter>> {
        self.folder.writer(key)
    }
    fn write<'a>(&'a self, key: &'a str, bytes: Bytes) -> PortFuture<'a, Object> {
        self.folder.write(key, bytes)
    }
    fn size<'a>(&'a self, key: &'a str) -> PortFuture<'a, Option<u64>> {
        self.sizes.fetch_add(1, Ordering::SeqCst);
        self.folder.size(key)
    }
    fn create<'a>(&'a self, key: &'a str, bytes: Bytes) -> PortFuture<'a, WriteOnce> {
        self.folder.create(key, bytes)
    }
    fn delete<'a>(&'a self, key: &'a str) -> PortFuture<'a, ()> {
        self.folder.delete(key)
    }
    fn walk<'a>(&'a self, prefix: &'a str) -> PortFuture<'a, Box<dyn Walk>> {
        self.folder.walk(prefix)
    }
}
