//! Every decision of Jetreel, as pure functions over plain data.
//!
//! Purpose: what a stage decides (refuse or plan, release, verify, announce, what a playlist says) stands here, where it
//! can be tested without a broker, a store, a clock or a codec.
//!
//! Invariant: nothing here does I/O, reads a clock, draws a random number or names a runtime. Time and identity are arguments.
//!
//! Reading order is pipeline order.

pub mod id;
pub mod words;
pub mod plan;
pub mod codec;
pub mod order;
pub mod delivery;
pub mod output;
pub mod upkeep;

#[cfg(test)]
extern crate self as jetreel_domain;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod simulate;
#[cfg(test)]
mod transcript;
#[cfg(test)]
mod lies;
