//! Streams, consumers and buckets, from `streams.toml` to the server.
//!
//! [`Topology::parse`] turns the file into configurations, [`diff`] compares them with those of the server (both pure), [`plan`] reads the
//! server and compares, [`apply`] makes the changes. [`missing`] is a cheaper check for frequent use, and [`mend`] creates missing assets
//! where that destroys nothing.
//!
//! Invariant: an operation that loses messages or drops a subject needs explicit permission.

mod declared;
mod wanted;
mod diff;
mod missing;
mod server;
mod pulled;

pub use declared::{BadTopology, DEFAULT};
pub use diff::{Action, Asset, Change, Difference, Found, FoundStream, diff};
pub use missing::{advice, told};
pub use pulled::{PulledConsumer, nodes_max_age, pulled};
pub(super) use server::{ConsumerInfo, consumer_infos};
pub use server::{apply, mend, missing, plan};
pub use wanted::{Topology, WantedStream, export_json};
