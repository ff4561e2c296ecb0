//! Ingest: a completed upload is probed, then refused or planned, and its first tasks are released.
//!
//! Invariant: the plan's hash is in the state before the first task is queued. A repeated delivery reads that plan and never plans again.

mod stage;
mod work;

pub(crate) use stage::Ingest;
