//! The `Codec` port: one isolated `jetreel-codec` process per job, fed with source bytes and limited from outside.
//!
//! ```text
//! start ─► forked or spawned, limited ─► Hello accepted ─► job sent ─► reads answered, results passed on ─► Done ─► reaped
//!             └──────────── death · spent budget · breach of contract ──────────┴─► group killed ─► reaped, typed failure
//! ```
//!
//! Invariants: every process is reaped and its group killed, whatever happens to its session. A job is given only to a process that greeted
//! with the required confinement. Every frame is charged, and none is passed on that the job does not permit
//! ([`jetreel_domain::codec::contract`]). `next` is cancel safe.
//!
//! No paths and no network: the process gets a socket, `/dev/null` and a log pipe, nothing else.

mod budget;
mod frame;
mod hello;
mod intact;
mod introduction;
mod child;
mod forks;
mod process;
mod processes;
mod readahead;
mod session;
mod spawner;
mod tail;

pub use hello::{Confinement, UnknownConfinement};
pub use processes::CodecProcesses;
