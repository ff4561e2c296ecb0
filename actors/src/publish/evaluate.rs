//! Evaluates an order as a whole and does everything that is due: supersede, announce, release, finish.

use std::sync::Arc;

use jetreel_domain::id::OrderId;
use jetreel_domain::order::ledger::View;
use jetreel_domain::order::progress;
use jetreel_domain::order::state::{Fact, Order, Status, Video};
use jetreel_domain::order::takeover::Takeover;
use jetreel_domain::output::verify;
use jetreel_domain::plan::Plan;
use jetreel_domain::words::failure::Failure;

use super::finish::{self, Writer};
use super::views::{Read, Views};
use crate::change;
use crate::config::Context;
use crate::crash;
use crate::event::Event;
use crate::releases;
use crate::takeover;

/// Evaluates an order. Evaluating twice, or on two nodes at once, changes nothing.
pub(super) async fn order(
    context: &Context,
    views: &Views,
    order: &OrderId,
    writer: Writer,
) -> Result<(), Failure> {
    let ports = &context.ports;
    let Some(found) = ports.broker.video(&order.video).await? else { return Ok(()) };
    let mut video = found.value;
    let Some(state) = video.order(order.number) else { return Ok(()) };
    let Some(reference) = state.plan.clone() else { return Ok(()) };
    if state.is_closed() {
        return close(context, views, order, &video).await;
    }
    let (key, sha256) = (&reference.object.key, &reference.object.sha256);
    let plan = context.plans.get(ports.store.as_ref(), order, key, sha256).await?;
    let read = views.of(order).await;
    let mut read = read.lock().await;
    read.refresh(ports.broker.as_ref(), order).await?;
    // Checked only when it may matter: the request for an evaluation may come from a gap, and nothing is published that is missing in the
    // ledger.
    let thorough = writer == Writer::Anyone || progress::complete(&plan, &read.view);
    let gap = thorough && has_gap(context, order, &mut read).await?;
    let Read { view, released, .. } = &mut *read;
    if state.status == Status::Failed {
        return change::announce(ports, &video).await;
    }
    if let Some(mismatch) = verify::seam(&plan, view) {
        return supersede(context, views, order, mismatch.chunk).await;
    }
    if let Some(changed) = learn(context, order, &plan, view).await? {
        video = changed;
    }
    crash::point("publish-after-learn");
    change::announce(ports, &video).await?;
    crash::point("publish-after-announce");
    let Some(state) = video.order(order.number) else { return Ok(()) };
    if state.is_closed() {
        // Another publisher closed the order since it was read. The entries read from the ledger may be half purged.
        return close(context, views, order, &video).await;
    }
    if gap {
        tell_gap(context, order);
    }
    releases::due(context, &video, state, &plan, view, released).await?;
    crash::point("publish-after-release");
    if progress::complete(&plan, view) {
        let after = finish::complete(context, order, &plan, view, writer).await?;
        // An order that failed in the meantime keeps its entries, because a replay continues them.
        if after.order(order.number).is_none_or(Order::is_closed) {
            return close(context, views, order, &after).await;
        }
        return change::announce(ports, &after).await;
    }
    Ok(())
}

/// Whether entries of the order were removed from the ledger. If so, the facts they proved are unknown again, and the missing tasks are due
/// again.
async fn has_gap(context: &Context, order: &OrderId, read: &mut Read) -> Result<bool, Failure> {
    let broker = context.ports.broker.as_ref();
    let ahead = read.is_ahead(broker, order).await?;
    if ahead {
        *read = Read::default();
        read.refresh(broker, order).await?;
    }
    let torn = read.view.torn();
    for task in &torn {
        broker.forget_entry(order, *task).await?;
        read.view.forget(*task);
        read.released.remove(task);
    }
    Ok(ahead || !torn.is_empty())
}

fn tell_gap(context: &Context, order: &OrderId) {
    let message = "The ledger lacks entries that were read before. Their tasks are done again.";
    let failure = Failure::task("ledger-gap", message).with_detail(order);
    context.ports.environment.emit(Event::StageFault { stage: "publish", failure });
}

/// Records the facts that the ledger proves: playable, and tiers that are ready.
async fn learn(
    context: &Context,
    order: &OrderId,
    plan: &Arc<Plan>,
    view: &View,
) -> Result<Option<Video>, Failure> {
    let mut facts = Vec::new();
    if progress::playable(plan, view) {
        facts.push(Fact::Playable);
    }
    let tiers = progress::ready_tiers(plan, view);
    facts.extend(tiers.into_iter().map(|tier| Fact::Tier(plan.tiers[tier].name.clone())));
    let now = context.ports.environment.now();
    change::video(&context.ports, &order.video, |video| {
        let Some(state) = video.order(order.number).filter(|state| !state.is_closed()) else {
            return Ok(false);
        };
        let news: Vec<Fact> = facts.iter().filter(|fact| !state.knows(fact)).cloned().collect();
        let changed = !news.is_empty();
        news.into_iter().for_each(|fact| video.learn(order.number, fact, now));
        Ok(changed)
    })
    .await
}

/// The chunks do not fit together. The next order decodes the source in one go.
async fn supersede(
    context: &Context,
    views: &Views,
    order: &OrderId,
    chunk: u32,
) -> Result<(), Failure> {
    let ports = &context.ports;
    let lives = |state: &Order| state.status != Status::Failed;
    if takeover::take_over(ports, order, Takeover::SeamMismatch, lives).await? {
        let message = format!("Chunk {chunk} does not meet its neighbour.");
        let failure = Failure::task("seam-mismatch", message);
        ports.environment.emit(Event::StageFault { stage: "publish", failure });
        views.forget(order).await;
        return Ok(());
    }
    // Another publisher superseded the order, and may have died since.
    let video = ports.broker.video(&order.video).await?.map(|found| found.value);
    let closed = |video: &Video| video.order(order.number).is_some_and(Order::is_closed);
    match video.filter(closed) {
        Some(video) => close(context, views, order, &video).await,
        None => Ok(()),
    }
}

/// Finishes a closed order: announces its facts, then removes its entries.
async fn close(
    context: &Context,
    views: &Views,
    order: &OrderId,
    video: &Video,
) -> Result<(), Failure> {
    let superseded = video.order(order.number).is_some_and(|state| state.superseded);
    if superseded {
        takeover::announce_successor(context.ports.broker.as_ref(), order, video).await?;
    }
    change::announce(&context.ports, video).await?;
    views.forget(order).await;
    crash::point("publish-before-forget");
    context.ports.broker.forget(order).await
}
