//! Limits that do not depend on the job. The parent sets those that do (memory, CPU).

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Most threads, if the kernel counts them.
const THREADS_MAX: u64 = 256;

/// No core dump, no file, no locked memory, no message queue.
pub(super) fn tighten() -> io::Result<()> {
    for resource in [Resource::Core, Resource::Fsize, Resource::Memlock, Resource::Msgqueue] {
        set(resource, 0)?;
    }
    Ok(())
}

/// Bounds the threads, only in its own user namespace: elsewhere the kernel counts all processes of the user. The kernel never bounds those
/// of root in any namespace; there the address space is the only bound.
pub(super) fn bound_threads(own_user: bool, by_root: bool) -> io::Result<()> {
    if own_user {
        // The root of a container is an ordinary user for the kernel, and counted.
        set(Resource::Nproc, THREADS_MAX)?;
    }
    if by_root {
        return Err(io::Error::other("the kernel bounds none of what root started"));
    }
    if !own_user {
        return Err(io::Error::other("bounded only in a user namespace of its own"));
    }
    Ok(())
}

fn set(resource: Resource, limit: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?)
}
