//! The dead-letter stage finds messages that the broker gave up, and buries them or queues them anew. Its service lets operators inspect,
//! replay and discard letters.

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
