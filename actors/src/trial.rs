//! Finds out whether a failure of the store is the store's or one object's.

use std::time::Duration;

use jetreel_domain::delivery::claim::Claim;
use jetreel_domain::delivery::trial;
use jetreel_domain::words::failure::{Failure, Touched};
use tokio::time::timeout;
use tokio_util::bytes::Bytes;

use crate::ports::Ports;

/// A step of a trial takes this long at most: all of them together less than a delivery is in hand without a word.
const STEP_TIMEOUT: Duration = Duration::from_secs(4);

/// What is read of an object that failed: a store that cannot read further fails here too.
const READ_BYTES: u64 = 1 << 20;

/// The failure as whoever met it is to take it: a dependency's where the store is away or the trouble has passed, the task's own
/// where other objects are fine. The second: whether the store is away.
pub(crate) async fn hold(
    ports: &Ports,
    failure: Failure,
    claim: Option<&Claim>,
) -> (Failure, bool) {
    let Some(touched) = trial::accused(&failure) else { return (failure, true) };
    let answers = || answers(ports, touched.key());
    // Before and after: the store may go away or come back meanwhile.
    if !answers().await {
        return (failure, true);
    }
    let fails = fails_again(ports, touched).await;
    if !answers().await {
        return (failure, true);
    }
    if fails || claim.is_some_and(trial::persists) {
        return (trial::blamed(&failure), false);
    }
    (failure, false)
}

/// Whether the store lets an object be written, read and removed in the folder where `key` is.
pub(crate) async fn answers(ports: &Ports, key: &str) -> bool {
    let uuid = ports.environment.uuid();
    let neighbour = trial::neighbour(key, &uuid);
    let touched = async {
        ports.store.write(&neighbour, Bytes::from(uuid)).await?;
        ports.store.read_all(&neighbour).await?;
        ports.store.delete(&neighbour).await
    };
    timeout(STEP_TIMEOUT, touched).await.is_ok_and(|done| done.is_ok())
}

async fn fails_again(ports: &Ports, touched: &Touched) -> bool {
    let tried = async {
        match touched {
            Touched::Read { key, from } => {
                ports.store.read(key, *from..from.saturating_add(READ_BYTES)).await.map(drop)
            }
            Touched::Written { key } => {
                let uuid = ports.environment.uuid();
                let beside = trial::beside(key, &uuid);
                ports.store.write(&beside, Bytes::from(uuid)).await?;
                ports.store.delete(&beside).await
            }
        }
    };
    !timeout(STEP_TIMEOUT, tried).await.is_ok_and(|done| done.is_ok())
}
