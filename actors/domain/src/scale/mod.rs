//! How many slots and nodes the work needs, what that costs, and a simulation that tries the same rules on a trace.
//!
//! An *encode second* is a second of CPU time as the plan estimates it ([`crate::plan::cost`]). A slot of speed 1 does one in a second.
//!
//! Invariant: every number has its unit in its name, and every decision depends on its arguments alone. A simulation draws its random
//! numbers from the seed of its trace.

pub mod arrivals;
pub mod demand;
pub mod queue;
pub mod speed;
pub mod backlog;
pub mod load;
pub mod policy;
pub mod scaler;
pub mod locals;
pub mod call;
pub mod wish;
pub mod simulation;
pub mod capacity;
