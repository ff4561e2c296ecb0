//! Queues the due tasks of an order.

use std::collections::BTreeSet;

use jetreel_domain::delivery::message::{self, EncodeTask};
use jetreel_domain::id::{OrderId, TaskId};
use jetreel_domain::order::ledger::{Object, View};
use jetreel_domain::order::line;
use jetreel_domain::order::release::{self, Windows};
use jetreel_domain::order::state::Order;
use jetreel_domain::plan::Plan;
use jetreel_domain::upkeep::presence;
use jetreel_domain::words::failure::Failure;

use crate::config::Context;
use crate::crash;
use crate::event::Event;
use crate::ports::WriteOnce;

/// Queues the tasks that are due and not in `released`, and adds them to it. Releasing a task twice is harmless: its lane holds a task only
/// once.
///
/// # Errors
/// The broker failed. A later call releases the rest.
pub async fn due(
    context: &Context,
    order: &Order,
    plan: &Plan,
    view: &View,
    released: &mut BTreeSet<TaskId>,
) -> Result<(), Failure> {
    let Some(reference) = &order.plan else { return Ok(()) };
    let bulk = line::room(cluster_slots(context));
    for task in release::due(plan, view, Windows { bulk, ..Windows::OPEN }) {
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

/// Tasks that all known nodes together encode at once.
fn cluster_slots(context: &Context) -> usize {
    let interval = presence::interval(context.config.reconciler.build_seconds).as_secs();
    let own = if context.config.encodes() { context.config.slots } else { 0 };
    context.peers().slots(interval).max(own)
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
