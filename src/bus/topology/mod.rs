//! Streams, consumers and buckets: from `streams.toml` to the server.
//!
//! [`Topology::parse`] turns the file into the wanted configurations, [`diff`] compares them with what the server has
//! (both pure), [`plan`] asks the server and compares, [`apply`] carries the differences out. [`missing`] asks for less, often, and [`mend`]
//! makes what is missing where that can destroy nothing.
//!
//! Invariant: nothing that loses messages or drops a subject happens without being allowed by name.

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
pub(super) use server::consumer_infos;
pub use server::{apply, mend, missing, plan};
pub use wanted::{Topology, WantedStream, export_json};
