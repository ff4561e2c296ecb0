//! Publish: ledger entries → release next, verification, tier-ready facts, the finished set, completion.
//!
//! Invariant: a fact is in state before it is announced; the finished set is written and read back before the one
//! compare-and-set that names it and closes the order.

mod entries;
mod evaluations;
mod evaluate;
mod finish;
mod views;

pub(crate) use entries::Entries;
pub(crate) use evaluations::Evaluations;
pub(crate) use views::Views;
