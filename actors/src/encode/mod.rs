//! Encode: free slots take released tasks; each task is one claim, one codec process and one ledger entry.
//!
//! ```text
//! dispatch ── a slot per task ─┬─ codec process (outside, behind a port)
//!                              └─ an encoder per rendition: stores what the codec makes
//! ```
//! Invariant: an ack needs a ledger entry, anybody's; only the holder of the claim hands back, fails or ends a task.

mod dispatch;
mod slot;
mod stage;
mod run;
mod encoder;
mod collect;

pub(crate) use dispatch::Dispatch;
pub(crate) use stage::Encode;
