//! The inbox of ledger entries: each says that something is new of its order.

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
use crate::ports::{Delivered, Delivery};
use crate::settle::Settlement;
use crate::worker::{Handler, Inbox};

/// Before an entry that could not be taken is delivered again.
const AGAIN_WAIT: Duration = Duration::from_secs(1);

/// The inbox.
pub(crate) struct Entries {
    /// Shared with the node's other worker of the stage.
    pub(crate) views: Arc<Views>,
}

impl Handler for Entries {
    const NAME: &'static str = Stage::Publish.as_str();

    /// Looks at the order of an entry. An order in trouble of its own goes on under its own name, where attempts are counted; entries
    /// only say that something is new.
    async fn take(&mut self, context: &Context, hand: &InHand) -> Result<Settlement, Failure> {
        let delivery = hand.delivery();
        let entry: Entry = match intake::read(delivery.subject(), delivery.body()) {
            Ok(entry) => entry,
            Err(refused) => return refuse(context, delivery, refused).await,
        };
        self.views.meet(&entry, delivery.sequence()).await;
        // Of two publishers that see the last entries, one is enough; a message that comes again is that of one who died.
        let writer = if delivery.delivered() > 1 { Writer::Anyone } else { Writer::Mover };
        let evaluated = evaluate::order(context, &self.views, &entry.order, writer);
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

    /// Only a dependency's trouble keeps an entry.
    async fn not_taken(&self, _: &Context, _: &dyn Delivery, _: &Failure) -> Settlement {
        Settlement::HandBack(AGAIN_WAIT)
    }
}

impl Inbox for Entries {
    async fn pull(&mut self, context: &Context) -> Result<Option<Delivered>, Failure> {
        context.ports.broker.next_entry(context.config.pull_wait).await
    }
}

/// A message in the ledger that is no entry. It stands where a result belongs, for good: so it is removed, and its task is done
/// again. What only a newer program reads is left to one.
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
