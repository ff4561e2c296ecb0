//! Publish: ledger entries → release next, verification, tier-ready facts, the finished set, completion.
//!
//! Invariant: a fact is in state before it is announced; the finished set is written and read back before the one
//! compare-and-set that names it and closes the order.

mod actor;
mod evaluate;
mod evaluation;
mod finish;
mod views;

pub use actor::{Args, Inbox, Message, Publisher};
pub use views::Views;
