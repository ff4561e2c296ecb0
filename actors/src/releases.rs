//! Queues the tasks of an order that are due.

use std::collections::BTreeSet;

use jetreel_domain::delivery::message::{self, EncodeTask};
use jetreel_domain::id::{OrderId, TaskId};
use jetreel_domain::order::ledger::{Object, View};
use jetreel_domain::order::release;
use jetreel_domain::order::state::Order;
use jetreel_domain::plan::Plan;
use jetreel_domain::upkeep::presence;
use jetreel_domain::words::failure::Failure;

use crate::config::Context;
use crate::crash;
use crate::event::Event;
use crate::ports::WriteOnce;

/// Releases what is due and not in `released`, and notes it there. Releasing twice is harmless: a queued task cannot be queued
/// again in its lane.
///
/// # Errors
/// When the broker fails; a later call releases the rest.
pub async fn due(
    context: &Context,
    order: &Order,
    plan: &Plan,
    view: &View,
    released: &mut BTreeSet<TaskId>,
) -> Result<(), Failure> {
    let Some(reference) = &order.plan else { return Ok(()) };
    let window = release::window(cluster_slots(context), OPEN_ORDERS);
    for task in release::due(plan, view, window) {
        if released.contains(&task) {
            continue;
        }
        let message = body(order, &plan.order, task, &reference.object);
        if context.ports.broker.release(&message).await? == WriteOnce::Mine {
            context.ports.environment.emit(Event::Released { order: plan.order.clone(), task });
        }
        crash::point("release-after-task");
        released.insert(task);
    }
    Ok(())
}

/// Orders that share the slots. They are not counted: each may fill the cluster, as where it is alone.
const OPEN_ORDERS: usize = 1;

/// Tasks that all nodes encode at once, as far as this node heard of them.
fn cluster_slots(context: &Context) -> usize {
    let interval = presence::interval(context.config.reconciler.build_seconds).as_secs();
    let own = if context.config.encodes() { context.config.slots } else { 0 };
    context.peers().slots(interval).max(own)
}

/// Releases a task once more, whatever was released before. Gives whether it was in no lane.
///
/// # Errors
/// When the broker fails.
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

/// The message that a task is released with.
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
