//! The `Codec` port: one isolated `jetreel-codec` process a job, fed with source bytes and bounded from outside.
//!
//! ```text
//! start ─► spawned, limited ─► Hello accepted ─► job sent ─► reads answered, results handed on ─► Done ─► reaped
//!             └──────────── death · spent budget · nonsense ──────────┴─► group killed ─► reaped, typed failure
//! ```
//!
//! Invariants: every process is reaped and its group killed, whatever happens to its session; a job is given only to a
//! process that said hello with the confinement asked for; every frame is charged, and none is handed on that the job does not permit
//! ([`jetreel_domain::codec::contract`]); `next` may be dropped at any await and called again.
//!
//! Absent on purpose: paths and network. The process gets a socket, `/dev/null` and a log pipe, nothing else.

mod budget;
mod frame;
mod hello;
mod intact;
mod introduction;
mod ahead;
mod process;
mod processes;
mod readahead;
mod session;
mod spawner;
mod tail;

pub use hello::{Confinement, UnknownConfinement};
pub use processes::CodecProcesses;
