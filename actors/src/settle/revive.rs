//! Whether a delivery is worked on at all; a replayed message of something dead brings it back to life here.

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

/// A message that asks for something: what decides between an echo of a death and a replay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// Its sequence in the stream.
    sequence: u64,
    /// Whether Jetreel published it itself.
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

/// Looks at the order of a message for `unit`: closed, dead, replayed, or open. `None`: it is wanted.
///
/// What Jetreel itself published can only be an echo of a death; what somebody published after it, without our header, is a replay.
pub(crate) async fn admit(
    context: &Context,
    stage: Stage,
    asked: Asked,
    order: &OrderId,
    unit: &Unit,
) -> Result<Option<Settlement>, Failure> {
    let ports = &context.ports;
    let found = ports.broker.video(&order.video).await?.map(|found| found.value);
    let open = |video: &Video| video.order(order.number).is_some_and(|order| !order.is_closed());
    let Some(video) = found.filter(open) else { return Ok(Some(Settlement::Ack)) };
    let Some(death) = video.death(order.number, unit) else { return Ok(None) };
    if asked.released || asked.sequence <= death.sequence {
        // Whoever buried it may not have lived to tell.
        change::announce(ports, &video).await?;
        return Ok(Some(Settlement::Terminate("dead".to_owned())));
    }
    // The claim first: a death without attempts is harmless, attempts without a death would end the replay at once.
    claims::reset(ports, order, unit).await?;
    crash::point("replay-after-claim");
    let mut revived = false;
    let video = change::video(ports, &order.video, |video| {
        revived = video.revive(order.number, unit, asked.sequence);
        Ok(revived)
    })
    .await?;
    let Some(video) = video.filter(open) else { return Ok(Some(Settlement::Ack)) };
    if revived {
        tell(context, stage, order, unit, video.order(order.number));
        crash::point("replay-after-revival");
        // What was held back since it failed is due again.
        ports.broker.evaluate(order).await?;
    }
    Ok(None)
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
