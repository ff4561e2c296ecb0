//! The protocol between a node and a codec program that forks a process for each job.
//!
//! ```text
//! node                               program, started with `fork-server`
//!      ◄── READY                     it has loaded its libraries
//!      ──► REQUEST, 2 descriptors    socket and log of the process to be forked
//!      ◄── i32, big endian           its id, or a negative error number
//! ```
//!
//! The forked process is a child of the node and speaks [`super::wire`]. A program that cannot fork ignores the argument and greets as usual.

/// Argument with which a node starts a program that may fork.
pub const ARGUMENT: &str = "fork-server";

/// First byte of a program that forks. A greeting begins with the high byte of its length, which is zero.
pub const READY: u8 = b'F';

/// The request for a process.
pub const REQUEST: u8 = b'f';

/// Descriptors of a request: the socket, then the log.
pub const DESCRIPTORS: usize = 2;

const _: () = assert!(super::wire::FRAME_BYTES_MAX < (READY as usize) << 24, "no length begins so");
