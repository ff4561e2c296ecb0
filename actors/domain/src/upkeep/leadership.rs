//! The lease that elects one of several nodes for work that only one should do.
//!
//! The lease only saves work. Two nodes that both believe they hold it, for example after a clock was set, do harmless work twice.

use serde::{Deserialize, Serialize};

/// Work that one node at a time does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Office {
    /// Repairs from the states of the videos.
    Reconciler,
    /// Measures the load.
    Scaler,
}

impl Office {
    /// Name in logs, and key of the lease in the bucket `nodes`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reconciler => "reconciler",
            Self::Scaler => "scaler",
        }
    }
}

/// The lease document in the bucket `nodes`. It changes only by compare-and-set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leadership {
    /// Schema version.
    pub v: u32,
    /// UUID of the holder. A restarted node is another holder.
    pub holder: String,
    /// Name of the holder's node, for display.
    pub node: String,
    /// Seconds since the Unix epoch after which another node may take the lease. A renewal adds the whole lease time, so several renewals
    /// may be missed.
    pub expires: i64,
}

impl Leadership {
    /// A free lease in place of a document that cannot be decoded. Two leaders for a while do no harm; no leader does.
    #[must_use]
    pub fn nobodys() -> Self {
        Self { v: 1, holder: String::new(), node: String::new(), expires: 0 }
    }
}

/// The lease that `holder` writes over the found one; `None` if another node holds it.
#[must_use]
pub fn take(
    found: Option<&Leadership>,
    holder: &str,
    node: &str,
    now: i64,
    lease_seconds: i64,
) -> Option<Leadership> {
    if found.is_some_and(|found| found.holder != holder && now < found.expires) {
        return None;
    }
    let expires = now.saturating_add(lease_seconds);
    Some(Leadership { v: 1, holder: holder.to_owned(), node: node.to_owned(), expires })
}

/// Whether `holder` renewed the lease so recently that the renewal can wait. Passes may follow each other quickly.
#[must_use]
pub fn is_fresh(found: &Leadership, holder: &str, now: i64, lease_seconds: i64) -> bool {
    let renewed = found.expires.saturating_sub(lease_seconds);
    found.holder == holder && (renewed..renewed + lease_seconds / 8).contains(&now)
}

/// The lease that a leaving holder writes, so that its successor does not wait.
#[must_use]
pub fn resign(held: &Leadership) -> Leadership {
    Leadership { expires: 0, ..held.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_until_it_has_not_renewed_for_a_whole_lease() {
        let first = take(None, "a", "one", 100, 35).unwrap();
        assert_eq!(take(Some(&first), "b", "two", 134, 35), None);
        let renewed = take(Some(&first), "a", "one", 134, 35).unwrap();
        assert_eq!(renewed.expires, 169);
        assert_eq!(take(Some(&renewed), "b", "two", 168, 35), None);
        assert_eq!(take(Some(&renewed), "b", "two", 169, 35).unwrap().holder, "b");
    }

    #[test]
    fn a_lease_is_not_renewed_with_every_breath() {
        let held = take(None, "a", "one", 100, 40).unwrap();
        assert!(is_fresh(&held, "a", 100, 40) && is_fresh(&held, "a", 104, 40));
        assert!(!is_fresh(&held, "a", 105, 40) && !is_fresh(&held, "b", 100, 40));
        assert!(!is_fresh(&held, "a", 99, 40), "the clock was set back");
        assert!(!is_fresh(&resign(&held), "a", 100, 40));
    }

    #[test]
    fn who_goes_leaves_the_lease_to_the_next() {
        let held = take(None, "a", "one", 100, 35).unwrap();
        assert!(take(Some(&resign(&held)), "b", "two", 101, 35).is_some());
        assert!(take(Some(&Leadership::nobodys()), "b", "two", 101, 35).is_some());
    }
}
