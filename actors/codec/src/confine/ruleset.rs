//! Landlock: every right that it knows is handled, and none is granted.

use std::io;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetStatus, Scope,
};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};

use super::namespaces::NOWHERE;

/// The newest requested rights. An older kernel takes those it knows.
const NEWEST: ABI = ABI::V6;

/// Restricts the process. Returns what an older kernel left out.
pub(super) fn restrict() -> io::Result<Option<String>> {
    let restricted = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create)
        .and_then(|created| created.restrict_self());
    let status = restricted.map_err(io::Error::other)?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err(io::Error::other("not offered by the kernel")),
        RulesetStatus::PartiallyEnforced => verify(false),
        RulesetStatus::FullyEnforced => verify(true),
    }
}

/// Attempts operations that must be denied now. Kernels before 6.7 know no network rights.
fn verify(whole: bool) -> io::Result<Option<String>> {
    let root = rustix::fs::open("/", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty());
    if root.err() != Some(Errno::ACCESS) {
        return Err(io::Error::other("a folder can still be opened"));
    }
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    let called = rustix::net::connect(&socket, &NOWHERE);
    if whole && called != Err(Errno::ACCESS) {
        return Err(io::Error::other("a connection can still be tried"));
    }
    Ok((!whole).then(|| "Landlock: this kernel knows only some of the rights".to_owned()))
}
