//! The dead-letter stage: finds what was given up in silence, and buries it or queues it anew; and the desk at which people look at
//! letters, replay and discard them.

mod orphan;
mod sweeper;
mod desk;
mod replay;
mod batch;
mod caller;

pub use batch::{Action, Fate, Handled};
pub(crate) use caller::Caller;
pub use desk::{Desk, Facts, Inspection, Line};
pub use replay::{Outcome, Replayed};
pub(crate) use sweeper::Sweeper;
