//! Queues the due tasks of an order.

use std::collections::{BTreeMap, BTreeSet};

use jetreel_domain::delivery::dispatch::TaskQueue;
use jetreel_domain::delivery::message::{self, EncodeTask};
use jetreel_domain::id::{OrderId, TaskId};
use jetreel_domain::order::admission;
use jetreel_domain::order::ledger::{Object, View};
use jetreel_domain::order::release::{self, Windows};
use jetreel_domain::order::state::{Order, Video};
use jetreel_domain::plan::Plan;
use jetreel_domain::upkeep::presence;
use jetreel_domain::upkeep::waits::{self, Scarce, Wait};
use jetreel_domain::words::failure::Failure;

use crate::config::Context;
use crate::crash;
use crate::event::Event;
use crate::lanes;
use crate::ports::WriteOnce;

/// Queues the tasks that are due by the order's place in the line and not in `released`, and adds them to it. Releasing a task twice is
/// harmless: its lane holds a task only once. Returns whether all of a long order's bulk is released now, which its state is to tell.
///
/// # Errors
/// The broker failed. A later call releases the rest.
pub async fn due(
    context: &Context,
    video: &Video,
    order: &Order,
    plan: &Plan,
    view: &View,
    released: &mut BTreeSet<TaskId>,
) -> Result<bool, Failure> {
    let (windows, tells_tail) = {
        let line = context.line();
        (line.windows(video, order), line.tells_tail(video, order))
    };
    by(context, order, plan, view, released, windows).await?;
    Ok(tells_tail && release::is_tail(plan, view, windows.bulk))
}

/// Queues the first tasks of an order that was just planned, as [`due`] does. If another node is to release its bulk, that is left to it.
///
/// # Errors
/// The broker failed. A later call releases the rest.
pub async fn first(
    context: &Context,
    video: &Video,
    order: &Order,
    plan: &Plan,
    view: &View,
    released: &mut BTreeSet<TaskId>,
) -> Result<(), Failure> {
    let known = context.line().windows_of_new(video, order);
    let Some(windows) = known else {
        // This node has just started.
        return context.ports.broker.evaluate(&plan.order).await.map(drop);
    };
    let mine = is_mine(context, &plan.order);
    let windows = if mine { windows } else { Windows { bulk: 0, ..windows } };
    by(context, order, plan, view, released, windows).await?;
    context.line().serve(video, order, windows);
    Ok(())
}

async fn by(
    context: &Context,
    order: &Order,
    plan: &Plan,
    view: &View,
    released: &mut BTreeSet<TaskId>,
    windows: Windows,
) -> Result<(), Failure> {
    let Some(reference) = &order.plan else { return Ok(()) };
    let mut news = false;
    for task in release::due(plan, view, windows) {
        if released.contains(&task) {
            continue;
        }
        let message = body(order, &plan.order, task, &reference.object);
        if context.ports.broker.release(&message).await? == WriteOnce::Mine {
            context.ports.environment.emit(Event::Released { order: plan.order.clone(), task });
        }
        crash::point("release-after-task");
        released.insert(task);
        news = true;
    }
    let lane = context.line().lane(&plan.order);
    if news && lane.is_some_and(|lane| lane != order.lane) {
        // The lane was changed since the state was read.
        lanes::settle(&context.ports, &plan.order).await?;
    }
    Ok(())
}

/// Whether this node is the one that releases a newly admitted order. A node that only plans is it if nobody publishes.
pub(crate) fn is_mine(context: &Context, order: &OrderId) -> bool {
    is_among(context, order, 1)
}

/// Whether this node is among the first `count` that may release an order.
pub(crate) fn is_among(context: &Context, order: &OrderId, count: usize) -> bool {
    let peers = context.peers();
    let mut publishers = peers.publishers(heartbeat(context));
    if context.config.publishes() {
        admission::is_among(order, context.start(), publishers, count)
    } else {
        publishers.next().is_none()
    }
}

/// Seconds between two heartbeats of a node.
fn heartbeat(context: &Context) -> i64 {
    presence::interval(context.config.reconciler.build_seconds).as_secs() as i64
}

/// Tasks that all known nodes together encode at once.
pub(crate) fn cluster_slots(context: &Context) -> usize {
    let config = &context.config;
    let is_open = config.offer.is_open(context.ports.environment.now());
    let own = if config.encodes() && is_open { config.slots } else { 0 };
    context.peers().slots(heartbeat(context)).max(own)
}

/// Queues from which few of the known slots take tasks now, or none.
pub(crate) fn scarce(context: &Context) -> Scarce {
    let now = context.ports.environment.now();
    Scarce::of(context.peers().live(heartbeat(context)), now)
}

/// Queues from which no known node takes tasks now, and what their tasks wait for.
#[must_use]
pub fn waits(context: &Context) -> BTreeMap<TaskQueue, Wait> {
    let now = context.ports.environment.now();
    waits::waits(context.peers().live(heartbeat(context)), now)
}

/// Releases a task again, whatever was released before. Returns whether its lane lacked it.
///
/// # Errors
/// The broker failed.
pub async fn again(
    context: &Context,
    id: &OrderId,
    order: &Order,
    task: TaskId,
) -> Result<bool, Failure> {
    let Some(reference) = &order.plan else { return Ok(false) };
    let message = body(order, id, task, &reference.object);
    Ok(context.ports.broker.release(&message).await? == WriteOnce::Mine)
}

/// The message that releases a task.
#[must_use]
pub fn body(order: &Order, id: &OrderId, task: TaskId, object: &Object) -> EncodeTask {
    EncodeTask {
        v: message::VERSION,
        order: id.clone(),
        task,
        lane: order.lane,
        plan: object.key.clone(),
        plan_sha256: object.sha256.clone(),
    }
}
