//! Decides whether the store or one object is at fault after a failure of the store.
//!
//! If no other object in the same folder can be written, read and removed, the store is at fault, and no attempt is charged. If that works
//! and the object fails once more, the object is at fault, and with it the work that needs it. If the object works again, the failure was
//! momentary and is charged only when it recurs as often as a claim remembers attempts.

use crate::delivery::claim::{Claim, HISTORY_MAX};
use crate::id::VideoId;
use crate::order::owner::PROBES;
use crate::words::failure::{Failure, Touched};

/// Codes of failures that may concern one object: the store denies a request, or fails.
const OF_STORE: [&str; 2] = [DENIED, "storage-failed"];
/// Code of a failure that the store denies the request.
const DENIED: &str = "storage-denied";
/// The same codes for a failure that concerns one object.
const OF_OBJECT: [&str; 2] = ["object-denied", "object-failed"];

/// The object to try again; `None` if only the store can be at fault.
#[must_use]
pub fn accused(failure: &Failure) -> Option<&Touched> {
    failure.object.as_deref().filter(|_| OF_STORE.contains(&failure.code.as_str()))
}

/// Key of a trial object in the folder of `key`. The sweep removes it if it is left behind.
#[must_use]
pub fn neighbour(key: &str, name: &str) -> String {
    let video = bits(name).map(VideoId::from_bits);
    match (key.split('/').next(), video) {
        (Some("raw"), Some(video)) => format!("raw/{video}/{name}"),
        (Some("out"), Some(video)) => format!("out/{video}/1/{name}"),
        _ => format!("{PROBES}{name}"),
    }
}

/// Key of a trial object right beside `key`.
#[must_use]
pub fn beside(key: &str, name: &str) -> String {
    match key.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{name}"),
        None => name.to_owned(),
    }
}

fn bits(name: &str) -> Option<u128> {
    u128::from_str_radix(&name.replace('-', ""), 16).ok()
}

/// The failure of work whose object fails while other objects work.
#[must_use]
pub fn blamed(failure: &Failure) -> Failure {
    let key = failure.object.as_ref().map_or("", |touched| touched.key());
    let blamed = if failure.code == DENIED {
        let message = format!(
            "The storage works, but it refuses access to the object {key}. Allow access to it, then try again."
        );
        Failure::task("object-denied", message)
    } else {
        let message = format!(
            "The storage works, but it fails at the object {key}. Repair or restore the object, then try again."
        );
        Failure::task("object-failed", message)
    };
    blamed.with_detail(&failure.detail)
}

/// Whether every attempt that the claim remembers, except the current one, met such a failure.
#[must_use]
pub fn persists(claim: &Claim) -> bool {
    let Some((_, before)) = claim.history.split_last() else { return false };
    let such = |code: &str| OF_STORE.contains(&code) || OF_OBJECT.contains(&code);
    before.len() + 1 == HISTORY_MAX
        && before.iter().all(|attempt| attempt.error.as_deref().is_some_and(such))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::claim;
    use crate::order::owner::Owner;
    use crate::words::failure::Severity;

    const NAME: &str = "0193a1e0-7c4f-7000-8000-0123456789ab";

    fn denied(key: &str) -> Failure {
        let failure = Failure::dependency("storage-denied", "");
        failure.of(Touched::Read { key: key.to_owned(), from: 0 })
    }

    #[test]
    fn only_what_may_be_of_one_object_is_tried_again() {
        assert_eq!(accused(&denied("raw/a/b")).map(Touched::key), Some("raw/a/b"));
        let full = Failure { code: "storage-full".to_owned(), ..denied("raw/a/b") };
        assert_eq!(accused(&full), None);
        assert_eq!(accused(&Failure::dependency("storage-denied", "")), None);
    }

    #[test]
    fn a_neighbour_is_in_the_same_folder_and_an_orphan_when_it_is_left() {
        for key in ["raw/0/00000", "out/0/1/main-0000/x/720p-00000.mp4", "films/a.mp4"] {
            let neighbour = neighbour(key, NAME);
            assert!(Owner::of(&neighbour).is_some(), "{neighbour}");
            let folder = |key: &str| key.split('/').next().map(ToOwned::to_owned);
            let wanted = if key.starts_with("films") { Some("probe".into()) } else { folder(key) };
            assert_eq!(folder(&neighbour), wanted);
        }
        assert_eq!(beside("out/0/1/plan.json", NAME), format!("out/0/1/{NAME}"));
    }

    #[test]
    fn who_is_blamed_is_named() {
        let blamed = blamed(&denied("raw/a/00000"));
        assert_eq!((blamed.severity, blamed.code.as_str()), (Severity::TaskFault, "object-denied"));
        assert!(blamed.message.contains("raw/a/00000") && blamed.detail.contains("raw/a/00000"));
        let failed = Failure { code: "storage-failed".to_owned(), ..denied("raw/a/00000") };
        assert_eq!(super::blamed(&failed).code, "object-failed");
    }

    #[test]
    fn trouble_that_never_passes_is_the_works_own() {
        let mut claim = claim::take(None, String::new(), String::new(), 1, 0);
        for _ in 1..HISTORY_MAX {
            assert!(!persists(&claim));
            claim = claim.given_up(Some(&Failure::dependency("storage-failed", "")), false);
            claim = claim::take(Some(claim), String::new(), String::new(), 1, 0);
        }
        assert!(persists(&claim));
        let charged = claim.given_up(Some(&Failure::task("object-failed", "")), true);
        let charged = claim::take(Some(charged), String::new(), String::new(), 1, 0);
        assert!(persists(&charged));
        let other = charged.given_up(Some(&Failure::task("codec-signal", "")), true);
        assert!(!persists(&claim::take(Some(other), String::new(), String::new(), 1, 0)));
    }
}
