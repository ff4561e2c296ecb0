//! The store: objects by key, written once, and walks over them.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use jetreel_domain::order::ledger::Object;
use jetreel_domain::order::parts::PartList;

use super::call::{PortFuture, WriteOnce};

/// A write in progress. If it is dropped without `finish`, no document names what it wrote.
pub trait ObjectWriter: Send {
    /// Appends bytes.
    fn write(&mut self, bytes: Bytes) -> PortFuture<'_, ()>;
    /// Closes and syncs the object. Returns its size and hash.
    fn finish(self: Box<Self>) -> PortFuture<'static, Object>;
    /// Removes what was written.
    fn abort(self: Box<Self>) -> PortFuture<'static, ()>;
}

/// Most bytes of a piece of an [`ObjectReader`].
pub const PIECE_BYTES: usize = 512 << 10;

/// A range of an object that is read in order. If it is dropped, it holds neither a descriptor nor a connection.
pub trait ObjectReader: Send {
    /// The next bytes, at most [`PIECE_BYTES`]; `None` after the last ones. A range beyond the object's end fails, or ends there.
    fn next(&mut self) -> PortFuture<'_, Option<Bytes>>;
}

/// The object store.
pub trait Store: Send + Sync {
    /// Bytes of an object. Fewer than `range` only at the object's end.
    fn read<'a>(&'a self, key: &'a str, range: Range<u64>) -> PortFuture<'a, Bytes>;
    /// Reads a range of an object in order, with one request to the store.
    fn reader<'a>(
        &'a self,
        key: &'a str,
        range: Range<u64>,
    ) -> PortFuture<'a, Box<dyn ObjectReader>>;
    /// All bytes of a small object.
    fn read_all<'a>(&'a self, key: &'a str) -> PortFuture<'a, Bytes>;
    /// Begins an object.
    fn writer<'a>(&'a self, key: &'a str) -> PortFuture<'a, Box<dyn ObjectWriter>>;
    /// Writes a small object.
    fn write<'a>(&'a self, key: &'a str, bytes: Bytes) -> PortFuture<'a, Object>;
    /// Size of an object in bytes; `None` if it does not exist.
    fn size<'a>(&'a self, key: &'a str) -> PortFuture<'a, Option<u64>>;
    /// Writes a small object if none exists. `Taken` if one exists.
    fn create<'a>(&'a self, key: &'a str, bytes: Bytes) -> PortFuture<'a, WriteOnce>;
    /// Removes an object. It is no error if it does not exist.
    fn delete<'a>(&'a self, key: &'a str) -> PortFuture<'a, ()>;
    /// Starts a walk over every object whose key begins with `prefix`. The prefix ends with `/`, or is empty for all objects. The order is
    /// undefined. Objects that are written or removed during the walk may be missing.
    fn walk<'a>(&'a self, prefix: &'a str) -> PortFuture<'a, Box<dyn Walk>>;
}

/// An object that a walk met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    pub key: String,
    pub bytes: u64,
    /// When it was last written, by the store's clock, in seconds since the Unix epoch. `None` if the store does not tell.
    pub modified: Option<i64>,
}

/// A walk over the store, page by page, in constant memory.
pub trait Walk: Send {
    /// The next `limit` objects. Fewer only at the end.
    fn page(&mut self, limit: usize) -> PortFuture<'_, Vec<Met>>;
    /// Folders that could not be read so far. The walk met no object below them. If too many folders fail, the walk itself fails instead.
    fn unread(&self) -> &[String];
}

/// Input of a codec process: stored parts that form one object. Readers of the same original share its list.
#[derive(Debug, Clone, Default)]
pub struct Readable {
    /// The parts, in order.
    pub parts: Arc<PartList>,
}

impl Readable {
    /// One stored object as input.
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
