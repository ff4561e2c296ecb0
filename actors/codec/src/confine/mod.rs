//! Drops every right that decoding does not need, before the first byte of a source.
//!
//! Order: descriptors, limits, namespaces and an empty root, capabilities, Landlock, system calls. Then the process attempts what must be
//! denied. Each step removes what would be needed to undo the next ones.
//!
//! Invariants: nothing here panics or ends the process. What the machine lacks lowers the tier, and the parent decides whether that is
//! enough. A tier is reported only if attempts showed that it holds.
//!
//! There is no PID namespace: the process would have to fork to enter one, and after requesting one the kernel refuses threads. Signals and
//! `/proc`, which it would hide, are denied by other means.

mod descriptors;
mod limits;
mod namespaces;
mod rights;
mod ruleset;
mod syscalls;
mod tier;
mod trespass;

pub(crate) use descriptors::close_inherited;
pub(crate) use rights::end_with_parent;
pub(crate) use tier::confine;
pub(crate) use trespass::attempts;
