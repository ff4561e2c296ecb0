//! Buries a message: writes its letter, then its death into the state, then terminates the broker's message. Refused media needs no letter,
//! because it is an answer to its uploader.

use jetreel_domain::delivery::deadletter::DeadLetter;
use jetreel_domain::delivery::stage::Unit;
use jetreel_domain::id::OrderId;
use jetreel_domain::order::state::{Dead, Status, Video};
use jetreel_domain::words::excerpt::excerpt;
use jetreel_domain::words::failure::Failure;
use jetreel_domain::words::redact::redact;

use super::case::{Case, Origin};
use super::settlement::Settlement;
use crate::change;
use crate::claims::Held;
use crate::config::Context;
use crate::crash;
use crate::event::Event;

/// Bytes of a failure's detail that the state keeps, for the first deaths of an order. The letter holds all of it.
const DETAIL_IN_STATE_MAX: usize = 1024;

/// Why a message was not buried.
pub(super) enum Unburied {
    /// The stream of dead letters cannot be written: it is full or missing. Only burials need it.
    Letter(Failure),
    /// Another dependency failed.
    Else(Failure),
}

impl From<Failure> for Unburied {
    fn from(failure: Failure) -> Self {
        Self::Else(failure)
    }
}

/// Fails an order whose media is refused, under a claim that was just released.
pub(super) async fn refuse(
    case: &Case<'_>,
    held: &Held,
    failure: Failure,
) -> Result<Settlement, Unburied> {
    case.origin.renew().await?;
    if !held.is_current(&case.context.ports).await? {
        return Ok(Settlement::LetGo);
    }
    let death = Dead { sequence: case.origin.sequence(), failure: brief(&failure), letter: 0 };
    if let Some(video) = record(case.context, &held.order, &held.unit, &death).await? {
        change::announce(&case.context.ports, &video).await?;
        let event = Event::Refused { order: held.order.clone(), failure };
        case.context.ports.environment.emit(event);
    }
    Ok(Settlement::Ack)
}

/// Buries a message under a claim that was just released, so that no worker holds it.
pub(super) async fn bury(
    case: &Case<'_>,
    held: &Held,
    failure: Failure,
) -> Result<Settlement, Unburied> {
    let ports = &case.context.ports;
    crash::point("deadletter-before-letter");
    case.origin.renew().await?;
    let letter = letter(case, Some(held), &failure);
    let sequence = ports.letters.bury(&letter).await.map_err(Unburied::Letter)?;
    crash::point("deadletter-after-letter");
    if !held.is_current(ports).await? {
        withdraw(case, held, sequence).await?;
        return Ok(Settlement::LetGo);
    }
    let death =
        Dead { sequence: case.origin.sequence(), failure: brief(&failure), letter: sequence };
    match record(case.context, &held.order, &held.unit, &death).await? {
        Some(video) => {
            crash::point("deadletter-after-death");
            change::announce(ports, &video).await?;
        }
        None => {
            // The order is closed, so the letter is not needed.
            ports.letters.discard(sequence).await?;
            return Ok(Settlement::Ack);
        }
    }
    crash::point("deadletter-before-term");
    tell(case, Some(held), &failure);
    Ok(Settlement::Terminate(failure.code))
}

/// Withdraws a letter when another worker holds the claim. That worker finds the same letter and may name it in the state at any time. Only
/// the letter of a closed order is never named again.
async fn withdraw(case: &Case<'_>, held: &Held, letter: u64) -> Result<(), Failure> {
    let ports = &case.context.ports;
    let found = ports.broker.video(&held.order.video).await?;
    let order = found.as_ref().and_then(|found| found.value.order(held.order.number));
    let open = order.is_some_and(|order| !order.is_closed());
    let named = order.is_some_and(|order| order.dead.values().any(|dead| dead.letter == letter));
    if !open && !named {
        ports.letters.discard(letter).await?;
    }
    Ok(())
}

/// Buries a message whose order cannot be determined.
pub(super) async fn bury_unreadable(
    case: &Case<'_>,
    failure: Failure,
) -> Result<Settlement, Unburied> {
    case.origin.renew().await?;
    let letter = letter(case, None, &failure);
    case.context.ports.letters.bury(&letter).await.map_err(Unburied::Letter)?;
    tell(case, None, &failure);
    Ok(Settlement::Terminate(failure.code))
}

fn tell(case: &Case<'_>, held: Option<&Held>, failure: &Failure) {
    case.context.ports.environment.emit(Event::Buried {
        stage: case.stage,
        order: held.map(|held| held.order.clone()),
        unit: held.map_or(Unit::Stage(case.stage), |held| held.unit.clone()),
        failure: failure.clone(),
    });
}

/// Records the death in the state. `None` if the order is closed or gone.
async fn record(
    context: &Context,
    order: &OrderId,
    unit: &Unit,
    death: &Dead,
) -> Result<Option<Video>, Failure> {
    let environment = &context.ports.environment;
    let now = environment.now();
    let mut recorded = false;
    let video = change::video(&context.ports, &order.video, |video| {
        recorded = video.bury(order.number, unit, death.clone(), now).is_ok();
        Ok(recorded)
    })
    .await?;
    if recorded {
        environment.emit(Event::OrderMoved { order: order.clone(), to: Status::Failed });
    }
    Ok(video.filter(|_| recorded))
}

fn letter(case: &Case<'_>, held: Option<&Held>, failure: &Failure) -> DeadLetter {
    let (stream, sequence, subject, body, headers) = match &case.origin {
        Origin::Delivery(delivery) => (
            delivery.stream().to_owned(),
            delivery.sequence(),
            delivery.subject().to_owned(),
            delivery.body().to_vec(),
            delivery.headers(),
        ),
        Origin::Stranded(stored) => (
            stored.stream.clone(),
            stored.sequence,
            stored.subject.clone(),
            stored.body.to_vec(),
            stored.headers.clone(),
        ),
    };
    let now = case.context.ports.environment.now();
    DeadLetter {
        stream,
        sequence,
        subject,
        body,
        headers,
        stage: case.stage.as_str().to_owned(),
        order: held.map(|held| held.order.clone()),
        task: held.map_or(Unit::Stage(case.stage), |held| held.unit.clone()),
        failure: failure.clone(),
        attempts: held.map(|held| held.claim.history.clone()).unwrap_or_default(),
        node: case.context.config.node.clone(),
        first_seen: held.map_or(now, |held| held.claim.first_seen()),
    }
}

fn brief(failure: &Failure) -> Failure {
    let mut brief = failure.clone();
    brief.detail = excerpt(&redact(&failure.detail), DETAIL_IN_STATE_MAX);
    brief
}
