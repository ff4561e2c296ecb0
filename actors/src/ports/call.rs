//! Return types of the ports.

use std::future::Future;
use std::pin::Pin;

use jetreel_domain::words::failure::Failure;

/// Return type of the methods of the ports.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// Result of a compare-and-set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// The write succeeded, with this revision.
    Done(u64),
    /// Another writer changed the document: read it again.
    Conflict,
}

/// Result of a write-once write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOnce {
    /// This writer's message was stored.
    Mine,
    /// A message of another writer was stored before.
    Taken,
}
