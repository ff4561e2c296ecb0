//! Objects.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use jetreel_domain::order::ledger::Object;
use jetreel_domain::order::parts::PartList;

use super::call::{PortFuture, WriteOnce};

/// A write in progress. Dropped without `finish`, it leaves nothing that anybody refers to.
pub trait ObjectWriter: Send {
    /// Appends.
    fn write(&mut self, bytes: Bytes) -> PortFuture<'_, ()>;
    /// Closes and syncs; gives size and hash of what was written.
    fn finish(self: Box<Self>) -> PortFuture<'static, Object>;
    /// Gives up and removes what was written.
    fn abort(self: Box<Self>) -> PortFuture<'static, ()>;
}

/// Objects.
pub trait Store: Send + Sync {
    /// Bytes of an object; fewer than asked for only at its end.
    fn read<'a>(&'a self, key: &'a str, range: Range<u64>) -> PortFuture<'a, Bytes>;
    /// A whole (small) object.
    fn read_all<'a>(&'a self, key: &'a str) -> PortFuture<'a, Bytes>;
    /// Starts an object.
    fn writer<'a>(&'a self, key: &'a str) -> PortFuture<'a, Box<dyn ObjectWriter>>;
    /// Writes a small object.
    fn write<'a>(&'a self, key: &'a str, bytes: Bytes) -> PortFuture<'a, Object>;
    /// Size of an object; `None` where there is none.
    fn size<'a>(&'a self, key: &'a str) -> PortFuture<'a, Option<u64>>;
    /// Writes a small object where there is none. `Taken`: there is one.
    fn create<'a>(&'a self, key: &'a str, bytes: Bytes) -> PortFuture<'a, WriteOnce>;
    /// Removes an object; removing what is not there is fine.
    fn delete<'a>(&'a self, key: &'a str) -> PortFuture<'a, ()>;
    /// Starts a walk over every object whose key begins with the folder `prefix`, which ends with `/` (or is empty: all). In no
    /// particular order; what is written or removed meanwhile may or may not be met.
    fn walk<'a>(&'a self, prefix: &'a str) -> PortFuture<'a, Box<dyn Walk>>;
}

/// An object as a walk meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// Key.
    pub key: String,
    /// Size.
    pub bytes: u64,
    /// When it was last written, by the store's clock, seconds since the Unix epoch.
    pub modified: Option<i64>,
}

/// A walk over a store, page by page; memory does not grow with it.
pub trait Walk: Send {
    /// The next `limit` objects; fewer only at the end.
    fn page(&mut self, limit: usize) -> PortFuture<'_, Vec<Met>>;
    /// Folders that could not be read so far: of keys that begin so nothing is known. Few; where many cannot, the walk fails,
    /// and this tells nothing any more.
    fn unread(&self) -> &[String];
}

/// What a codec process can read: stored parts that together are one object. The list of an original is shared by all its readers.
#[derive(Debug, Clone, Default)]
pub struct Readable {
    /// The parts in order.
    pub parts: Arc<PartList>,
}

impl Readable {
    /// One stored object.
    #[must_use]
    pub fn object(object: &Object) -> Self {
        Self { parts: Arc::new(PartList::one(&object.key, object.bytes)) }
    }

    /// Size in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.parts.bytes()
    }
}
