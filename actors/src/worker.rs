//! The worker of every stage: pulls a message, keeps its lease while it is worked on, and settles it.
//!
//! ```text
//! gate ─► pull ─► lease ─► take ─► settle ─┐
//!   ▲                        └─ trouble ─► pause
//!   └──────────────────────────────────────┘
//! ```
//! Invariants: a worker has one message in hand; it pulls nothing while the node drains or its breaker is open; its mailbox holds one
//! message of its own.
//!
//! What a stage is stands in its [`Inbox`]; nothing here knows any of them.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::words::failure::Failure;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SpawnErr};

use crate::config::Context;
use crate::event::Event;
use crate::lease::InHand;
use crate::ports::{Delivered, Delivery};
use crate::settle::Settlement;

/// What a stage does with a message of one of its inboxes.
pub(crate) trait Handler: Send + Sync + 'static {
    /// The word of the stage in logs and numbers.
    const NAME: &'static str;
    /// What it fails at is judged here: the store may be fine for others.
    const JUDGED: bool = true;

    /// Works on a delivery. Its lease is kept meanwhile; what takes long ends when the delivery is lost.
    ///
    /// # Errors
    /// When it could not be worked on: see [`Handler::not_taken`].
    fn take(
        &mut self,
        context: &Context,
        hand: &InHand,
    ) -> impl Future<Output = Result<Settlement, Failure>> + Send;

    /// Decides about a delivery that could not be worked on.
    fn not_taken(
        &self,
        context: &Context,
        delivery: &dyn Delivery,
        failure: &Failure,
    ) -> impl Future<Output = Settlement> + Send;
}

/// How an inbox takes part in the node's breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breaker {
    /// It waits for the breaker, and every failure counts.
    Counts,
    /// It waits for the breaker, and a failure counts unless its queue is missing.
    Watches,
    /// It has nothing to do with it.
    Ignores,
}

/// Where a worker takes its messages from.
pub(crate) trait Inbox: Handler {
    /// Pause after trouble, before the next pull.
    const PAUSE: Duration = Duration::from_secs(1);
    /// How it takes part in the node's breaker.
    const BREAKER: Breaker = Breaker::Counts;
    /// Work in hand is dropped when the node drains, instead of being finished within its grace.
    const DROPPED_ON_DRAIN: bool = false;

    /// The next delivery; waits for one for a while.
    ///
    /// # Errors
    /// When the broker fails.
    fn pull(
        &mut self,
        context: &Context,
    ) -> impl Future<Output = Result<Option<Delivered>, Failure>> + Send;
}

/// What the worker is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// Take the next message.
    Pull,
}

/// What the worker needs.
pub(crate) struct Args<I> {
    /// The node.
    pub(crate) context: Context,
    /// Where its messages come from.
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
            () = context.drain.cancelled() => return,
            pulled = next(context, inbox) => pulled,
        };
        let outcome = match pulled {
            Ok(Some(delivery)) => {
                let served = serve(context, inbox, Arc::from(delivery)).await;
                served.inspect_err(|failure| match I::BREAKER {
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

/// Works on one delivery under its lease, and settles it.
///
/// # Errors
/// When it could not be worked on, or not be settled; it comes again.
pub(crate) async fn serve<H: Handler>(
    context: &Context,
    handler: &mut H,
    delivery: Arc<dyn Delivery>,
) -> Result<(), Failure> {
    let hand = InHand::new(context, H::NAME, delivery);
    let taken = match handler.take(context, &hand).await {
        Err(failure) if H::JUDGED => Err(context.gate.judge(&context.ports, failure, None).await),
        taken => taken,
    };
    let settlement = match &taken {
        Ok(settlement) => settlement.clone(),
        Err(failure) => handler.not_taken(context, hand.delivery(), failure).await,
    };
    settlement.tell(hand.let_go().as_ref()).await?;
    taken.map(drop)
}
