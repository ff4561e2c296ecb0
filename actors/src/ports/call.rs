//! What a port answers.

use std::future::Future;
use std::pin::Pin;

use jetreel_domain::words::failure::Failure;

/// What a port's method returns.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// What became of a compare-and-set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// Written, at this revision.
    Done(u64),
    /// Somebody was faster: read again.
    Conflict,
}

/// What became of a write-once write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOnce {
    /// This writer's entry is the one.
    Mine,
    /// Another's was there first.
    Taken,
}
