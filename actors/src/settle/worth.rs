//! Decides whether a claimed message gets another attempt.

use std::time::Duration;

use jetreel_domain::delivery::retry::{self, ATTEMPTS_SPENT};
use jetreel_domain::words::failure::Failure;

use super::case::Case;
use super::failed::doomed;
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
    let (listened, doom) = {
        let peers = context.peers();
        let outlived = |attempt: &_| peers.outlived(attempt);
        (peers.listened(), retry::doomed(&held.claim, schedule, outlived))
    };
    let Some(failure) = doom else { return Ok(Ok(held)) };
    if failure.code == ATTEMPTS_SPENT {
        if let Some(claim) = held.claim.progressed(held.checkpoints(ports).await?) {
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
