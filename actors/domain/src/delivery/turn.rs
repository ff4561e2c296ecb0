//! Which uploads wait while others do.
//!
//! Purpose: who uploads a thousand files that are no videos does not keep anybody's video waiting behind a thousand refusals.
//!
//! Invariant: it is the order of work that changes, and nothing else. The codec decides over every file, and each gets its turn.

use std::time::Duration;

/// How long an upload that waits is left alone.
pub const PAUSE: Duration = Duration::from_secs(3);

/// Deliveries after which an upload has waited long enough: a minute, and far below `max_deliver` of the consumer.
const DELIVERIES_MAX: u64 = 20;

/// Whether an unrecognised upload that was delivered so often waits, with so many others behind it.
#[must_use]
pub const fn waits(pending: u64, delivered: u64) -> bool {
    pending > 0 && delivered < DELIVERIES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_waits_for_others_but_not_for_ever() {
        assert!(waits(1, 1));
        assert!(!waits(0, 1), "nobody to wait for");
        assert!(!waits(1000, DELIVERIES_MAX));
    }
}
