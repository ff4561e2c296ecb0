//! Calls the hook about every dead letter, once it was buried, until the call is taken.
//!
//! Each letter is a delivery of its own: one that is not taken keeps no other waiting, and what was buried while nobody was there to
//! call is called about later. A letter that went meanwhile, replayed or discarded, is nobody's concern any more.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::failure::Failure;
use jetreel_domain::hook;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde::Serialize;
use tokio_util::bytes::Bytes;

use super::desk::{Desk, Inspection};
use crate::config::Context;
use crate::event::Event;
use crate::ports::{Delivered, Delivery, Hook};

/// Pause after trouble with the broker, before the next pull.
const TROUBLE_PAUSE: Duration = Duration::from_secs(5);
/// Version of [`Call`].
const VERSION: u32 = 1;

/// The facts of a source are worth so much waiting.
const FACTS_WAIT: Duration = Duration::from_secs(5);

/// What became of a call.
enum Outcome {
    /// It was taken.
    Taken,
    /// There is no such letter any more.
    Gone,
    /// The letter may be taken back yet.
    Early,
}

/// What the caller is told.
#[derive(Debug)]
pub enum Message {
    /// Wait for the next letter.
    Pull,
}

/// What the caller needs.
#[derive(Clone)]
pub struct Args {
    /// The node.
    pub context: Context,
    /// Whom to call.
    pub hook: Arc<dyn Hook>,
}

/// What the one who is called reads (JSON).
#[derive(Debug, Serialize)]
struct Call<'a> {
    v: u32,
    event: &'static str,
    key: &'a str,
    summary: String,
    letter: Inspection,
}

/// The caller.
pub struct Caller;

impl Actor for Caller {
    type Msg = Message;
    type State = Args;
    type Arguments = Args;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        args: Args,
    ) -> Result<Args, ActorProcessingErr> {
        myself.cast(Message::Pull)?;
        Ok(args)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        args: &mut Args,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Pull => {
                let drain = args.context.drain.clone();
                if drain.is_cancelled() {
                    myself.stop(None);
                    return Ok(());
                }
                tokio::select! {
                    () = drain.cancelled() => {}
                    () = args.pull() => {}
                }
                myself.cast(Message::Pull)?;
            }
        }
        Ok(())
    }
}

impl Args {
    async fn pull(&self) {
        let (ports, wait) = (&self.context.ports, self.context.config.pull_wait);
        let outcome = match ports.letters.next_letter(wait).await {
            Ok(Some(delivery)) => self.take(delivery).await,
            Ok(None) => Ok(()),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = outcome {
            ports.environment.emit(Event::StageFault { stage: "deadletter", failure });
            tokio::time::sleep(TROUBLE_PAUSE).await;
        }
    }

    async fn take(&self, delivery: Delivered) -> Result<(), Failure> {
        let environment = &self.context.ports.environment;
        match self.call(delivery.as_ref()).await {
            Ok(Outcome::Gone) => delivery.ack().await,
            Ok(Outcome::Early) => delivery.hand_back(hook::SETTLED_AFTER).await,
            Ok(Outcome::Taken) => {
                environment.emit(Event::HookCalled { refused: None });
                delivery.ack().await
            }
            Err(failure) => {
                environment.emit(Event::HookCalled { refused: Some(failure) });
                // The first time it was early.
                delivery.hand_back(hook::again_after(delivery.delivered().saturating_sub(1))).await
            }
        }
    }

    async fn call(&self, delivery: &dyn Delivery) -> Result<Outcome, Failure> {
        let (ports, sequence) = (&self.context.ports, delivery.sequence());
        let Some(buried) = ports.letters.letter(sequence).await? else { return Ok(Outcome::Gone) };
        if hook::is_early(&buried, ports.environment.now()) {
            return Ok(Outcome::Early);
        }
        let key = hook::key(&buried);
        delivery.renew().await?;
        let Some(letter) = self.inspect(sequence).await? else { return Ok(Outcome::Gone) };
        // What was read may have taken its time.
        delivery.renew().await?;
        let summary = hook::summary(&buried);
        let call = Call { v: VERSION, event: "dead-letter", key: &key, summary, letter };
        let document = serde_json::to_vec(&call).map_err(|error| {
            Failure::task("bad-message", "A call cannot be written.").with_detail(error)
        })?;
        self.hook.call(&key, Bytes::from(document)).await?;
        Ok(Outcome::Taken)
    }

    /// The letter, with the facts of its source where the store gives them soon: one that hangs is why there are letters.
    async fn inspect(&self, sequence: u64) -> Result<Option<Inspection>, Failure> {
        let desk = Desk::new(&self.context.ports);
        match tokio::time::timeout(FACTS_WAIT, desk.inspect(sequence)).await {
            Ok(inspection) => inspection,
            Err(_) => Desk { store: None, ..desk }.inspect(sequence).await,
        }
    }
}
