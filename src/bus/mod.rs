//! The broker: NATS JetStream behind the port [`jetreel_actors::ports::Broker`].
//!
//! Invariants: only `streams.toml` sets limits, and only [`topology`] creates what it declares. Every write and every settlement waits for
//! the server's answer. Stages decide only on data read from the stream's leader.
//!
//! Not used on purpose: `consumer.messages()` (it prefetches), consumer `backoff` (it replaces `ack_wait`), `double_ack` (it takes any
//! reply for a confirmation), `Nats-Msg-Id` on write-once messages, locks by time-to-live.

pub mod topology;
pub mod private;
pub mod doctor;
mod connection;
pub mod service;
mod request;
mod found;
mod patience;
mod write;
mod sending;
mod broker;
mod queue;
mod entries;
mod releases;
mod hint;
mod inbox;
mod delivery;
mod ledger;
mod parts;
mod deadletters;
mod orphans;
mod kv;
mod changes;
mod overheard;
mod facts;
pub mod news;
mod survey;
mod gauges;
mod pause;
mod leases;
mod nodes;
mod wishes;
mod batch;
mod binding;
pub mod names;
mod severity;
mod suspicion;
mod sieve;
mod version;

pub use connection::{Bus, BusOptions};
pub use sieve::{Removed, Sieve};
