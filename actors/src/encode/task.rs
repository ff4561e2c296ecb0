//! One delivery of a task, in the order that keeps a stale worker harmless: state, ledger, claim, work, entry, ack.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::failure::Failure;
use jetreel_domain::ledger::Entry;
use jetreel_domain::message::EncodeTask;
use jetreel_domain::plan::Plan;
use jetreel_domain::retry::{self, Stage};
use ractor::ActorCell;
use tokio::time::Instant;

use super::run::{self, Finished, Run};
use crate::claims::{self, Claimant, Held};
use crate::config::Context;
use crate::crash;
use crate::event::Event;
use crate::intake::{self, Refused};
use crate::lease::Lost;
use crate::ports::{Delivery, WriteOnce};
use crate::settle::{self, Case, Origin, Settlement};

/// Between two looks whether what a task builds on is there again.
const UNMET_WAIT: Duration = Duration::from_secs(5);

/// Works on one delivery.
///
/// # Errors
/// When broker or store fail before the task is claimed. Deliver it again.
pub(super) async fn run(
    context: &Context,
    delivery: &Arc<dyn Delivery>,
    cell: ActorCell,
) -> Result<Settlement, Failure> {
    let origin = Origin::Delivery(delivery.as_ref());
    let case = Case { context, stage: Stage::Encode, origin };
    let message: EncodeTask = match intake::read(delivery.subject(), delivery.body()) {
        Ok(message) => message,
        Err(Refused::Newer(failure)) => return Err(failure),
        Err(refused) => return Ok(settle::refused(&case, refused.into()).await),
    };
    if let Some(settlement) = settled_already(context, delivery.as_ref(), &message).await? {
        return Ok(settlement);
    }
    let (ports, task) = (&context.ports, message.task.to_string());
    let by = Claimant { node: &context.config.node, sequence: delivery.sequence() };
    let Some(held) = claims::take_task(ports, by, &message.order, &task).await? else {
        return Ok(Settlement::Ack);
    };
    crash::point("encode-after-claim");
    if let Some(failure) = retry::doomed(&held.claim, &context.config.retry.encode) {
        return Ok(settle::doomed(&case, &held, failure).await);
    }
    let (order, task, attempt) = (message.order.clone(), message.task, held.claim.attempts);
    ports.environment.emit(Event::TaskStarted { order, task, attempt });
    Ok(work(&case, delivery, &message, held, cell).await)
}

/// Steps (a) and (b): whether the order or the ledger says that there is nothing to do.
async fn settled_already(
    context: &Context,
    delivery: &dyn Delivery,
    message: &EncodeTask,
) -> Result<Option<Settlement>, Failure> {
    let (order, task) = (&message.order, message.task.to_string());
    let settled = settle::admit(context, Stage::Encode, delivery.into(), order, &task).await?;
    if settled.is_some() {
        return Ok(settled);
    }
    let entry = context.ports.broker.entry(order, message.task).await?;
    Ok(entry.map(|_| Settlement::Ack))
}

async fn load_plan(context: &Context, message: &EncodeTask) -> Result<Arc<Plan>, Failure> {
    let store = context.ports.store.as_ref();
    context.plans.get(store, &message.order, &message.plan, &message.plan_sha256).await
}

async fn work(
    case: &Case<'_>,
    delivery: &Arc<dyn Delivery>,
    message: &EncodeTask,
    held: Held,
    cell: ActorCell,
) -> Settlement {
    let started = Instant::now();
    let context = case.context;
    let done = async {
        let plan = load_plan(context, message).await?;
        let task = message.task;
        run::perform(Run { context, delivery, plan: &plan, held: &held, task, cell }).await
    };
    match done.await {
        Ok(Finished::Entry(entry)) => finish(case, &held, *entry, started).await,
        Ok(Finished::Lost(lost)) => put_down(case, &held, lost).await,
        Ok(Finished::Unmet) => unmet(case, &held).await,
        Err(failure) => settle::failed(case, &held, failure).await,
    }
}

async fn finish(case: &Case<'_>, held: &Held, entry: Entry, started: Instant) -> Settlement {
    let context = case.context;
    crash::point("encode-before-entry");
    let won = match context.ports.broker.write_entry(&entry).await {
        Ok(written) => written == WriteOnce::Mine,
        // Whether it was written is open: the next to claim the task looks into the ledger first.
        Err(failure) => return settle::failed(case, held, failure).await,
    };
    crash::point("encode-after-entry");
    context.gate.on_success();
    context.ports.environment.emit(Event::TaskFinished {
        order: held.order.clone(),
        task: entry.task,
        seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: entry.cpu_seconds,
        won,
    });
    Settlement::Ack
}

/// It was released when its needs were in the ledger: somebody removed them. They are due again, and it waits for them, uncharged.
async fn unmet(case: &Case<'_>, held: &Held) -> Settlement {
    let ports = &case.context.ports;
    let message = "The ledger lacks what the task builds on. That is done again.";
    let failure = Failure::task("ledger-gap", message).with_detail(&held.what);
    ports.environment.emit(Event::StageFault { stage: "encode", failure });
    match held.give_up(ports, None, false).await {
        Ok(Some(_)) => {}
        Ok(None) | Err(_) => return Settlement::LetGo,
    }
    if let Err(failure) = ports.broker.evaluate(&held.order).await {
        ports.environment.emit(Event::StageFault { stage: "encode", failure });
    }
    Settlement::HandBack(UNMET_WAIT)
}

/// The lease is gone, or the work is not wanted any more.
async fn put_down(case: &Case<'_>, held: &Held, lost: Lost) -> Settlement {
    match lost {
        Lost::Closed => Settlement::Ack,
        Lost::Taken => {
            case.lost(held);
            Settlement::LetGo
        }
        Lost::Expired | Lost::Draining => {
            match held.give_up(&case.context.ports, None, false).await {
                Ok(Some(_)) => Settlement::HandBack(Duration::ZERO),
                Ok(None) | Err(_) => Settlement::LetGo,
            }
        }
    }
}
