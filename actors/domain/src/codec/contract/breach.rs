//! Breaches of a contract.

use crate::codec::death::CodecDeath;

/// Why a frame is not permitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The failure code with which its process is ended.
    pub death: CodecDeath,
    /// Which rule was broken, for an operator.
    pub rule: &'static str,
}

/// Whether a rule holds.
pub(super) type Checked = Result<(), Breach>;

/// A frame that makes no sense for the job.
pub(super) fn nonsense(rule: &'static str) -> Breach {
    Breach { death: CodecDeath::Protocol, rule }
}

/// Fails with `rule` where it does not hold.
pub(super) fn ensure(holds: bool, rule: &'static str) -> Checked {
    if holds { Ok(()) } else { Err(nonsense(rule)) }
}
