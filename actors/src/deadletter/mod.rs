//! The dead-letter stage: finds what was given up in silence, and buries it or queues it anew; and the service at which people look at
//! letters, replay and discard them.

mod orphan;
mod sweeper;
mod service;
mod replay;
mod batch;
mod caller;

pub use batch::{Action, Fate, Handled};
pub(crate) use caller::Caller;
pub use replay::{Outcome, Replayed};
pub use service::{DlqService, Facts, Inspection, Line};
pub(crate) use sweeper::Sweeper;
