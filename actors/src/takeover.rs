//! Takeover: an order that cannot be carried out as planned is closed, and its successor is queued.

use jetreel_domain::delivery::message::Uploaded;
use jetreel_domain::id::OrderId;
use jetreel_domain::order::state::{Order, Video};
use jetreel_domain::order::takeover::Takeover;
use jetreel_domain::words::failure::Failure;

use crate::change;
use crate::crash;
use crate::ports::{Broker, Ports};

/// Closes an order if `may` allows it for the current state, and queues its successor. Returns `false` if the order has progressed since or
/// is closed already. A crash in between leaves an unannounced upload or fact, or the records of a closed order; the reconciler repairs
/// each of these.
///
/// # Errors
/// The broker failed.
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

/// Announces the successor's upload, unless it is known to be announced. A second announcement is harmless: ingest plans an order only
/// once.
///
/// # Errors
/// The broker failed.
pub(crate) async fn announce_successor(
    broker: &dyn Broker,
    order: &OrderId,
    video: &Video,
) -> Result<(), Failure> {
    let Some(next) = video.waiting_successor(order.number) else { return Ok(()) };
    broker.announce_upload(&Uploaded::new(video.id.clone(), next.number, next.lane)).await
}
