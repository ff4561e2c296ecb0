//! The stages of Jetreel on `ractor`, in pipeline order. They see the outside only through [`ports`].
//!
//! Invariant: a stage never names another; they meet on durable subjects. Only [`supervisor`] knows them all.

pub mod ports;
pub mod event;
