//! Publish: evaluates ledger entries, releases the next tasks, verifies the output, records facts, writes the finished set and completes
//! the order.
//!
//! Invariant: a fact is in the state before it is announced. The finished set is written and read back before the one compare-and-set that
//! names it and closes the order.

pub(crate) mod entries;
mod evaluations;
mod evaluate;
mod facts;
mod finish;
mod line;
mod round;

pub(crate) use evaluations::Evaluations;
pub(crate) use line::{Args as LineArgs, Follower};
