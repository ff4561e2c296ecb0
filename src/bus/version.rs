//! The oldest supported server version.

use std::fmt;

/// Older servers lose messages after the last delivery in replicated work queues.
pub(super) const OLDEST: Version = Version([2, 12, 5]);

/// A server version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version([u32; 3]);

/// The server is older than [`OLDEST`], or its version cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nats-server {found} is too old: {OLDEST} or newer is needed")]
pub(super) struct TooOld {
    found: String,
}

impl Version {
    /// Parses a version in text such as `2.15.1`, `v2.15.1` or `nats-server: v2.12.5-RC.1`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let start = text.find(|c: char| c.is_ascii_digit())?;
        let numbers = text[start..].split(|c: char| !c.is_ascii_digit());
        let mut numbers = numbers.map(|number| number.parse().ok());
        Some(Self([numbers.next()??, numbers.next()??, numbers.next()??]))
    }

    /// Fails for a server that is too old.
    pub(super) fn check(text: &str) -> Result<Self, TooOld> {
        match Self::parse(text) {
            Some(version) if version >= OLDEST => Ok(version),
            Some(_) | None => Err(TooOld { found: text.trim().chars().take(80).collect() }),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([major, minor, patch]) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_servers_that_are_new_enough_pass() {
        for good in ["2.12.5", "nats-server: v2.15.1\n", "2.13.0-RC.1", "3.0.0"] {
            assert!(Version::check(good).is_ok(), "{good}");
        }
        for bad in ["2.12.4", "nats-server: v2.9.25", "", "dev", "2.15"] {
            assert!(Version::check(bad).is_err(), "{bad}");
        }
    }
}
