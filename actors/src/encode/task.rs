//! One delivery of a task, in the order that keeps a stale worker harmless: state, ledger, claim, work, entry, ack.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::failure::Failure;
use jetreel_domain::ledger::Entry;
use jetreel_domain::message::EncodeTask;
use jetreel_domain::plan::Plan;
use jetreel_domain::retry::{self, Disposition};
use jetreel_domain::state::{Dead, Order, Status};
use ractor::ActorCell;
use tokio::time::Instant;

use super::claim::{self, Held};
use super::run::{self, Finished, Run};
use crate::change;
use crate::config::Context;
use crate::event::Event;
use crate::lease::Lost;
use crate::ports::{Delivery, WriteOnce};

/// What to do with the delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Settlement {
    /// A ledger entry is there, or nothing is wanted any more.
    Ack,
    /// Deliver it again.
    HandBack(Duration),
    /// Never deliver it again.
    Terminate(String),
    /// Not ours to settle.
    LetGo,
}

/// Works on one delivery.
///
/// # Errors
/// When broker or store fail while the delivery is surely ours: before the task is claimed, or after the claim was given up.
/// Deliver it again.
pub(super) async fn run(
    context: &Context,
    delivery: &Arc<dyn Delivery>,
    cell: ActorCell,
) -> Result<Settlement, Failure> {
    let Ok(message) = rmp_serde::from_slice::<EncodeTask>(delivery.body()) else {
        return Ok(Settlement::Terminate("bad-message".to_owned()));
    };
    if let Some(settlement) = settled_already(context, &message).await? {
        return Ok(settlement);
    }
    let plan = load_plan(context, &message).await?;
    let ports = &context.ports;
    let node = &context.config.node;
    let sequence = delivery.sequence();
    let Some(held) = claim::take(ports, node, &message.order, message.task, sequence).await? else {
        return Ok(Settlement::Ack);
    };
    let attempt = held.claim.attempts;
    if let Some(failure) = retry::spent(attempt) {
        return fail(context, delivery, &held, failure).await;
    }
    let (order, task) = (message.order.clone(), message.task);
    ports.environment.emit(Event::TaskStarted { order, task, attempt });
    work(context, delivery, &plan, held, cell).await
}

/// Steps (a) and (b): whether the order or the ledger says that there is nothing to do.
async fn settled_already(
    context: &Context,
    message: &EncodeTask,
) -> Result<Option<Settlement>, Failure> {
    let broker = &context.ports.broker;
    let found = broker.video(&message.order.video).await?;
    let order = found.as_ref().and_then(|found| found.value.order(message.order.number));
    if order.is_none_or(Order::is_closed) {
        return Ok(Some(Settlement::Ack));
    }
    if found.as_ref().is_some_and(|found| found.value.is_dead(message.order.number, message.task)) {
        return Ok(Some(Settlement::Terminate("dead".to_owned())));
    }
    let entry = broker.entry(&message.order, message.task).await?;
    Ok(entry.map(|_| Settlement::Ack))
}

async fn load_plan(context: &Context, message: &EncodeTask) -> Result<Arc<Plan>, Failure> {
    let store = context.ports.store.as_ref();
    context.plans.get(store, &message.plan, &message.plan_sha256).await
}

async fn work(
    context: &Context,
    delivery: &Arc<dyn Delivery>,
    plan: &Arc<Plan>,
    held: Held,
    cell: ActorCell,
) -> Result<Settlement, Failure> {
    let started = Instant::now();
    let run = Run { context, delivery, plan, held: &held, cell };
    match run::perform(run).await {
        Ok(Finished::Entry(entry)) => finish(context, &held, *entry, started).await,
        Ok(Finished::Lost(lost)) => put_down(context, &held, lost).await,
        Err(failure) => fail(context, delivery, &held, failure).await,
    }
}

async fn finish(
    context: &Context,
    held: &Held,
    entry: Entry,
    started: Instant,
) -> Result<Settlement, Failure> {
    let won = match context.ports.broker.write_entry(&entry).await {
        Ok(written) => written == WriteOnce::Mine,
        Err(failure) if give_up(context, held, Some(&failure), true).await => return Err(failure),
        Err(failure) => {
            context.ports.environment.emit(Event::StageFault { stage: "encode", failure });
            return Ok(Settlement::LetGo);
        }
    };
    context.ports.environment.emit(Event::TaskFinished {
        order: held.order.clone(),
        task: held.task,
        seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: entry.cpu_seconds,
        won,
    });
    Ok(Settlement::Ack)
}

/// The lease is gone, or the work is not wanted any more.
async fn put_down(context: &Context, held: &Held, lost: Lost) -> Result<Settlement, Failure> {
    match lost {
        Lost::Closed => Ok(Settlement::Ack),
        Lost::Taken => Ok(Settlement::LetGo),
        Lost::Expired | Lost::Draining if give_up(context, held, None, true).await => {
            Ok(Settlement::HandBack(Duration::ZERO))
        }
        Lost::Expired | Lost::Draining => Ok(Settlement::LetGo),
    }
}

/// Gives the claim up. Only then may this worker say a word about the delivery. `false`: another holds the claim, or perhaps
/// does, and the message comes again by itself when the lease ends.
async fn give_up(context: &Context, held: &Held, error: Option<&Failure>, uncharged: bool) -> bool {
    match held.release(&context.ports, error, uncharged).await {
        Ok(released) => released,
        Err(failure) => {
            context.ports.environment.emit(Event::StageFault { stage: "encode", failure });
            false
        }
    }
}

async fn fail(
    context: &Context,
    delivery: &Arc<dyn Delivery>,
    held: &Held,
    failure: Failure,
) -> Result<Settlement, Failure> {
    let disposition = retry::settle(&failure, held.claim.attempts);
    let (uncharged, again) = match &disposition {
        Disposition::HandBack { uncharged, .. } => (*uncharged, true),
        Disposition::Fail => (false, false),
    };
    if !give_up(context, held, Some(&failure), uncharged).await {
        return Ok(Settlement::LetGo);
    }
    let (order, task) = (held.order.clone(), held.task);
    let event = Event::TaskPutDown { order, task, failure: failure.clone(), again };
    context.ports.environment.emit(event);
    match disposition {
        Disposition::HandBack { after, .. } => Ok(Settlement::HandBack(after)),
        Disposition::Fail => {
            bury(context, delivery.sequence(), held, &failure).await?;
            Ok(Settlement::Terminate(failure.code))
        }
    }
}

async fn bury(
    context: &Context,
    sequence: u64,
    held: &Held,
    failure: &Failure,
) -> Result<(), Failure> {
    let now = context.ports.environment.now();
    let task = held.task.to_string();
    let number = held.order.number;
    let video = change::video(&context.ports, &held.order.video, |video| {
        let dead = Dead { sequence, failure: failure.clone() };
        Ok(video.bury(number, &task, dead, now).is_ok())
    })
    .await?;
    let Some(video) = video else { return Ok(()) };
    let order = held.order.clone();
    context.ports.environment.emit(Event::OrderMoved { order, to: Status::Failed });
    change::announce(&context.ports, &video).await
}
