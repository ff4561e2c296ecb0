//! Load: measures the queues, the backlog and the nodes, on one node at a time.
//!
//! ```text
//! every five seconds, on the node that holds the lease:
//!   ledger entries and states since the last time ─► backlog ─┐
//!   consumers, node reports, dead letters ────────────────────┴─► load ─► metrics, scaler
//! ```
//! Invariant: a measurement reads what changed and what has a bounded size. It never reads the states or the ledger of an order again.

mod reader;
mod actor;

pub use actor::{Args, Gauge, Measures, Message};
pub use reader::{Reader, Sources};
