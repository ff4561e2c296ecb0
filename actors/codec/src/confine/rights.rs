//! Rights of the process itself: no capabilities, no way to gain one, no access to its memory from outside, no life after its parent.

use std::io;

use rustix::process::{DumpableBehavior, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Dies with the thread that started it, which lives as long as its process. If the parent is dead already, the socket is closed.
pub(crate) fn end_with_parent() {
    // No known system refuses this. If one does, the end of the socket still ends the process.
    let _refused = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
}

/// Drops every capability for good. The result is judged by what is left: a process without capabilities need not be allowed to drop them.
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
