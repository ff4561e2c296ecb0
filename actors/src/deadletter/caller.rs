//! Calls the hook about every dead letter until the call succeeds.
//!
//! Each letter is a delivery of its own, so a failed call delays no other letter. Letters that are buried while no node runs are called
//! about later. The hook is not called about a letter that was replayed or discarded in the meantime.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::delivery::hook;
use jetreel_domain::words::failure::Failure;
use serde::Serialize;
use tokio_util::bytes::Bytes;

use super::service::{DlqService, Inspection};
use crate::config::Context;
use crate::event::Event;
use crate::lease::InHand;
use crate::ports::{Delivered, Delivery, Hook, Ports};
use crate::settle::Settlement;
use crate::worker::{Breaker, Handler, Inbox};

/// Version of [`Call`].
const VERSION: u32 = 1;

/// Timeout for reading the facts of a source.
const FACTS_WAIT: Duration = Duration::from_secs(5);

/// Outcome of a call.
enum Outcome {
    /// The call succeeded.
    Taken,
    /// The letter does not exist any more.
    Gone,
    /// It is too early: the letter may still be withdrawn.
    Early,
}

/// The inbox of dead letters that the hook was not called about.
pub(crate) struct Caller {
    pub(crate) hook: Arc<dyn Hook>,
}

/// Body of the call (JSON).
#[derive(Debug, Serialize)]
struct Call<'a> {
    v: u32,
    event: &'static str,
    key: &'a str,
    summary: String,
    letter: Inspection,
}

impl Handler for Caller {
    const NAME: &'static str = "deadletter";
    const JUDGED: bool = false;

    async fn take(&mut self, context: &Context, hand: &InHand) -> Result<Settlement, Failure> {
        let (environment, delivery) = (&context.ports.environment, hand.delivery());
        Ok(match self.call(context, delivery).await {
            Ok(Outcome::Gone) => Settlement::Ack,
            Ok(Outcome::Early) => Settlement::HandBack(hook::SETTLED_AFTER),
            Ok(Outcome::Taken) => {
                environment.emit(Event::HookCalled { refused: None });
                Settlement::Ack
            }
            Err(failure) => {
                environment.emit(Event::HookCalled { refused: Some(failure) });
                // The first delivery came too early.
                Settlement::HandBack(hook::again_after(delivery.delivered().saturating_sub(1)))
            }
        })
    }

    /// The broker delivers the message again when its lease ends.
    async fn not_taken(&self, _: &Context, _: &dyn Delivery, _: &Failure) -> Settlement {
        Settlement::LetGo
    }
}

impl Inbox for Caller {
    const PAUSE: Duration = Duration::from_secs(5);
    const BREAKER: Breaker = Breaker::Ignores;
    const DROPPED_ON_DRAIN: bool = true;

    async fn pull(&mut self, context: &Context) -> Result<Option<Delivered>, Failure> {
        context.ports.letters.next_letter(context.config.pull_wait).await
    }
}

impl Caller {
    async fn call(&self, context: &Context, delivery: &dyn Delivery) -> Result<Outcome, Failure> {
        let (ports, sequence) = (&context.ports, delivery.sequence());
        let Some(buried) = ports.letters.letter(sequence).await? else { return Ok(Outcome::Gone) };
        if hook::is_early(&buried, ports.environment.now()) {
            return Ok(Outcome::Early);
        }
        let key = hook::key(&buried);
        let Some(letter) = inspect(ports, sequence).await? else { return Ok(Outcome::Gone) };
        let summary = hook::summary(&buried);
        let call = Call { v: VERSION, event: "dead-letter", key: &key, summary, letter };
        let document = serde_json::to_vec(&call).map_err(|error| {
            Failure::task("bad-message", "A call cannot be written.").with_detail(error)
        })?;
        self.hook.call(&key, Bytes::from(document)).await?;
        Ok(Outcome::Taken)
    }
}

/// The letter, with the facts of its source if the store returns them in time. A store that hangs is a common cause of letters.
async fn inspect(ports: &Ports, sequence: u64) -> Result<Option<Inspection>, Failure> {
    let service = DlqService::new(ports);
    match tokio::time::timeout(FACTS_WAIT, service.inspect(sequence)).await {
        Ok(inspection) => inspection,
        Err(_) => DlqService { store: None, ..service }.inspect(sequence).await,
    }
}
