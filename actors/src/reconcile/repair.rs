//! Makes one repair.

use jetreel_domain::delivery::deadletter::Buried;
use jetreel_domain::delivery::message::Uploaded;
use jetreel_domain::id::OrderId;
use jetreel_domain::order::announce;
use jetreel_domain::order::owner::Owner;
use jetreel_domain::order::state::{Order, Status, Video};
use jetreel_domain::order::takeover::Takeover;
use jetreel_domain::upkeep::reconcile::Trouble;
use jetreel_domain::words::failure::Failure;

use super::args::Args;
use super::clear;
use super::foreign::Foreign;
use crate::change;
use crate::crash;
use crate::event::{Event, Reconciled, Repair};
use crate::ports::{Forged, WriteOnce};
use crate::releases;
use crate::takeover;

/// Repairs a trouble of a video. `video` is its state as read just before.
pub(super) async fn mend(
    args: &Args,
    foreign: &Foreign,
    video: &Video,
    trouble: Trouble,
) -> Result<(), Failure> {
    let (ports, broker) = (&args.context.ports, &args.context.ports.broker);
    crash::point("reconcile-before-repair");
    let (number, repair) = match trouble {
        Trouble::Unannounced => {
            let first = announce::due(video).first().map_or(1, |(number, _)| *number);
            change::announce(ports, video).await?;
            (first, Repair::FactsAnnounced)
        }
        Trouble::UploadLost(number) | Trouble::UploadInDoubt(number) => {
            let lane = video.order(number).map(|order| order.lane).unwrap_or_default();
            broker.announce_upload(&Uploaded::new(video.id.clone(), number, lane)).await?;
            (number, Repair::UploadAnnounced)
        }
        Trouble::TaskLost(number, _) | Trouble::Unevaluated(number)
            if remove_forged(args, &video.order_id(number)).await? =>
        {
            (number, Repair::ForgedRemoved)
        }
        Trouble::TaskLost(number, task) => {
            let Some(order) = video.order(number) else { return Ok(()) };
            let id = video.order_id(number);
            if !releases::again(&args.context, &id, order, task).await? {
                return Ok(());
            }
            ports.environment.emit(Event::Released { order: id, task });
            (number, Repair::TaskQueued)
        }
        Trouble::Unevaluated(number) => {
            // `Taken`: the evaluation waits in its queue, or for its next attempt.
            if broker.evaluate(&video.order_id(number)).await? == WriteOnce::Taken {
                return Ok(());
            }
            (number, Repair::EvaluationAsked)
        }
        Trouble::StrandedOrder(number, _) => {
            let waits = |order: &Order| order.status == Status::Encoding;
            let order = video.order_id(number);
            if !takeover::take_over(ports, &order, Takeover::CodecBuild, waits).await? {
                return Ok(());
            }
            (number, Repair::PlannedAnew)
        }
        Trouble::Stalled(number, _) => {
            if !give_up(args, foreign, &video.order_id(number)).await? {
                return Ok(());
            }
            (number, Repair::UploadGivenUp)
        }
        Trouble::Deleted => {
            remove(args, foreign, video).await?;
            (video.orders.last().map_or(1, |order| order.number), Repair::Removed)
        }
        Trouble::Uncleared(number) => {
            discard_letters(args, video, video.letters_left(number).map(|l| (number, l))).await?;
            clear(args, foreign, &video.order_id(number)).await?;
            (number, Repair::Cleared)
        }
    };
    crash::point("reconcile-after-repair");
    let order = video.order_id(number);
    ports.environment.emit(Event::Reconciled(Reconciled::Repaired { order, repair }));
    Ok(())
}

/// Removes ledger messages of an order that are no valid entries: a look at subjects alone counts them as finished tasks. `false` if there
/// are none. Usually a publisher has removed them before.
async fn remove_forged(args: &Args, order: &OrderId) -> Result<bool, Failure> {
    let ports = &args.context.ports;
    let forged = ports.broker.forged(order).await?;
    let found = !forged.is_empty();
    for Forged { stream, sequence, failure } in forged {
        ports.broker.remove(&stream, sequence).await?;
        ports.environment.emit(Event::StageFault { stage: "reconcile", failure });
    }
    Ok(found)
}

/// Cancels an upload that made no progress, and deletes its objects. `false` if a part has arrived since.
async fn give_up(args: &Args, foreign: &Foreign, order: &OrderId) -> Result<bool, Failure> {
    let ports = &args.context.ports;
    let now = ports.environment.now();
    let mut given_up = false;
    let video = change::video(ports, &order.video, |video| {
        let receives = video.order(order.number).is_some_and(|o| o.status == Status::Receiving);
        given_up = receives && video.cancel(order.number, now).is_ok();
        Ok(given_up)
    })
    .await?;
    let Some(video) = video.filter(|_| given_up) else { return Ok(false) };
    let to = Status::Cancelled;
    ports.environment.emit(Event::OrderMoved { order: order.clone(), to });
    crash::point("giveup-after-cancel");
    change::announce(ports, &video).await?;
    crash::point("giveup-after-fact");
    ports.broker.forget_parts(&order.video).await?;
    clear::unnamed(args, foreign, &Owner::Original(order.video.clone())).await?;
    Ok(true)
}

/// Removes everything of a deleted video. The facts are announced first and the state is removed last, so an interrupted removal is
/// repeated.
async fn remove(args: &Args, foreign: &Foreign, video: &Video) -> Result<(), Failure> {
    let ports = &args.context.ports;
    change::announce(ports, video).await?;
    discard_letters(args, video, video.letters()).await?;
    for order in &video.orders {
        let order = video.order_id(order.number);
        ports.broker.forget(&order).await?;
        clear::unnamed(args, foreign, &Owner::Order(order)).await?;
    }
    ports.broker.forget_parts(&video.id).await?;
    clear::unnamed(args, foreign, &Owner::Original(video.id.clone())).await?;
    ports.broker.remove_video(&video.id).await
}

/// Discards the letters before the state forgets them: they cannot be found later.
async fn discard_letters(
    args: &Args,
    video: &Video,
    left: impl Iterator<Item = (u32, u64)>,
) -> Result<(), Failure> {
    let letters = &args.context.ports.letters;
    for (number, sequence) in left {
        let found = letters.letter(sequence).await?;
        // If the stream was created anew, the number may belong to another order's letter.
        let own = |found: &Buried| found.letter.order == Some(video.order_id(number));
        if found.as_ref().is_some_and(own) {
            letters.discard(sequence).await?;
        }
    }
    Ok(())
}

/// Removes the output of a cancelled order from the state, then deletes it. A crash in between leaves orphans for the sweep.
async fn clear(args: &Args, foreign: &Foreign, order: &OrderId) -> Result<(), Failure> {
    let ports = &args.context.ports;
    change::video(ports, &order.video, |video| {
        let uncleared = video.is_uncleared(order.number);
        video.clear(order.number);
        Ok(uncleared)
    })
    .await?;
    crash::point("clear-after-state");
    ports.broker.forget(order).await?;
    crash::point("clear-after-forget");
    clear::unnamed(args, foreign, &Owner::Order(order.clone())).await?;
    clear::unnamed(args, foreign, &Owner::Original(order.video.clone())).await
}
