//! Reconcile: looks at what state promises, and mends what got lost on the way.
//!
//! ```text
//! a pass, on the node that holds the lease:
//!   states that changed ─► open videos ─► what is amiss for long ─► repair
//!   words of the nodes ─► codec builds that are nowhere ─► orders to plan anew
//!   records of closed orders ─► removed
//!   a page of the store ─► objects that nobody names, met twice ─► deleted
//! ```
//! Invariants: a pass does a bounded amount of work; every repair can be made twice; nothing is deleted that state, plan, ledger, a
//! held claim or a manifest names, as read from the leader right before.

mod args;
mod actor;
mod lead;
mod nodes;
mod foreign;
mod orders;
mod repair;
mod records;
mod named;
mod clear;
mod sweep;

pub use actor::{Message, Reconciler};
pub use args::Args;
