//! The worker of every stage: pulls a message, renews its lease while the stage works on it, and settles it.
//!
//! ```text
//! gate ─► pull ─► lease ─► take ─► settle ─┐
//!   ▲                        └─ trouble ─► pause
//!   └──────────────────────────────────────┘
//! ```
//! Invariants: a worker has one message in hand; it pulls nothing while the node drains or its breaker is open; its mailbox holds one
//! message of its own.
//!
//! A stage is defined by its [`Inbox`]. Nothing here names a stage.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::words::failure::Failure;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SpawnErr};

use crate::config::Context;
use crate::event::Event;
use crate::lease::InHand;
use crate::ports::{Delivered, Delivery};
use crate::settle::Settlement;

/// How a stage processes the messages of one of its inboxes.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Name of the stage in logs and metrics.
    const NAME: &'static str;
    /// Whether its failures are judged here: the store may fail for one object and work for others.
    const JUDGED: bool = true;

    /// Works on a delivery while its lease is renewed. Long work must end when the delivery is lost.
    ///
    /// # Errors
    /// The delivery could not be processed: see [`Handler::not_taken`].
    fn take(
        &mut self,
        context: &Context,
        hand: &InHand,
    ) -> impl Future<Output = Result<Settlement, Failure>> + Send;

    /// Decides how to settle a delivery that could not be processed.
    fn not_taken(
        &self,
        context: &Context,
        delivery: &dyn Delivery,
        failure: &Failure,
    ) -> impl Future<Output = Settlement> + Send;
}

/// How an inbox relates to the node's breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breaker {
    /// The inbox waits while the breaker is open, and every failure counts.
    Counts,
    /// The inbox waits while the breaker is open. A failure counts unless its queue is missing.
    Watches,
    /// The inbox ignores the breaker.
    Ignores,
}

/// Source of a worker's messages.
pub(crate) trait Inbox: Handler {
    /// Pause after a failure, before the next pull.
    const PAUSE: Duration = Duration::from_secs(1);
    const BREAKER: Breaker = Breaker::Counts;
    /// Whether work in hand is dropped when the node drains. Otherwise it may finish within the grace.
    const DROPPED_ON_DRAIN: bool = false;

    /// Waits for the next delivery for a while.
    ///
    /// # Errors
    /// The broker failed.
    fn pull(
        &mut self,
        context: &Context,
    ) -> impl Future<Output = Result<Option<Delivered>, Failure>> + Send;
}

/// Messages of the worker.
#[derive(Debug)]
pub(crate) enum Message {
    /// Pull the next message.
    Pull,
}

/// Arguments of the worker.
pub(crate) struct Args<I> {
    pub(crate) context: Context,
    pub(crate) inbox: I,
}

/// The worker of an inbox.
pub(crate) struct Worker<I>(std::marker::PhantomData<fn() -> I>);

/// Starts a worker of an inbox.
pub(crate) async fn start<I: Inbox>(
    context: Context,
    inbox: I,
    root: ActorCell,
) -> Result<ActorId, SpawnErr> {
    let worker = Worker(std::marker::PhantomData);
    Ok(Actor::spawn_linked(None, worker, Args { context, inbox }, root).await?.0.get_id())
}

impl<I: Inbox> Actor for Worker<I> {
    type Msg = Message;
    type State = Args<I>;
    type Arguments = Args<I>;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        args: Args<I>,
    ) -> Result<Args<I>, ActorProcessingErr> {
        myself.cast(Message::Pull)?;
        Ok(args)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        args: &mut Args<I>,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Pull => {
                let drain = args.context.drain.clone();
                if drain.is_cancelled() {
                    myself.stop(None);
                    return Ok(());
                }
                tokio::select! {
                    biased;
                    () = drain.cancelled(), if I::DROPPED_ON_DRAIN => {}
                    () = args.turn() => {}
                }
                myself.cast(Message::Pull)?;
            }
        }
        Ok(())
    }
}

impl<I: Inbox> Args<I> {
    async fn turn(&mut self) {
        let Self { context, inbox } = self;
        let pulled = tokio::select! {
            biased;
            () = context.drain.cancelled() => return,
            pulled = next(context, inbox) => pulled,
        };
        let outcome = match pulled {
            Ok(Some(delivery)) => {
                let served = serve(context, inbox, Arc::from(delivery)).await;
                served.map(drop).inspect_err(|failure| match I::BREAKER {
                    Breaker::Counts => context.gate.on_failure(&context.ports, failure),
                    Breaker::Watches => context.gate.on_pull_failure(&context.ports, failure),
                    Breaker::Ignores => {}
                })
            }
            Ok(None) => Ok(()),
            Err(failure) => {
                if I::BREAKER != Breaker::Ignores {
                    context.gate.on_pull_failure(&context.ports, &failure);
                }
                Err(failure)
            }
        };
        if let Err(failure) = outcome {
            context.ports.environment.emit(Event::StageFault { stage: I::NAME, failure });
            tokio::select! {
                () = context.drain.cancelled() => {}
                () = tokio::time::sleep(I::PAUSE) => {}
            }
        }
    }
}

async fn next<I: Inbox>(context: &Context, inbox: &mut I) -> Result<Option<Delivered>, Failure> {
    if I::BREAKER != Breaker::Ignores {
        context.gate.pass(&context.ports).await;
    }
    inbox.pull(context).await
}

/// Works on one delivery under its lease, and settles it. Returns the settlement.
///
/// # Errors
/// The delivery could not be processed or settled. The broker delivers it again.
pub(crate) async fn serve<H: Handler>(
    context: &Context,
    handler: &mut H,
    delivery: Arc<dyn Delivery>,
) -> Result<Settlement, Failure> {
    let hand = InHand::new(context, H::NAME, delivery);
    let taken = match handler.take(context, &hand).await {
        Err(failure) if H::JUDGED => Err(context.gate.judge(&context.ports, failure, None).await),
        taken => taken,
    };
    let settlement = match &taken {
        Ok(settlement) => settlement.clone(),
        Err(failure) => handler.not_taken(context, hand.delivery(), failure).await,
    };
    settlement.clone().tell(hand.let_go().as_ref()).await?;
    taken.map(|_| settlement)
}
