//! Handles a message that the broker gave up. It is buried if its attempts are used up. Otherwise it is queued anew, because it would block
//! its own subject.

use jetreel_domain::delivery::claim::Claim;
use jetreel_domain::delivery::intake::Body;
use jetreel_domain::delivery::message::{EncodeTask, Evaluate, Uploaded};
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
use crate::settle::{self, Case, Origin, Settlement};

/// Handles one message and frees its place in the queue. `certain`: no node has the message in hand.
pub(super) async fn settle(
    context: &Context,
    stage: Stage,
    stored: &Stored,
    certain: bool,
) -> Result<(), Failure> {
    let end = match stage {
        Stage::Encode => match intake::read::<EncodeTask>(&stored.subject, &stored.body) {
            read if is_newer(&read) => anew(context, stored, certain).await?,
            Ok(task) => encode(context, stored, &task, certain).await?,
            Err(refused) => bury(context, stage, stored, refused.into()).await?,
        },
        Stage::Publish => match intake::read::<Evaluate>(&stored.subject, &stored.body) {
            read if is_newer(&read) => anew(context, stored, certain).await?,
            Ok(evaluate) => publish(context, stored, &evaluate).await?,
            Err(refused) => bury(context, stage, stored, refused.into()).await?,
        },
        // UPLOADS is a log, so its messages stay in any case.
        Stage::Ingest => match intake::read::<Uploaded>(&stored.subject, &stored.body) {
            read if is_newer(&read) => anew(context, stored, certain).await?,
            Ok(upload) => return upload_again(context, stored, &upload).await,
            Err(_) => None,
        },
    };
    if let Some(end) = end {
        tell(context, stored, end);
    }
    Ok(())
}

/// Whether a newer program wrote the body. Only such a program knows what the message asks for.
fn is_newer<B: Body>(read: &Result<B, Refused>) -> bool {
    match read {
        Ok(body) => body.version() > B::VERSION,
        Err(Refused::Newer(_)) => true,
        Err(Refused::Unreadable(_) | Refused::Contradicting(_)) => false,
    }
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
    if admitted.is_some() || ports.broker.entry(order, message.task).await?.is_some() {
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
    let by = Claimant { node: &context.config.node, sequence: stored.sequence };
    let held = claims::take(ports, by, order, &unit).await?;
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

async fn publish(
    context: &Context,
    stored: &Stored,
    message: &Evaluate,
) -> Result<Option<&'static str>, Failure> {
    let ports = &context.ports;
    let order = &message.order;
    let unit = Stage::Publish.into();
    let admitted = settle::admit(context, Stage::Publish, stored.into(), order, &unit).await?;
    ports.broker.remove(&stored.stream, stored.sequence).await?;
    if admitted.is_some() {
        return Ok(Some("removed"));
    }
    ports.broker.evaluate(order).await?;
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
    if admitted.is_some() {
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
