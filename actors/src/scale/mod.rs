//! Scaler: it decides how many nodes and slots the load needs, and has it carried out.
//!
//! ```text
//! demand of the leader ──► decide ──┬─► metrics
//!                                   ├─► caller: the operator's hook, until it succeeds
//!                                   ├─► locals: node processes on this machine
//!                                   └─► the wish in the bucket `nodes` ──► sizer of each node ──► its dispatcher
//! ```
//! Invariants: only a node that leads decides. Nodes are taken away only by a drain. No node process outlives the node that started it.

mod args;
mod follow;
mod decide;
mod caller;
mod locals;
mod sizer;
mod start;

pub use args::{Args, LocalArgs, Room, Scaling};
pub use start::{Part, parts, start};
