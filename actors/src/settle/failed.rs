//! Settles a delivery whose attempt failed.

use std::time::Duration;

use jetreel_domain::delivery::retry::{self, Disposition};
use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::delivery::trial;
use jetreel_domain::words::failure::{Failure, Severity};
use tokio::time::timeout;

use super::bury::{self, Unburied};
use super::case::{Case, Origin};
use super::settlement::Settlement;
use crate::claims::Held;
use crate::config::Context;
use crate::event::Event;
use crate::ports::Delivery;

/// Delay of a message that cannot be buried, and the most that jitter adds to it so that many messages do not return together.
const UNBURIED_WAIT: Duration = Duration::from_secs(60);

/// Timeout of the renewal before a trial.
const RENEWAL_WAIT: Duration = Duration::from_secs(2);

/// Settles a failed attempt under a claim. The message is handed back, with or without a charge, or buried.
pub(crate) async fn failed(case: &Case<'_>, held: &Held, failure: Failure) -> Settlement {
    let context = case.context;
    let environment = &context.ports.environment;
    let schedule = context.config.retry.of(case.stage);
    let failure = judged(case, held, failure).await;
    let chance = environment.chance();
    let mut disposition = retry::settle(&failure, held.claim.faults + 1, schedule, chance);
    let mut held = held.clone();
    if disposition == Disposition::Bury && failure.severity == Severity::TaskFault {
        // The attempts are used up, unless the task has progressed in the meantime.
        match held.checkpoints(&context.ports).await {
            Ok(parts) => {
                if let Some(claim) = held.claim.progressed(parts) {
                    held.claim = claim;
                    disposition = retry::settle(&failure, 1, schedule, chance);
                }
            }
            Err(unread) => {
                case.report(unread);
                disposition = retry::put_off();
            }
        }
    }
    let held = &held;
    let charged = disposition == Disposition::Bury
        || matches!(disposition, Disposition::HandBack { charged: true, .. });
    let Some(given_up) = give_up(case, held, Some(&failure), charged).await else {
        return Settlement::LetGo;
    };
    environment.emit(Event::AttemptFailed {
        stage: case.stage,
        order: held.order.clone(),
        unit: held.unit.clone(),
        attempt: held.claim.attempts,
        failure: failure.clone(),
        again: disposition != Disposition::Bury,
    });
    match disposition {
        Disposition::HandBack { after, .. } => Settlement::HandBack(after),
        Disposition::Bury => dead(case, &given_up, failure).await,
    }
}

/// Classifies the failure.
async fn judged(case: &Case<'_>, held: &Held, failure: Failure) -> Failure {
    let context = case.context;
    if trial::accused(&failure).is_some() {
        // A trial takes a while, so the lease is renewed first. The trial runs even if the renewal is not confirmed.
        drop(timeout(RENEWAL_WAIT, case.origin.renew()).await);
    }
    context.gate.judge(&context.ports, failure, Some(&held.claim)).await
}

/// Settles a delivery that failed before it was claimed because its state cannot be read. No claim counts its attempts, so its deliveries
/// count instead. After the last of them the message is buried. Its order stays unchanged, because nothing is known about it.
pub(crate) async fn unclaimed(
    context: &Context,
    stage: Stage,
    delivery: &dyn Delivery,
    failure: &Failure,
) -> Settlement {
    let deliveries = u32::try_from(delivery.delivered()).unwrap_or(u32::MAX);
    let chance = context.ports.environment.chance();
    let disposition = retry::settle(failure, deliveries, context.config.retry.of(stage), chance);
    match disposition {
        Disposition::HandBack { after, .. } => Settlement::HandBack(after),
        Disposition::Bury => {
            let case = Case { context, stage, origin: Origin::Delivery(delivery) };
            refused(&case, failure.clone()).await
        }
    }
}

/// Buries a message whose attempts were used up before this one began. This attempt is not charged.
pub(crate) async fn doomed(case: &Case<'_>, held: &Held, failure: Failure) -> Settlement {
    let Some(given_up) = give_up(case, held, None, false).await else {
        return Settlement::LetGo;
    };
    dead(case, &given_up, failure).await
}

/// Ends a message that no further attempt can help.
async fn dead(case: &Case<'_>, given_up: &Held, failure: Failure) -> Settlement {
    // Refused media is an answer to its uploader and needs no operator.
    let answer = case.stage == Stage::Ingest && failure.is_of_media();
    if answer && !case.context.config.bury_refused {
        return settled(case, bury::refuse(case, given_up, failure).await);
    }
    settled(case, bury::bury(case, given_up, failure).await)
}

/// Buries a message that cannot be decoded or that asks for something impossible. The order that it names is not changed.
pub(crate) async fn refused(case: &Case<'_>, failure: Failure) -> Settlement {
    settled(case, bury::bury_unreadable(case, failure).await)
}

/// A burial that failed halfway is repeated when the message is delivered again.
fn settled(case: &Case<'_>, outcome: Result<Settlement, Unburied>) -> Settlement {
    match outcome {
        Ok(settlement) => settlement,
        Err(Unburied::Letter(failure)) => {
            let environment = &case.context.ports.environment;
            let wait = UNBURIED_WAIT.mul_f64(1.0 + environment.chance());
            environment.emit(Event::Unburied { stage: case.stage, failure });
            Settlement::HandBack(wait)
        }
        Err(Unburied::Else(failure)) => {
            case.report(failure);
            Settlement::LetGo
        }
    }
}

/// Releases the claim. Only after that may this worker settle the delivery. `None` if another worker holds the claim or may hold it; the
/// broker then delivers the message again when the lease ends.
async fn give_up(
    case: &Case<'_>,
    held: &Held,
    failure: Option<&Failure>,
    charged: bool,
) -> Option<Held> {
    let given_up = match held.give_up(&case.context.ports, failure, charged).await {
        Ok(given_up) => given_up,
        Err(failure) => {
            case.report(failure);
            None
        }
    };
    if given_up.is_none() {
        case.lost(held);
    }
    given_up
}
