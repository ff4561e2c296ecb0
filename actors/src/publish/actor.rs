//! One worker of the publisher: takes ledger entries, or requests to evaluate an order, and evaluates.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::failure::{Failure, Severity};
use jetreel_domain::ledger::Entry;
use jetreel_domain::retry::{self, Stage};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::finish::Writer;
use super::views::Views;
use super::{evaluate, evaluation};
use crate::config::Context;
use crate::crash;
use crate::event::Event;
use crate::intake::{self, Refused};
use crate::ports::{Delivered, Delivery};
use crate::settle::{self, Settlement};

/// Pause after trouble, before the next pull and before the message is delivered again.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);

/// What the worker is told.
#[derive(Debug)]
pub enum Message {
    /// Take the next message.
    Pull,
}

/// Which messages a worker takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inbox {
    /// Ledger entries.
    Entries,
    /// Requests to evaluate.
    Evaluations,
}

/// What the worker needs.
#[derive(Clone)]
pub struct Args {
    /// The node.
    pub context: Context,
    /// Shared with the other workers of the node.
    pub views: Arc<Views>,
    /// Which messages it takes.
    pub inbox: Inbox,
}

/// The worker.
pub struct Publisher;

impl Actor for Publisher {
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
                if args.context.drain.is_cancelled() {
                    myself.stop(None);
                    return Ok(());
                }
                args.pull().await;
                myself.cast(Message::Pull)?;
            }
        }
        Ok(())
    }
}

impl Args {
    async fn pull(&self) {
        let context = &self.context;
        let pulled = tokio::select! {
            () = context.drain.cancelled() => return,
            pulled = self.next() => pulled,
        };
        let outcome = match pulled {
            Ok(Some(delivery)) => {
                let taken = self.take(delivery).await;
                taken.inspect_err(|failure| context.gate.on_failure(&context.ports, failure))
            }
            Ok(None) => Ok(()),
            Err(failure) => {
                context.gate.on_pull_failure(&context.ports, &failure);
                Err(failure)
            }
        };
        if let Err(failure) = outcome {
            context.ports.environment.emit(Event::StageFault { stage: "publish", failure });
            tokio::select! {
                () = context.drain.cancelled() => {}
                () = tokio::time::sleep(TROUBLE_PAUSE) => {}
            }
        }
    }

    async fn next(&self) -> Result<Option<Delivered>, Failure> {
        self.context.gate.pass(&self.context.ports).await;
        let (broker, wait) = (&self.context.ports.broker, self.context.config.pull_wait);
        match self.inbox {
            Inbox::Entries => broker.next_entry(wait).await,
            Inbox::Evaluations => broker.next_evaluation(wait).await,
        }
    }

    async fn take(&self, delivery: Delivered) -> Result<(), Failure> {
        let delivery: Arc<dyn Delivery> = Arc::from(delivery);
        let done = match self.inbox {
            Inbox::Entries => self.entry(delivery.as_ref()).await,
            Inbox::Evaluations => evaluation::take(&self.context, &self.views, &delivery).await,
        };
        match done {
            Ok(settlement) => {
                crash::point("publish-before-ack");
                settlement.tell(delivery.as_ref()).await
            }
            Err(failure) => Err(self.not_done(delivery.as_ref(), failure).await?),
        }
    }

    /// Gives the failure as it was taken.
    async fn not_done(
        &self,
        delivery: &dyn Delivery,
        failure: Failure,
    ) -> Result<Failure, Failure> {
        let context = &self.context;
        match self.inbox {
            // Only a dependency's trouble keeps an entry.
            Inbox::Entries => {
                delivery.hand_back(TROUBLE_PAUSE).await?;
                Ok(failure)
            }
            Inbox::Evaluations => {
                let failure = context.gate.judge(&context.ports, failure, None).await;
                settle::unclaimed(context, Stage::Publish, delivery, &failure).await?;
                Ok(failure)
            }
        }
    }

    /// A message in the ledger that is no entry. It stands where a result belongs, for good: so it is removed, and its task is done
    /// again. What only a newer program reads is left to one.
    async fn refuse(
        &self,
        delivery: &dyn Delivery,
        refused: Refused,
    ) -> Result<Settlement, Failure> {
        let ports = &self.context.ports;
        let (failure, settlement) = match refused {
            Refused::Newer(failure) => (failure, Settlement::HandBack(retry::NEWER_WAIT)),
            Refused::Contradicting(failure) | Refused::Unreadable(failure) => {
                ports.broker.remove(delivery.stream(), delivery.sequence()).await?;
                (failure, Settlement::Ack)
            }
        };
        ports.environment.emit(Event::StageFault { stage: "publish", failure });
        Ok(settlement)
    }

    /// A ledger entry: its order is looked at. An order in trouble of its own goes on under its own name, where attempts are
    /// counted; entries only say that something is new.
    async fn entry(&self, delivery: &dyn Delivery) -> Result<Settlement, Failure> {
        let entry: Entry = match intake::read(delivery.subject(), delivery.body()) {
            Ok(entry) => entry,
            Err(refused) => return self.refuse(delivery, refused).await,
        };
        self.views.meet(&entry, delivery.sequence()).await;
        // Of two publishers that see the last entries, one is enough; a message that comes again is that of one who died.
        let writer = if delivery.delivered() > 1 { Writer::Anyone } else { Writer::Mover };
        match evaluate::order(&self.context, &self.views, &entry.order, writer).await {
            Ok(()) => Ok(Settlement::Ack),
            Err(failure) => {
                let failure = self.context.gate.judge(&self.context.ports, failure, None).await;
                if failure.severity == Severity::DependencyFault {
                    return Err(failure);
                }
                self.context.ports.broker.evaluate(&entry.order).await?;
                let event = Event::StageFault { stage: "publish", failure };
                self.context.ports.environment.emit(event);
                Ok(Settlement::Ack)
            }
        }
    }
}
