//! Whether a claimed message is worth another attempt.

use std::time::Duration;

use jetreel_domain::failure::Failure;
use jetreel_domain::retry::{self, ATTEMPTS_SPENT};

use super::bury::Case;
use super::failed::{Settlement, doomed};
use crate::claims::Held;
use crate::ports::Ports;

/// A node that has just started has not heard of the others yet: it knows in a moment whose attempts were lost leases.
const UNHEARD_WAIT: Duration = Duration::from_secs(5);

/// Looks at what was tried before. Attempts that ended without a word end a message, unless it made progress meanwhile, or they only
/// lost their leases. `Err`: the message is not tried, but settled so.
///
/// # Errors
/// When the broker fails.
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
        if let Some(claim) = held.claim.progressed(checkpoints(ports, &held).await?) {
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

/// Checkpoints of a task.
pub(super) async fn checkpoints(ports: &Ports, held: &Held) -> Result<u32, Failure> {
    let Some(task) = held.unit.task() else { return Ok(0) };
    let (entries, _) = ports.broker.entries(&held.order, 0).await?;
    let parts = entries.iter().filter(|entry| entry.task == task && entry.part.is_some()).count();
    Ok(u32::try_from(parts).unwrap_or(u32::MAX))
}
