//! The dead-letter stage: finds what was given up in silence, and buries it or queues it anew.

mod orphan;
mod sweeper;

pub use sweeper::{Message, Sweeper};
