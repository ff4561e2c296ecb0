//! Encode as a stage: one message per task.

use std::time::Duration;

use jetreel_domain::delivery::message::EncodeTask;
use jetreel_domain::delivery::stage::{Stage, Unit};
use jetreel_domain::id::OrderId;
use jetreel_domain::order::ledger::Entry;
use jetreel_domain::plan::{Plan, shares};
use jetreel_domain::words::failure::Failure;
use ractor::ActorCell;
use tokio::time::Instant;

use super::run::{self, Finished, Run};
use crate::attempt::{Attempt, Claiming, Outcome};
use crate::config::Context;
use crate::crash;
use crate::event::Event;
use crate::ports::WriteOnce;
use crate::worker::Handler;

/// Delay before a task whose needs are missing is tried again.
const UNMET_WAIT: Duration = Duration::from_secs(5);

/// The handler of a slot.
pub(crate) struct Encode {
    /// The slot. It supervises the encoders.
    pub(super) slot: ActorCell,
}

impl Claiming for Encode {
    type Body = EncodeTask;
    const STAGE: Stage = Stage::Encode;
    const IS_NEW_AT_FIRST: bool = true;

    fn unit(message: &EncodeTask) -> (OrderId, Unit) {
        (message.order.clone(), message.task.into())
    }

    async fn is_done(&self, context: &Context, message: &EncodeTask) -> Result<bool, Failure> {
        let entry = context.ports.broker.entry(&message.order, message.task).await?;
        Ok(entry.is_some())
    }

    async fn work(&self, attempt: &Attempt<'_>, message: &EncodeTask) -> Result<Outcome, Failure> {
        crash::point("encode-after-claim");
        let (started, context) = (Instant::now(), attempt.context);
        context.ports.environment.emit(Event::TaskStarted {
            order: message.order.clone(),
            task: message.task,
            attempt: attempt.held.claim.attempts,
        });
        let store = context.ports.store.as_ref();
        let plan = context.plans.get(store, &message.order, &message.plan, &message.plan_sha256);
        let plan = match attempt.hand.unless_lost(plan).await {
            Ok(plan) => plan?,
            Err(lost) => return Ok(Outcome::Lost(lost)),
        };
        let (task, slot) = (message.task, &self.slot);
        match run::perform(Run { attempt, plan: &plan, task, slot }).await? {
            Finished::Entry(entry) => finish(context, *entry, &plan, started).await,
            Finished::Lost(lost) => Ok(Outcome::Lost(lost)),
            Finished::Unmet => Ok(unmet(context, message).await),
        }
    }
}

async fn finish(
    context: &Context,
    mut entry: Entry,
    plan: &Plan,
    started: Instant,
) -> Result<Outcome, Failure> {
    entry.wall_seconds = started.elapsed().as_secs_f64();
    crash::point("encode-before-entry");
    // If this fails, the entry may still have been written. The next worker that claims the task reads the ledger first.
    let won = context.ports.broker.write_entry(&entry).await? == WriteOnce::Mine;
    crash::point("encode-after-entry");
    context.ports.environment.emit(Event::TaskFinished {
        order: entry.order.clone(),
        task: entry.task,
        seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: entry.cpu_seconds,
        pictures: shares::pictures(plan, entry.task),
        won,
    });
    Ok(Outcome::Done)
}

/// A task is released when its needs are in the ledger, so entries were removed since. Their tasks are due again. This task waits for them,
/// and the attempt is not charged.
async fn unmet(context: &Context, message: &EncodeTask) -> Outcome {
    let ports = &context.ports;
    let text = "The ledger lacks results that the task needs. Their tasks are done again.";
    let failure = Failure::task("ledger-gap", text).with_detail(message.task);
    ports.environment.emit(Event::StageFault { stage: Encode::NAME, failure });
    if let Err(failure) = ports.broker.evaluate(&message.order).await {
        ports.environment.emit(Event::StageFault { stage: Encode::NAME, failure });
    }
    Outcome::Waits(UNMET_WAIT)
}
