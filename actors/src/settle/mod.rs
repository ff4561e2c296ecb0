//! How a delivery ends, for every stage: done, handed back, or dead; and how the dead come back.
//!
//! ```text
//! a failed attempt ─┬─ handed back, after the schedule's wait
//!                   └─ bury: letter → state → +TERM
//! the original message again, from a person ──► revive: claim → state → the stage
//! ```
//! Invariant: in this order. A letter without a death in state is found again by its origin; a death without a letter cannot be.

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
pub(crate) use revive::admit;
pub(crate) use settlement::Settlement;
pub(crate) use worth::worth_trying;
