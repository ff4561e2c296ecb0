//! Burying a message: its letter, then its death in state, then the broker's copy. Media that is refused needs no letter: it is an
//! answer to who uploaded it.

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

/// Detail of a failure that is kept in state, in bytes; all of it is in the letter.
const DETAIL_IN_STATE_MAX: usize = 1024;

/// Why a message is not buried.
pub(super) enum Unburied {
    /// The dead letters cannot be written: full, or gone. Nothing else needs them.
    Letter(Failure),
    /// Something that everything needs.
    Else(Failure),
}

impl From<Failure> for Unburied {
    fn from(failure: Failure) -> Self {
        Self::Else(failure)
    }
}

/// Lets an order fail whose media is refused, under a claim that was just given up.
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

/// Buries a message under a claim that was just given up, and so is nobody's.
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
            // Nothing of a closed order is of interest any more.
            ports.letters.discard(sequence).await?;
            return Ok(Settlement::Ack);
        }
    }
    crash::point("deadletter-before-term");
    tell(case, Some(held), &failure);
    Ok(Settlement::Terminate(failure.code))
}

/// Takes a letter back under a claim that is another's by now. Who holds it finds the same letter, and names it in state: perhaps
/// already, perhaps in a moment. Only the letter of an order that is closed is named by nobody any more.
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

/// Buries a message that belongs to no order one could name.
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

/// Notes the death. `None`: the order is closed, or gone.
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
