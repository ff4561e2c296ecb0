//! What the process may do as itself: no capability, no way to gain one, no look at its memory from outside, no life of its own.

use std::io;

use rustix::process::{DumpableBehavior, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Dies with the thread that started it; that thread lives as long as its process. A process whose parent is dead already finds
/// its socket closed.
pub(crate) fn end_with_parent() {
    // Refused nowhere known; where it is, the end of the socket still ends the process.
    let _refused = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
}

/// Gives up every capability, for good. Judged by what is left: who has none need not be allowed to give them up.
pub(super) fn give_up() -> io::Result<()> {
    let none = CapabilitySet::empty();
    rustix::thread::set_no_new_privs(true)?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // Kernels without ambient capabilities have none to clear.
    let _absent = rustix::thread::clear_ambient_capability_set();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    let refused = rustix::thread::set_capabilities(None, sets).err();
    if rustix::thread::capabilities(None)?.permitted.is_empty() {
        return Ok(());
    }
    Err(refused.map_or_else(|| io::Error::other("some are still there"), Into::into))
}
