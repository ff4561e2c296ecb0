//! One worker of the publisher: takes ledger entries, or requests to evaluate an order, and evaluates.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::failure::{Failure, Severity};
use jetreel_domain::id::OrderId;
use jetreel_domain::ledger::Entry;
use jetreel_domain::message::Evaluate;
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::evaluate;
use super::views::Views;
use crate::config::Context;
use crate::event::Event;
use crate::ports::Delivered;

/// Pause after trouble, before the next pull and before the message is delivered again.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);

/// Evaluations of an order that may end with a fault of its own before it counts as poison: tried for ever, it would neither end
/// nor tell anybody.
const DELIVERIES_MAX: u64 = 4;

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
            Ok(Some(delivery)) => self.take(delivery).await,
            Ok(None) => Ok(()),
            Err(failure) => Err(failure),
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
        let (broker, wait) = (&self.context.ports.broker, self.context.config.pull_wait);
        match self.inbox {
            Inbox::Entries => broker.next_entry(wait).await,
            Inbox::Evaluations => broker.next_evaluation(wait).await,
        }
    }

    async fn take(&self, delivery: Delivered) -> Result<(), Failure> {
        let Some(order) = self.order_of(delivery.body()) else {
            return delivery.terminate("bad-message").await;
        };
        match evaluate::order(&self.context, &self.views, &order).await {
            Ok(()) => delivery.ack().await,
            Err(failure) if is_final(&failure, delivery.delivered()) => {
                evaluate::bury(&self.context, &order, delivery.sequence(), &failure).await?;
                delivery.ack().await?;
                Err(failure)
            }
            Err(failure) => {
                delivery.hand_back(TROUBLE_PAUSE).await?;
                Err(failure)
            }
        }
    }

    fn order_of(&self, body: &[u8]) -> Option<OrderId> {
        match self.inbox {
            Inbox::Entries => rmp_serde::from_slice::<Entry>(body).ok().map(|entry| entry.order),
            Inbox::Evaluations => rmp_serde::from_slice::<Evaluate>(body).ok().map(|m| m.order),
        }
    }
}

fn is_final(failure: &Failure, delivered: u64) -> bool {
    match failure.severity {
        Severity::Permanent => true,
        Severity::TaskFault => delivered >= DELIVERIES_MAX,
        Severity::DependencyFault => false,
    }
}
