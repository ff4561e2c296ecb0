//! Whether a claimed message is worth another attempt.

use jetreel_domain::failure::Failure;
use jetreel_domain::retry;

use super::bury::Case;
use super::failed::{Settlement, doomed};
use crate::claims::Held;

/// Looks at what was tried before. `Err`: the message is not tried, but settled so.
///
/// # Errors
/// When the broker fails.
pub(crate) async fn worth_trying(
    case: &Case<'_>,
    held: Held,
) -> Result<Result<Held, Settlement>, Failure> {
    let schedule = case.context.config.retry.of(case.stage);
    Ok(match retry::doomed(&held.claim, schedule) {
        None => Ok(held),
        Some(failure) => Err(doomed(case, &held, failure).await),
    })
}
