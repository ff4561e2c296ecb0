//! Gives up every right that decoding does not need, before the first byte of a source.
//!
//! Order: descriptors, limits, namespaces and an empty root, capabilities, Landlock, system calls; then it tries what must be
//! denied. Each step takes away what the next ones would need to be undone.
//!
//! Invariants: nothing here panics or ends the process: what the machine does not offer lowers the tier, and the parent decides
//! whether that is enough; a tier is told only where trying showed that it holds.
//!
//! Absent on purpose: a PID namespace. The process would have to fork to enter one, and after asking for one the kernel refuses
//! threads; signals and `/proc`, which it would hide, are denied by other means.

mod descriptors;
mod limits;
mod namespaces;
mod rights;
mod ruleset;
mod syscalls;
mod tier;
mod trespass;

pub(crate) use rights::end_with_parent;
pub(crate) use tier::confine;
pub(crate) use trespass::attempts;
