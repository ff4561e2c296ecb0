//! Decides whether a delivery is processed at all. A replayed message of a dead task revives the task here.

use jetreel_domain::delivery::stage::{Stage, Unit};
use jetreel_domain::id::OrderId;
use jetreel_domain::order::state::{Order, Status, Video};
use jetreel_domain::words::failure::Failure;

use super::settlement::Settlement;
use crate::change;
use crate::claims;
use crate::config::Context;
use crate::crash;
use crate::event::Event;
use crate::ports::{Delivery, Stored};

/// What distinguishes a replay from an echo of a death.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// Sequence of the message in its stream.
    sequence: u64,
    /// Whether Jetreel published the message itself.
    released: bool,
}

impl From<&dyn Delivery> for Asked {
    fn from(delivery: &dyn Delivery) -> Self {
        Self { sequence: delivery.sequence(), released: delivery.is_released() }
    }
}

impl From<&Stored> for Asked {
    fn from(stored: &Stored) -> Self {
        Self { sequence: stored.sequence, released: stored.released }
    }
}

/// Whether a message is processed.
pub(crate) enum Admitted {
    /// It must be processed. The state is the one that was read after the delivery.
    Open(Box<Video>),
    /// It is not wanted, and is settled like this.
    Settled(Settlement),
}

/// Checks the order of a message for `unit`: closed, dead, replayed or open.
///
/// A message that Jetreel published can only be an echo of a death. A message that was published after the death without Jetreel's header
/// is a replay.
pub(crate) async fn admit(
    context: &Context,
    stage: Stage,
    asked: Asked,
    order: &OrderId,
    unit: &Unit,
) -> Result<Admitted, Failure> {
    let ports = &context.ports;
    let found = ports.broker.video(&order.video).await?.map(|found| found.value);
    let open = |video: &Video| video.order(order.number).is_some_and(|order| !order.is_closed());
    let Some(video) = found.filter(open) else { return Ok(Admitted::Settled(Settlement::Ack)) };
    let Some(death) = video.death(order.number, unit) else {
        return Ok(Admitted::Open(Box::new(video)));
    };
    if asked.released || asked.sequence <= death.sequence {
        // The process that buried the message may have died before the announcement.
        change::announce(ports, &video).await?;
        return Ok(Admitted::Settled(Settlement::Terminate("dead".to_owned())));
    }
    // The claim is reset first. A death without attempts is harmless; attempts without a death would end the replay at once.
    claims::reset(ports, order, unit).await?;
    crash::point("replay-after-claim");
    let mut revived = false;
    let video = change::video(ports, &order.video, |video| {
        revived = video.revive(order.number, unit, asked.sequence);
        Ok(revived)
    })
    .await?;
    let Some(video) = video.filter(open) else { return Ok(Admitted::Settled(Settlement::Ack)) };
    if revived {
        tell(context, stage, order, unit, video.order(order.number));
        crash::point("replay-after-revival");
        // Tasks that were held back since the failure are due again.
        ports.broker.evaluate(order).await?;
    }
    Ok(Admitted::Open(Box::new(video)))
}

fn tell(context: &Context, stage: Stage, order: &OrderId, unit: &Unit, state: Option<&Order>) {
    let environment = &context.ports.environment;
    let event = Event::Revived { stage, order: order.clone(), unit: unit.clone() };
    environment.emit(event);
    let alive = state.map(|state| state.status).filter(|status| *status != Status::Failed);
    if let Some(to) = alive {
        environment.emit(Event::OrderMoved { order: order.clone(), to });
    }
}
