//! Every decision of Jetreel, as pure functions over plain data.
//!
//! Whatever a stage decides (refuse or plan, release, verify, announce, the content of a playlist) is decided here, where it can be tested
//! without a broker, a store, a clock or a codec.
//!
//! Invariant: this crate does no I/O, reads no clock, draws no random number and names no runtime. Time and identity are arguments.
//!
//! The modules are in pipeline order.

pub mod id;
pub mod words;
pub mod plan;
pub mod codec;
pub mod order;
pub mod delivery;
pub mod output;
pub mod upkeep;
pub mod scale;

#[cfg(test)]
extern crate self as jetreel_domain;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod simulate;
#[cfg(test)]
mod transcript;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod lies;
