//! Handles a message that the broker gave up. It is buried if its attempts are used up. Otherwise it is queued anew, because it would block
//! its own subject.

use jetreel_domain::delivery::claim::Claim;
use jetreel_domain::delivery::intake::Body;
use jetreel_domain::delivery::message::{EncodeTask, Uploaded};
use jetreel_domain::delivery::stage::{Stage, Unit};
use jetreel_domain::id::OrderId;
use jetreel_domain::order::state::{Status, Video};
use jetreel_domain::words::failure::Failure;

use crate::claims::{self, Claimant};
use crate::config::Context;
use crate::crash;
use crate::event::Event;
use crate::intake::{self, Refused};
use crate::ports::{Stored, WriteOnce};
use crate::settle::{self, Admitted, Case, Origin, Settlement};
use crate::stages::{self, Subject};

/// Handles one message and frees its place in the queue. `certain`: no node has the message in hand.
pub(super) async fn settle(
    context: &Context,
    stage: Stage,
    stored: &Stored,
    certain: bool,
) -> Result<(), Failure> {
    let read = stages::read(stage, &stored.subject, &stored.body);
    let end = match (stage, read) {
        (_, Ok(Subject { newer: true, .. }) | Err(Refused::Newer(_))) => {
            anew(context, stored, certain).await?
        }
        // A log: its messages stay, whatever becomes of them.
        (_, Err(_)) if !stage.about().is_work_queue => None,
        (_, Err(refused)) => bury(context, stage, stored, refused.into()).await?,
        (Stage::Ingest, Ok(_)) => return upload_again(context, stored, &body(stored)?).await,
        (Stage::Encode, Ok(_)) => encode(context, stored, &body(stored)?, certain).await?,
        (stage, Ok(subject)) => ask_again(context, stage, stored, &subject).await?,
    };
    if let Some(end) = end {
        tell(context, stored, end);
    }
    Ok(())
}

fn body<B: Body>(stored: &Stored) -> Result<B, Failure> {
    intake::read(&stored.subject, &stored.body).map_err(Failure::from)
}

/// Queues the message unchanged for a node of the newer version. `certain`: no node has it in hand.
async fn anew(
    context: &Context,
    stored: &Stored,
    certain: bool,
) -> Result<Option<&'static str>, Failure> {
    if !certain {
        return Ok(None);
    }
    context.ports.broker.renew(stored).await?;
    Ok(Some("queued-anew"))
}

/// Buries a message that no node decoded in any delivery, or that contradicts its subject.
async fn bury(
    context: &Context,
    stage: Stage,
    stored: &Stored,
    failure: Failure,
) -> Result<Option<&'static str>, Failure> {
    let case = Case { context, stage, origin: Origin::Stranded(stored) };
    remove_if_buried(context, stored, settle::refused(&case, failure).await).await
}

fn is_unwanted(admitted: &Admitted) -> bool {
    match admitted {
        Admitted::Settled(_) => true,
        Admitted::Open(_) => false,
    }
}

fn tell(context: &Context, stored: &Stored, end: &'static str) {
    let stream = stored.stream.clone();
    context.ports.environment.emit(Event::OrphanSettled { stream, end });
}

async fn encode(
    context: &Context,
    stored: &Stored,
    message: &EncodeTask,
    certain: bool,
) -> Result<Option<&'static str>, Failure> {
    let ports = &context.ports;
    let (order, unit) = (&message.order, Unit::Task(message.task));
    // A replay that was never processed revives its task here.
    let admitted = settle::admit(context, Stage::Encode, stored.into(), order, &unit).await?;
    if is_unwanted(&admitted) || ports.broker.entry(order, message.task).await?.is_some() {
        ports.broker.remove(&stored.stream, stored.sequence).await?;
        return Ok(Some("removed"));
    }
    if !certain {
        let found = ports.broker.claim(order, &unit).await?;
        let works = |claim: &Claim| !claim.released && claim.sequence == stored.sequence;
        if found.is_some_and(|found| works(&found.value)) {
            // A worker may hold the task, perhaps for hours.
            return Ok(None);
        }
    }
    // Taking the claim makes its former holder stop.
    let held = claims::take(ports, Claimant::new(context, stored.sequence), order, &unit).await?;
    crash::point("orphan-after-claim");
    let case = Case { context, stage: Stage::Encode, origin: Origin::Stranded(stored) };
    let held = match settle::worth_trying(&case, held).await? {
        Ok(held) => held,
        Err(settlement) => {
            return remove_if_buried(context, stored, settlement).await;
        }
    };
    if held.give_up(ports, None, false).await?.is_none() {
        return Ok(None);
    }
    ports.broker.remove(&stored.stream, stored.sequence).await?;
    crash::point("orphan-after-remove");
    // If the message is lost here, the task is due and not queued, which the reconciler repairs.
    if ports.broker.release(message).await? == WriteOnce::Mine {
        let (order, task) = (order.clone(), message.task);
        ports.environment.emit(Event::Released { order, task });
    }
    Ok(Some("queued-anew"))
}

/// A message that names an order and nothing else.
async fn ask_again(
    context: &Context,
    stage: Stage,
    stored: &Stored,
    Subject { order, unit, .. }: &Subject,
) -> Result<Option<&'static str>, Failure> {
    let ports = &context.ports;
    let admitted = settle::admit(context, stage, stored.into(), order, unit).await?;
    ports.broker.remove(&stored.stream, stored.sequence).await?;
    if is_unwanted(&admitted) {
        return Ok(Some("removed"));
    }
    ports.broker.ask(stage, order).await?;
    Ok(Some("queued-anew"))
}

/// UPLOADS is a log, so its messages stay. An upload that still waits is announced again. A message that names another source is processed
/// here.
async fn upload_again(
    context: &Context,
    stored: &Stored,
    message: &Uploaded,
) -> Result<(), Failure> {
    let ports = &context.ports;
    if let Some(source) = &message.source {
        let case = Case { context, stage: Stage::Ingest, origin: Origin::Stranded(stored) };
        let end = match settle::reopen(&case, message, source).await? {
            Settlement::Ack => "queued-anew",
            Settlement::Terminate(_) => "buried",
            // The letter cannot be written. That must not delay other messages.
            Settlement::HandBack(_) => {
                let message = "The correction of a source cannot be buried.";
                return Err(Failure::task("correction-unburied", message));
            }
            Settlement::LetGo => {
                let message = "The correction of a source could not be settled.";
                return Err(Failure::dependency("broker-refused", message));
            }
        };
        tell(context, stored, end);
        return Ok(());
    }
    let order = OrderId::new(message.video.clone(), message.number);
    let unit = Stage::Ingest.into();
    let admitted = settle::admit(context, Stage::Ingest, stored.into(), &order, &unit).await?;
    if is_unwanted(&admitted) {
        return Ok(());
    }
    let found = ports.broker.video(&message.video).await?;
    let waits = |video: &Video| {
        let order = video.order(message.number);
        order.is_some_and(|order| matches!(order.status, Status::Queued | Status::Ingesting))
    };
    if found.is_some_and(|found| waits(&found.value)) {
        ports.broker.announce_upload(message).await?;
        tell(context, stored, "queued-anew");
    }
    Ok(())
}

async fn remove_if_buried(
    context: &Context,
    stored: &Stored,
    settlement: Settlement,
) -> Result<Option<&'static str>, Failure> {
    match settlement {
        Settlement::Ack | Settlement::Terminate(_) => {
            context.ports.broker.remove(&stored.stream, stored.sequence).await?;
            Ok(Some("buried"))
        }
        Settlement::HandBack(_) | Settlement::LetGo => Ok(None),
    }
}
