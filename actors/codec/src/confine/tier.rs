//! Takes the steps in their order and tells how far they went.

use std::io;

use super::{descriptors, limits, namespaces, rights, ruleset, syscalls, trespass};
use crate::switches;

/// What was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Confined {
    /// `FULL`, `NS`, `SECCOMP` or `NONE`.
    pub tier: &'static str,
    /// What could not be had, each with the reason.
    pub weaknesses: Vec<String>,
}

/// Which layers hold.
#[derive(Debug, Clone, Copy, Default)]
struct Layers {
    namespaces: bool,
    landlock: bool,
    seccomp: bool,
}

/// Confines this process as well as the machine allows.
pub(crate) fn confine() -> Confined {
    let mut weaknesses = switches::told();
    let mut layers = Layers::default();
    if switches::confinement_off() {
        return Confined { tier: tier(layers), weaknesses };
    }
    descriptors::close_all();
    note(&mut weaknesses, "limits", limits::tighten());
    if let Some(own_user) = note(&mut weaknesses, "namespaces", namespaces::enter()) {
        layers.namespaces = true;
        if own_user {
            note(&mut weaknesses, "threads", limits::bound_threads());
        }
    }
    note(&mut weaknesses, "capabilities", rights::give_up());
    if let Some(partly) = note(&mut weaknesses, "Landlock", ruleset::restrict()) {
        layers.landlock = true;
        weaknesses.extend(partly);
    }
    if note(&mut weaknesses, "seccomp", syscalls::restrict()).is_some() {
        let open = trespass::attempts().into_iter().filter(|attempt| !attempt.denied);
        let open: Vec<String> = open.map(|attempt| attempt.what).collect();
        layers.seccomp = open.is_empty();
        weaknesses.extend(open.iter().map(|what| format!("seccomp: it can still {what}")));
    }
    Confined { tier: tier(layers), weaknesses }
}

fn note<T>(weaknesses: &mut Vec<String>, what: &str, step: io::Result<T>) -> Option<T> {
    step.map_err(|error| weaknesses.push(format!("{what}: {error}"))).ok()
}

/// Without the filter of system calls nothing else is worth a name.
fn tier(layers: Layers) -> &'static str {
    match layers {
        Layers { seccomp: false, .. } => "NONE",
        Layers { namespaces: false, .. } => "SECCOMP",
        Layers { landlock: false, .. } => "NS",
        Layers { landlock: true, .. } => "FULL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_is_as_high_as_its_lowest_layer() {
        for (namespaces, landlock, seccomp, name) in [
            (true, true, true, "FULL"),
            (true, false, true, "NS"),
            (false, true, true, "SECCOMP"),
            (false, false, true, "SECCOMP"),
            (true, true, false, "NONE"),
        ] {
            assert_eq!(tier(Layers { namespaces, landlock, seccomp }), name);
        }
    }
}
