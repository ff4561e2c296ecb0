//! The inbox of ledger entries. Each entry means that its order has something new.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::delivery::retry;
use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::order::ledger::Entry;
use jetreel_domain::words::failure::{Failure, Severity};

use super::evaluate;
use super::evaluations::before_ack;
use super::finish::Writer;
use super::views::Views;
use crate::config::Context;
use crate::event::Event;
use crate::intake::{self, Refused};
use crate::lease::{InHand, Lost};
use crate::panics;
use crate::ports::{Delivered, Delivery};
use crate::settle::Settlement;
use crate::worker::{Handler, Inbox};

/// Delay before an entry that could not be processed is delivered again.
const AGAIN_WAIT: Duration = Duration::from_secs(1);

/// The inbox.
pub(crate) struct Entries {
    /// Shared with the node's other worker of the stage.
    pub(crate) views: Arc<Views>,
}

impl Handler for Entries {
    const NAME: &'static str = Stage::Publish.as_str();

    /// Evaluates the order of an entry. A failure of the order itself is retried through an evaluation, whose attempts are counted. Entries
    /// only signal that something is new.
    async fn take(&mut self, context: &Context, hand: &InHand) -> Result<Settlement, Failure> {
        let delivery = hand.delivery();
        let entry: Entry = match intake::read(delivery.subject(), delivery.body()) {
            Ok(entry) => entry,
            Err(refused) => return refuse(context, delivery, refused).await,
        };
        self.views.meet(&entry, delivery.sequence()).await;
        // If two publishers see the last entries, one of them writes. A message that is delivered again belonged to a publisher that died.
        let writer = if delivery.delivered() > 1 { Writer::Anyone } else { Writer::Mover };
        let evaluated = evaluate::order(context, &self.views, &entry.order, writer);
        let evaluated = panics::caught(evaluated);
        match hand.unless_lost(evaluated).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => {
                let failure = context.gate.judge(&context.ports, failure, None).await;
                if failure.severity == Severity::DependencyFault {
                    return Err(failure);
                }
                context.ports.broker.evaluate(&entry.order).await?;
                context.ports.environment.emit(Event::StageFault { stage: Self::NAME, failure });
            }
            Err(Lost::Draining) => return Ok(Settlement::HandBack(Duration::ZERO)),
            Err(Lost::Expired | Lost::Taken | Lost::Closed) => return Ok(Settlement::LetGo),
        }
        before_ack();
        Ok(Settlement::Ack)
    }

    /// The entry is kept only for a failure of a dependency.
    async fn not_taken(&self, _: &Context, _: &dyn Delivery, _: &Failure) -> Settlement {
        Settlement::HandBack(AGAIN_WAIT)
    }
}

impl Inbox for Entries {
    async fn pull(&mut self, context: &Context) -> Result<Option<Delivered>, Failure> {
        context.ports.broker.next_entry(context.config.pull_wait).await
    }
}

/// Handles a ledger message that is no valid entry. It blocks the subject of a result, so it is removed and its task is done again. A
/// message of a newer program is left for a node of that version.
async fn refuse(
    context: &Context,
    delivery: &dyn Delivery,
    refused: Refused,
) -> Result<Settlement, Failure> {
    let ports = &context.ports;
    let (failure, settlement) = match refused {
        Refused::Newer(failure) => (failure, Settlement::HandBack(retry::NEWER_WAIT)),
        Refused::Contradicting(failure) | Refused::Unreadable(failure) => {
            ports.broker.remove(delivery.stream(), delivery.sequence()).await?;
            (failure, Settlement::Ack)
        }
    };
    ports.environment.emit(Event::StageFault { stage: Entries::NAME, failure });
    Ok(settlement)
}
