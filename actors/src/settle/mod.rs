//! Settlement for every stage: acknowledge, hand back or bury a delivery, and revive a buried message.
//!
//! ```text
//! a failed attempt ─┬─ handed back, after the schedule's wait
//!                   └─ bury: letter → state → +TERM
//! the original message, replayed by an operator ──► revive: claim → state → the stage
//! ```
//! Invariant: the steps happen in this order. A letter without a death in the state is found again by its origin; a death without a letter
//! is not.

mod case;
mod settlement;
mod bury;
mod failed;
mod reopen;
mod revive;
mod worth;

pub(crate) use case::{Case, Origin};
pub(crate) use failed::{failed, refused, unclaimed};
pub(crate) use reopen::reopen;
pub(crate) use revive::{Admitted, admit};
pub(crate) use settlement::Settlement;
pub(crate) use worth::worth_trying;
