//! A discrete-event simulation of a cluster under the scaler's rules.
//!
//! Uploads of a trace become tasks by the product's own planner, wait in their lanes, and are taken by the slots of nodes that the scaler
//! adds and drains. What it simplifies: a slot takes one task, whose time is its cost in the plan divided by the speed of the nodes, varied by
//! the trace; probing, publishing and the broker take no time; lanes are served as in [`waiting`].
//!
//! Invariant: the same trace, plan policy and limits give the same outcome.

mod chance;
mod clip;
mod fleet;
mod outcome;
mod speed;
mod timeline;
mod trace;
mod waiting;
mod world;

pub use clip::{Clip, Job, Task};
pub use outcome::{Outcome, Sample, Waits};
pub use trace::{LoseNodes, Nodes, SlowStorage, Trace, TraceError, Uploads};
pub use world::{SimulationError, simulate};
