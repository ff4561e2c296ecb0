//! Takes the steps in order and reports the reached tier.

use std::io;

use super::{descriptors, limits, namespaces, rights, ruleset, syscalls, trespass};
use crate::switches;

/// Result of the confinement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Confined {
    /// `FULL`, `NS`, `SECCOMP` or `NONE`.
    pub tier: &'static str,
    /// Missing parts of the confinement, each with the reason.
    pub weaknesses: Vec<String>,
}

/// Layers that hold.
#[derive(Debug, Clone, Copy, Default)]
struct Layers {
    namespaces: bool,
    /// Whether the user namespace is its own.
    own_user: bool,
    /// Whether no capability is left.
    powerless: bool,
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
    // Read first: inside a user namespace the user id is another one.
    let by_root = rustix::process::getuid().is_root();
    if let Some(own_user) = note(&mut weaknesses, "namespaces", namespaces::enter()) {
        (layers.namespaces, layers.own_user) = (true, own_user);
        if !own_user {
            weaknesses.push("namespaces: none for users".to_owned());
        }
    }
    note(&mut weaknesses, "threads", limits::bound_threads(layers.own_user, by_root));
    layers.powerless = note(&mut weaknesses, "capabilities", rights::give_up()).is_some();
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

/// Without the system call filter the tier is `NONE`. With a capability left, namespaces do not count.
fn tier(layers: Layers) -> &'static str {
    match layers {
        Layers { seccomp: false, .. } => "NONE",
        Layers { powerless: false, .. } | Layers { namespaces: false, .. } => "SECCOMP",
        Layers { own_user: false, .. } | Layers { landlock: false, .. } => "NS",
        Layers { landlock: true, .. } => "FULL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_is_as_high_as_its_lowest_layer() {
        let all = Layers {
            namespaces: true,
            own_user: true,
            powerless: true,
            landlock: true,
            seccomp: true,
        };
        for (layers, name) in [
            (all, "FULL"),
            (Layers { landlock: false, ..all }, "NS"),
            (Layers { own_user: false, ..all }, "NS"),
            (Layers { powerless: false, ..all }, "SECCOMP"),
            (Layers { namespaces: false, own_user: false, ..all }, "SECCOMP"),
            (Layers { namespaces: false, own_user: false, landlock: false, ..all }, "SECCOMP"),
            (Layers { seccomp: false, ..all }, "NONE"),
        ] {
            assert_eq!(tier(layers), name, "{layers:?}");
        }
    }
}
