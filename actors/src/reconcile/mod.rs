//! Reconcile: compares the states with queues, ledger and store, and repairs what was lost.
//!
//! ```text
//! a pass, on the node that holds the lease:
//!   changed states ─► open videos ─► troubles that last ─► repair
//!   node reports ─► codec builds without a node ─► orders to plan anew
//!   records of closed orders ─► removed
//!   a page of the store ─► objects that no document names, met twice ─► deleted
//! ```
//! Invariants: a pass does a bounded amount of work. Every repair can be made twice. Nothing is deleted that a state, plan, ledger entry,
//! held claim or manifest names, as read from the leader right before.

mod args;
mod actor;
mod nodes;
mod foreign;
mod orders;
mod repair;
mod records;
mod named;
mod waits;
mod clear;
mod sweep;

pub use actor::{Message, Reconciler};
pub use args::Args;
