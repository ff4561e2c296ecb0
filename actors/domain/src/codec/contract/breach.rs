//! Breaches of a contract.

use crate::codec::death::CodecDeath;

/// Why a frame is not permitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Failure code of the process, which is killed.
    pub death: CodecDeath,
    /// The broken rule, for operators.
    pub rule: &'static str,
}

/// Result of checking a rule.
pub(super) type Checked = Result<(), Breach>;

/// A frame that makes no sense for the job.
pub(super) fn nonsense(rule: &'static str) -> Breach {
    Breach { death: CodecDeath::Protocol, rule }
}

/// Fails with `rule` unless `holds`.
pub(super) fn ensure(holds: bool, rule: &'static str) -> Checked {
    if holds { Ok(()) } else { Err(nonsense(rule)) }
}
