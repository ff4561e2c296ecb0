//! One worker of the ingest pool: takes one upload at a time.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::failure::Failure;
use jetreel_domain::retry::Stage;
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::upload;
use crate::config::Context;
use crate::crash;
use crate::event::Event;
use crate::ports::Delivery;
use crate::settle;

/// Pause after trouble with the broker, before the next pull.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);

/// What the worker is told.
#[derive(Debug)]
pub enum Message {
    /// Take the next upload.
    Pull,
}

/// The worker.
pub struct Ingest;

impl Actor for Ingest {
    type Msg = Message;
    type State = Context;
    type Arguments = Context;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        context: Context,
    ) -> Result<Context, ActorProcessingErr> {
        myself.cast(Message::Pull)?;
        Ok(context)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        context: &mut Context,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Pull => {
                if context.drain.is_cancelled() {
                    myself.stop(None);
                    return Ok(());
                }
                pull(context).await;
                myself.cast(Message::Pull)?;
            }
        }
        Ok(())
    }
}

async fn pull(context: &Context) {
    let next = async {
        context.gate.pass(&context.ports).await;
        context.ports.broker.next_upload(context.config.pull_wait).await
    };
    let pulled = tokio::select! {
        () = context.drain.cancelled() => return,
        pulled = next => pulled,
    };
    let outcome = match pulled {
        Ok(Some(delivery)) => {
            let taken = take(context, Arc::from(delivery)).await;
            taken.inspect_err(|failure| context.gate.on_failure(&context.ports, failure))
        }
        Ok(None) => Ok(()),
        Err(failure) => {
            context.gate.on_pull_failure(&context.ports, &failure);
            Err(failure)
        }
    };
    if let Err(failure) = outcome {
        context.ports.environment.emit(Event::StageFault { stage: "ingest", failure });
        tokio::select! {
            () = context.drain.cancelled() => {}
            () = tokio::time::sleep(TROUBLE_PAUSE) => {}
        }
    }
}

/// Works on one delivery and settles it.
async fn take(context: &Context, delivery: Arc<dyn Delivery>) -> Result<(), Failure> {
    crash::point("ingest-after-delivery");
    match upload::take(context, &delivery).await {
        Ok(settlement) => {
            crash::point("ingest-before-ack");
            settlement.tell(delivery.as_ref()).await
        }
        Err(failure) => {
            let failure = context.gate.judge(&context.ports, failure, None).await;
            settle::unclaimed(context, Stage::Ingest, delivery.as_ref(), &failure).await?;
            Err(failure)
        }
    }
}
