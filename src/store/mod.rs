//! The `Store` port on OpenDAL: a local directory (`fs`) or an S3 bucket (`s3`).
//!
//! Invariants: an object whose `finish` returned is durable, on `fs` with every directory entry that leads to it; on `fs` it can be
//! seen only whole, and never replaces another; a write on `fs` is never retried below this module, because a second fsync of a file
//! can succeed after the first one lost data; memory is bounded by the chunk of each open writer.
//!
//! Absent on purpose: arbitration. Nothing here decides who wins; a key belongs to one attempt.

mod durable;
#[cfg(feature = "chaos")]
mod fault;
mod file;
mod link;
mod lister;
mod operators;
mod options;
mod reader;
mod severity;
mod walk;
mod writer;

pub use link::{LinkError, link_source};
pub use operators::OpenDalStore;
pub use options::{Scheme, StoreOptions};
