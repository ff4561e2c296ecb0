//! The root of a node's supervision tree: starts the stages, restarts failed branches within a budget, and drains the node.
//!
//! ```text
//! node
//! ├─ ingest     a pool of workers, one upload each
//! ├─ encode     a dispatcher, and a slot per task
//! ├─ publish    a worker for ledger entries, a worker for evaluations, a follower of states
//! ├─ …          a worker for any other stage
//! ├─ reconciler repairs what was lost; one in the cluster is active
//! ├─ gauge      measures the load; one in the cluster is active
//! ├─ scaler     decides how many nodes the load needs, calls its hook, runs local nodes
//! └─ heartbeat  reports the node; ends last
//! ```

mod node;

pub use node::{Args, Message, Node};
