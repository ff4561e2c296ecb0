//! The `Store` port on OpenDAL: a local directory (`fs`) or an S3 bucket (`s3`).
//!
//! Invariants: an object whose `finish` returned is durable, on `fs` with every directory entry that leads to it. On `fs` an object is
//! visible only when complete, and never replaces another. A write on `fs` is never retried below this module, because a second fsync of a
//! file can succeed after the first one lost data. The chunks of the open writers bound the memory.
//!
//! There is no arbitration here: a key belongs to one attempt, so two writers never compete for it.

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
