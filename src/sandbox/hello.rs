//! The greeting of a codec process, and the check of its confinement.

use std::fmt;
use std::str::FromStr;

use jetreel_domain::codec::contract;
use jetreel_domain::codec::death::CodecDeath;
use jetreel_domain::codec::wire::{FromCodec, VERSION};
use jetreel_domain::words::failure::Failure;

/// Confinement of a codec process, from weakest to strongest. Each tier includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Confinement {
    /// Only resource limits.
    #[default]
    None,
    /// A system call filter: the process cannot open, call, start or signal anything.
    Seccomp,
    /// Also namespaces and no capabilities: without the filter there would still be no file and no network.
    Ns,
    /// Also Landlock and a user namespace: a second barrier for files and network.
    Full,
}

impl Confinement {
    const ALL: [Self; 4] = [Self::None, Self::Seccomp, Self::Ns, Self::Full];

    /// Name in settings, in Hello and in `doctor`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Seccomp => "SECCOMP",
            Self::Ns => "NS",
            Self::Full => "FULL",
        }
    }
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no confinement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a confinement; use NONE, SECCOMP, NS or FULL")]
pub struct UnknownConfinement(String);

impl FromStr for Confinement {
    type Err = UnknownConfinement;

    fn from_str(word: &str) -> Result<Self, UnknownConfinement> {
        Self::ALL
            .into_iter()
            .find(|confinement| confinement.as_str().eq_ignore_ascii_case(word))
            .ok_or_else(|| UnknownConfinement(word.to_owned()))
    }
}

/// Why a greeting is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The frame is no greeting of this protocol.
    Nonsense(String),
    /// The confinement is weaker than this node requires.
    Confinement(Confinement),
}

impl Refusal {
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Nonsense(detail) => Failure::from(CodecDeath::Protocol).with_detail(detail),
            Self::Confinement(found) => Failure::dependency(
                "sandbox-weak",
                format!(
                    "This node can confine the codec only to {found}, which its settings forbid."
                ),
            ),
        }
    }
}

/// Accepts or refuses the first frame.
pub(super) fn accept(frame: &FromCodec, demanded: Confinement) -> Result<(), Refusal> {
    let FromCodec::Hello { version, build, confinement, weaknesses } = frame else {
        return Err(Refusal::Nonsense("the first frame is no greeting".to_owned()));
    };
    contract::greeting(build, confinement, weaknesses)
        .map_err(|breach| Refusal::Nonsense(breach.rule.to_owned()))?;
    if *version != VERSION {
        return Err(Refusal::Nonsense(format!("protocol {version} instead of {VERSION}")));
    }
    let found = confinement.parse::<Confinement>().map_err(|e| Refusal::Nonsense(e.to_string()))?;
    if found < demanded {
        return Err(Refusal::Confinement(found));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(version: u32, confinement: &str) -> FromCodec {
        FromCodec::Hello {
            version,
            build: "b".to_owned(),
            confinement: confinement.to_owned(),
            weaknesses: Vec::new(),
        }
    }

    #[test]
    fn a_process_is_accepted_with_the_confinement_demanded_or_better() {
        for (demanded, found, accepted) in [
            (Confinement::None, "NONE", true),
            (Confinement::Seccomp, "NONE", false),
            (Confinement::Seccomp, "NS", true),
            (Confinement::Full, "NS", false),
            (Confinement::Full, "FULL", true),
        ] {
            assert_eq!(accept(&hello(VERSION, found), demanded).is_ok(), accepted, "{found}");
        }
    }

    #[test]
    fn another_protocol_or_an_unknown_word_is_nonsense() {
        let demanded = Confinement::None;
        for frame in [
            hello(VERSION + 1, "FULL"),
            hello(VERSION, "SOME"),
            FromCodec::Progress { frames: 0, pts: 0 },
        ] {
            assert!(matches!(accept(&frame, demanded), Err(Refusal::Nonsense(_))), "{frame:?}");
        }
    }
}
