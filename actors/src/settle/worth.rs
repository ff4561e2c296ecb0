//! Decides whether a claimed message gets another attempt.

use std::time::Duration;

use jetreel_domain::delivery::retry::{self, ATTEMPTS_SPENT};
use jetreel_domain::words::failure::Failure;

use super::case::Case;
use super::failed::{doomed, failed};
use super::settlement::Settlement;
use crate::claims::Held;

/// A node that has just started has not read the other nodes' reports yet. After this delay it knows whose attempts ended by lost leases.
const UNHEARD_WAIT: Duration = Duration::from_secs(5);

/// Checks earlier attempts. Attempts that ended without a report bury the message, unless the task has progressed or the attempts only lost
/// their leases. `Err` holds the settlement of a message that gets no attempt.
///
/// # Errors
/// The broker failed.
pub(crate) async fn worth_trying(
    case: &Case<'_>,
    held: Held,
) -> Result<Result<Held, Settlement>, Failure> {
    let (context, ports) = (case.context, &case.context.ports);
    let schedule = context.config.retry.of(case.stage);
    let (listened, without) = {
        let peers = context.peers();
        let without = held.claim.without_lost_leases(|start| peers.last_report(start));
        (peers.listened(), without)
    };
    // Written at once: later the processes may be gone, or the history may be too long.
    let held = match without {
        Some(claim) => match held.change(ports, claim).await? {
            Some(held) => held,
            None => return Ok(Err(Settlement::LetGo)),
        },
        None => held,
    };
    let Some(failure) = retry::doomed(&held.claim, schedule) else { return Ok(Ok(held)) };
    if failure.code == ATTEMPTS_SPENT {
        let parts = match held.checkpoints(ports).await {
            Ok(parts) => parts,
            Err(failure) => return Ok(Err(failed(case, &held, failure).await)),
        };
        if let Some(claim) = held.claim.progressed(parts) {
            let held = held.change(ports, claim).await?;
            return Ok(held.ok_or(Settlement::LetGo));
        }
        if !listened {
            let given_up = held.give_up(ports, None, false).await?;
            let again = given_up.map_or(Settlement::LetGo, |_| Settlement::HandBack(UNHEARD_WAIT));
            return Ok(Err(again));
        }
    }
    Ok(Err(doomed(case, &held, failure).await))
}
