//! Hands an order that cannot be carried out as it was planned over to the next.

use jetreel_domain::delivery::message::Uploaded;
use jetreel_domain::id::OrderId;
use jetreel_domain::order::state::{Order, Video};
use jetreel_domain::order::takeover::Takeover;
use jetreel_domain::words::failure::Failure;

use crate::change;
use crate::crash;
use crate::ports::{Broker, Ports};

/// Closes an order that may be closed, by what `may` says of it, and queues the next. `false`: it has gone on meanwhile, or is closed
/// already. What a crash in between leaves is an upload or a fact that nobody was told of, and records of a closed order: all are
/// mended as any other.
///
/// # Errors
/// When the broker fails.
pub(crate) async fn take_over(
    ports: &Ports,
    order: &OrderId,
    why: Takeover,
    may: fn(&Order) -> bool,
) -> Result<bool, Failure> {
    let now = ports.environment.now();
    let mut opened = None;
    let video = change::video(ports, &order.video, |video| {
        let next = video.order(order.number).is_some_and(may);
        opened = next.then(|| video.supersede(order.number, why, now)).flatten();
        Ok(opened.is_some())
    })
    .await?;
    let Some(video) = video.filter(|_| opened.is_some()) else { return Ok(false) };
    crash::point("takeover-after-state");
    announce_successor(ports.broker.as_ref(), order, &video).await?;
    crash::point("takeover-after-queue");
    change::announce(ports, &video).await?;
    crash::point("takeover-before-forget");
    ports.broker.forget(order).await?;
    Ok(true)
}

/// Queues the order that took over, once more where it is not known to be queued: ingest plans an order only once.
///
/// # Errors
/// When the broker fails.
pub(crate) async fn announce_successor(
    broker: &dyn Broker,
    order: &OrderId,
    video: &Video,
) -> Result<(), Failure> {
    let Some(next) = video.waiting_successor(order.number) else { return Ok(()) };
    broker.announce_upload(&Uploaded::new(video.id.clone(), next.number, next.lane)).await
}
