//! The inbox of ledger entries. Each entry means that its order has something new.
//!
//! Entries are received in batches. Those of one order are evaluated together, orders side by side, and an order is evaluated again with
//! what was received meanwhile. So a slow order holds up no other.
//!
//! Invariant: every entry keeps its lease until its evaluation has ended. No more is pulled than there is room for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::{self, BoxFuture, FutureExt as _};
use futures::stream::FuturesUnordered;
use jetreel_domain::id::{OrderId, TaskId};
use jetreel_domain::order::ledger::Entry;
use jetreel_domain::order::stretch::Stretch;
use jetreel_domain::words::failure::Failure;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SpawnErr};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::round::{self, Held, NAME, Round};
use crate::config::Context;
use crate::event::Event;
use crate::intake;
use crate::lease::InHand;
use crate::ports::Delivered;
use crate::views::Views;

/// Entries of one pull.
const PULLED_MAX: usize = 64;
/// Entries in hand at once.
const IN_HAND_MAX: usize = 256;
/// Orders evaluated at once. Bounded so that a node does not flood a slow store.
const ORDERS_MAX: usize = 16;
/// Pause after a failure, before the next pull.
const PAUSE: Duration = Duration::from_secs(1);

/// Messages of the inbox.
#[derive(Debug)]
pub(crate) enum Message {
    /// Go on.
    Turn,
}

/// The inbox.
pub(crate) struct Entries;

/// Entries in hand and what is done with them.
pub(crate) struct State {
    context: Context,
    /// Shared with the node's other workers of its orders.
    views: Arc<Views>,
    /// What was received without a gap.
    stretch: Stretch,
    /// Entries that wait for their evaluation.
    waiting: BTreeMap<OrderId, Vec<Held>>,
    /// Orders with such entries that are not being evaluated, oldest first.
    next: VecDeque<OrderId>,
    busy: BTreeSet<OrderId>,
    in_hand: usize,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
    pull: Option<BoxFuture<'static, Result<(), Failure>>>,
    pulled: UnboundedSender<Delivered>,
    arrived: UnboundedReceiver<Delivered>,
    hearing: BoxFuture<'static, ()>,
    heard: UnboundedReceiver<(OrderId, TaskId)>,
    /// Whether something failed since the last pull.
    failed: bool,
}

/// An evaluation that ended.
struct Done {
    order: Option<OrderId>,
    entries: usize,
    round: Round,
}

/// Starts the inbox.
pub(crate) async fn start(
    context: Context,
    views: Arc<Views>,
    root: ActorCell,
) -> Result<ActorId, SpawnErr> {
    Ok(Actor::spawn_linked(None, Entries, (context, views), root).await?.0.get_id())
}

impl Actor for Entries {
    type Msg = Message;
    type State = State;
    type Arguments = (Context, Arc<Views>);

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        (context, views): (Context, Arc<Views>),
    ) -> Result<State, ActorProcessingErr> {
        myself.cast(Message::Turn)?;
        let (pulled, arrived) = mpsc::unbounded_channel();
        let (told, heard) = mpsc::unbounded_channel();
        let broker = Arc::clone(&context.ports.broker);
        let hearing = async move {
            broker.hear_releases(&told).await;
            // Hints are not heard any more. Work goes on without them.
            future::pending().await
        };
        Ok(State {
            context,
            views,
            stretch: Stretch::default(),
            waiting: BTreeMap::new(),
            next: VecDeque::new(),
            busy: BTreeSet::new(),
            in_hand: 0,
            work: FuturesUnordered::new(),
            pull: None,
            pulled,
            arrived,
            hearing: hearing.boxed(),
            heard,
            failed: false,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Turn if state.has_ended() => myself.stop(None),
            Message::Turn => {
                state.turn().await;
                myself.cast(Message::Turn)?;
            }
        }
        Ok(())
    }
}

impl State {
    fn drains(&self) -> bool {
        self.context.drain.is_cancelled()
    }

    fn has_ended(&self) -> bool {
        self.drains() && self.in_hand == 0 && self.arrived.is_empty()
    }

    /// Takes in what has arrived, starts what can start, and waits for the next thing to happen.
    async fn turn(&mut self) {
        // What has arrived already is evaluated together.
        while let Ok(delivered) = self.arrived.try_recv() {
            self.take(delivered);
        }
        while let Ok((order, task)) = self.heard.try_recv() {
            self.views.hear(&order, task);
        }
        self.evaluate();
        self.pull();
        if self.has_ended() {
            return;
        }
        let drain = self.context.drain.clone();
        let pull = self.pull.as_mut();
        let pulling = pull.is_some();
        let pull = async {
            match pull {
                Some(pull) => pull.await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = drain.cancelled(), if pulling => self.pull = None,
            () = &mut self.hearing => {}
            Some((order, task)) = self.heard.recv() => self.views.hear(&order, task),
            Some(delivered) = self.arrived.recv() => self.take(delivered),
            ended = pull => {
                self.pull = None;
                if let Err(failure) = ended {
                    self.context.gate.on_pull_failure(&self.context.ports, &failure);
                    self.report(failure);
                }
            }
            Some(done) = self.work.next(), if !self.work.is_empty() => self.end(done),
        }
    }

    /// Starts a pull, if none is open and there is room for all that it may bring.
    fn pull(&mut self) {
        if self.context.gate.is_open() {
            self.pull = None;
        }
        let room = self.in_hand + PULLED_MAX <= IN_HAND_MAX;
        if self.pull.is_some() || !room || self.drains() {
            return;
        }
        let (context, into) = (self.context.clone(), self.pulled.clone());
        let pause = if std::mem::take(&mut self.failed) { PAUSE } else { Duration::ZERO };
        let pull = async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            context.gate.pass(&context.ports).await;
            let wait = context.config.pull_wait;
            context.ports.broker.receive_entries(PULLED_MAX, wait, &into).await
        };
        self.pull = Some(pull.boxed());
    }

    /// Takes an entry in hand.
    fn take(&mut self, delivered: Delivered) {
        let hand = InHand::new(&self.context, NAME, Arc::from(delivered));
        let delivery = hand.delivery();
        let sequence = delivery.sequence();
        self.stretch.receive(sequence, delivery.delivered());
        self.views.receive(self.stretch.last());
        self.in_hand += 1;
        let entry: Entry = match intake::read(delivery.subject(), delivery.body()) {
            Ok(entry) => entry,
            Err(refused) => {
                let context = self.context.clone();
                let refuse = async move { round::refuse(&context, hand, refused).await };
                return self.work(None, 1, refuse);
            }
        };
        let order = entry.order.clone();
        if self.views.is_gone(&order, sequence) {
            return self.work(None, 1, async move { round::acknowledge(vec![hand]).await });
        }
        let held = Held { entry, hand };
        if let Some(waiting) = self.waiting.get_mut(&order) {
            waiting.push(held);
            return;
        }
        if !self.busy.contains(&order) {
            self.next.push_back(order.clone());
        }
        self.waiting.insert(order, vec![held]);
    }

    /// Starts evaluations.
    fn evaluate(&mut self) {
        while self.busy.len() < ORDERS_MAX {
            let Some(order) = self.next.pop_front() else { return };
            let Some(held) = self.waiting.remove(&order) else { continue };
            self.busy.insert(order.clone());
            let (context, views) = (self.context.clone(), Arc::clone(&self.views));
            let (stretch, entries, of) = (self.stretch, held.len(), order.clone());
            let evaluate =
                async move { round::evaluate(&context, &views, &order, held, stretch).await };
            self.work(Some(of), entries, evaluate);
        }
    }

    fn work(
        &self,
        order: Option<OrderId>,
        entries: usize,
        work: impl Future<Output = Round> + Send + 'static,
    ) {
        let done = async move { Done { order, entries, round: work.await } };
        self.work.push(done.boxed());
    }

    fn end(&mut self, Done { order, entries, round }: Done) {
        self.in_hand -= entries;
        if let Some(order) = order {
            self.busy.remove(&order);
            if self.waiting.contains_key(&order) {
                self.next.push_back(order);
            }
        }
        if !round.taken_in {
            // The view of the order may lack what was received.
            self.stretch = Stretch::default();
        }
        if let Err(failure) = round.ended {
            self.context.gate.on_failure(&self.context.ports, &failure);
            self.pull = None;
            self.report(failure);
        }
    }

    fn report(&mut self, failure: Failure) {
        self.failed = true;
        self.context.ports.environment.emit(Event::StageFault { stage: NAME, failure });
    }
}
