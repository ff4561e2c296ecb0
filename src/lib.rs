//! Jetreel: asynchronous video processing on NATS JetStream. This crate is the shell around the stages.

pub mod settings;
pub mod telemetry;
pub mod metrics;
pub mod environment;
pub mod descriptors;
pub mod bus;
pub mod sandbox;
pub mod store;
pub mod http;
pub mod admin;
pub mod durability;
pub mod upkeep;
pub mod sifting;
pub mod hook;
pub mod machine;
pub mod locals;
pub mod counting;
pub mod measuring;
pub mod relations;
pub mod node;
pub mod cli;
