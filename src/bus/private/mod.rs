//! A private nats-server for `dev` and `transcode`: on loopback, with a password. It ends with its parent.
//!
//! ```text
//! jetreel ── keeper thread ── spawn ──► jetreel __guard ── exec ──► nats-server
//!                                       (death signal, folder lock, same process id)
//! ```
//! The guard asks the kernel for SIGTERM at the death of its parent, takes the lock of the folder, and becomes the server; both survive
//! `exec`. So `kill -9` of the parent ends the server, and two servers never share a folder. The death signal follows the *thread* that
//! spawned the child, so a keeper thread lives as long as the server. A server that ends unexpectedly is restarted.

mod locate;
mod address;
mod guard;
mod launch;
mod process;
mod keep;

pub use address::running_in;
pub use guard::{GUARD, guard_main};
pub use keep::PrivateBroker;
pub use launch::PrivateOptions;
pub use locate::locate;
