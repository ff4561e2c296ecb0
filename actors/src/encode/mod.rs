//! Encode: free slots take released tasks. Each task has one claim, one codec process and one ledger entry.
//!
//! ```text
//! dispatch ── a slot per task ─┬─ codec process (behind a port)
//!                              └─ an encoder per rendition: stores the output of the codec
//! ```
//! Invariant: a task is acknowledged only if a ledger entry exists, whichever worker wrote it. Only the holder of the claim hands back,
//! fails or ends a task.

mod dispatch;
mod slot;
mod stage;
mod run;
mod encoder;
mod collect;

pub(crate) use dispatch::Dispatch;
pub(crate) use stage::Encode;
