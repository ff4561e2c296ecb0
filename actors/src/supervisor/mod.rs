//! The root of a node's supervision tree: starts the stages, restarts failed branches within a budget, and drains the node.
//!
//! ```text
//! node
//! ├─ ingest     a pool; each takes one upload
//! ├─ encode     a dispatcher; a slot per task
//! ├─ publish    ledger entries; evaluations
//! ├─ …          any other stage: a worker
//! ├─ reconciler repairs what was lost; one in the cluster is active
//! └─ herald     says that the node is there; the last to go
//! ```

mod node;

pub use node::{Args, Message, Node};
