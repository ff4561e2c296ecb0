//! The stages of Jetreel on `ractor`, in pipeline order. They reach broker, store and codec only through [`ports`].
//!
//! Invariant: a stage never names another stage; stages meet on durable subjects. Only `stages` names them all.

pub mod ports;
pub mod crash;
pub mod event;
mod trace;
pub mod config;
pub mod intake;
pub mod binding;
pub mod sign;
pub mod plans;
pub mod intact;
mod cache;
mod panics;
pub mod parts;
mod original;
pub mod change;
pub mod lanes;
pub mod releases;
mod views;
mod takeover;
mod lease;
mod trial;
pub mod gate;
mod claims;
mod slots;
mod settle;
mod attempt;
mod worker;
pub mod presence;
pub mod deadletter;
mod ingest;
mod encode;
mod publish;
mod stages;
mod lead;
pub mod reconcile;
pub mod load;
pub mod scale;
pub mod supervisor;
