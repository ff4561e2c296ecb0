//! Ingest: a completed upload is probed, then refused or planned, and its first tasks are released.
//!
//! Invariant: the plan's hash is in state before the first task is queued; a repeated delivery reads that plan and never
//! plans again.

mod actor;
mod upload;
mod work;

pub use actor::{Ingest, Message};
