//! Decides which uploads wait while others do.
//!
//! A thousand uploads that are no videos must not delay other uploads by a thousand refusals.
//!
//! Invariant: only the order of work changes. The codec decides about every file, and each file gets its turn.

use std::time::Duration;

/// Delay of an upload that waits.
pub const PAUSE: Duration = Duration::from_secs(3);

/// Deliveries after which an upload waits no longer. They take a minute, and are far fewer than the consumer's `max_deliver`.
const DELIVERIES_MAX: u64 = 20;

/// Whether an unrecognised upload waits after `delivered` deliveries, with `pending` messages behind it.
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
