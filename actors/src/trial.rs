//! Trial of the store: tells a failure of the store from a failure of one object.

use std::time::Duration;

use jetreel_domain::delivery::claim::Claim;
use jetreel_domain::delivery::trial;
use jetreel_domain::words::failure::{Failure, Touched};
use tokio::time::timeout;
use tokio_util::bytes::Bytes;

use crate::ports::Ports;

/// Timeout of one step of a trial. All steps together take less than a delivery's lease without a renewal.
const STEP_TIMEOUT: Duration = Duration::from_secs(4);

/// Bytes read of an object that failed. A store that fails further into the object is not noticed here.
const READ_BYTES: u64 = 1 << 20;

/// Classifies a failure of the store. It is a dependency's if the store is down or works again, and the task's own if other objects work.
/// The second value says whether the store is down.
pub(crate) async fn hold(
    ports: &Ports,
    failure: Failure,
    claim: Option<&Claim>,
) -> (Failure, bool) {
    let Some(touched) = trial::accused(&failure) else { return (failure, true) };
    let answers = || answers(ports, touched.key());
    // The store is tried before and after, because it may fail or recover in between.
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

/// Whether an object can be written, read and removed in the folder of `key`.
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
