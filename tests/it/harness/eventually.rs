//! Waiting for what nothing announces, with a deadline.

use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
const INTERVAL: Duration = Duration::from_millis(10);

/// Waits until `holds`; fails with `what` when it takes too long.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    eventually_so(what, async || holds()).await;
}

/// As [`eventually`], where looking takes its time.
pub(crate) async fn eventually_so(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let mut looks = tokio::time::interval(INTERVAL);
    let waiting = async {
        while !holds().await {
            looks.tick().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "never: {what}");
}
