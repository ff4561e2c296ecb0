//! Follows the states of all videos, and evaluates the orders whose turn has come. Moves the queued tasks of orders that changed their lane.
//!
//! Writes are overheard, which costs no request and may miss some. Every few seconds all states that changed since are read. So a missed
//! write delays a turn by as much. A node that plans or shows orders and does not publish follows the states as well, and evaluates nothing.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::id::OrderId;
use jetreel_domain::order::admission::Admission;
use jetreel_domain::order::line::Row;
use jetreel_domain::words::failure::{Failure, Severity};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;

use super::evaluate::{self, Cause};
use crate::config::Context;
use crate::event::Event;
use crate::lanes;
use crate::ports::Overheard;
use crate::releases;
use crate::views::Views;

/// Longest pause between two reads of all changes.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Writes that are entered before an order is evaluated.
const WRITES_AT_ONCE: usize = 256;

/// Messages of the follower.
#[derive(Debug)]
pub(crate) enum Message {
    /// Wait for the next write, or evaluate the next order.
    Next,
}

/// Arguments of the follower.
pub(crate) struct Args {
    pub(crate) context: Context,
    /// Shared with the node's workers of the stage.
    pub(crate) views: Arc<Views>,
}

/// Place in the bucket, and orders to evaluate.
pub(crate) struct State {
    context: Context,
    views: Arc<Views>,
    heard: Option<Box<dyn Overheard>>,
    read: u64,
    /// When the bucket that was read was created, in nanoseconds since the Unix epoch.
    born: i64,
    due: VecDeque<OrderId>,
    /// Orders whose queued tasks may be in another lane than the order.
    moves: VecDeque<OrderId>,
    look_at: Instant,
}

/// The follower.
pub(crate) struct Follower;

impl Actor for Follower {
    type Msg = Message;
    type State = State;
    type Arguments = Args;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        Args { context, views }: Args,
    ) -> Result<State, ActorProcessingErr> {
        myself.cast(Message::Next)?;
        let (due, moves, look_at) = (VecDeque::new(), VecDeque::new(), Instant::now());
        Ok(State { context, views, heard: None, read: 0, born: 0, due, moves, look_at })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Next => {
                let drain = state.context.drain.clone();
                let drained = tokio::select! {
                    biased;
                    () = drain.cancelled() => true,
                    () = state.listen() => false,
                };
                if drained {
                    myself.stop(None);
                } else {
                    state.release().await;
                    myself.cast(Message::Next)?;
                }
            }
        }
        Ok(())
    }
}

impl State {
    async fn listen(&mut self) {
        if Instant::now() >= self.look_at {
            let pause = LOOK_EVERY.mul_f64(0.5 + self.context.ports.environment.chance() / 2.0);
            self.look_at = Instant::now() + pause;
            if let Err(failure) = self.look().await {
                self.emit(failure);
            }
        }
        self.hear().await;
    }

    /// Moves the tasks of the next order that changed its lane, and evaluates the next order.
    async fn release(&mut self) {
        if self.context.gate.is_open() {
            return;
        }
        if let Some(order) = self.moves.pop_front() {
            self.change_lane(order).await;
        }
        if let Some(order) = self.due.pop_front() {
            self.evaluate(order).await;
        }
    }

    /// Enters the writes that were overheard. Waits for one if nothing else is to be done.
    async fn hear(&mut self) {
        let idle = self.due.is_empty() && self.moves.is_empty() || self.context.gate.is_open();
        let mut until = if idle { self.look_at } else { Instant::now() };
        for _ in 0..WRITES_AT_ONCE {
            let Some(heard) = &mut self.heard else {
                tokio::time::sleep_until(until).await;
                return;
            };
            let Ok(video) = tokio::time::timeout_at(until, heard.next()).await else { return };
            let slots = releases::cluster_slots(&self.context);
            let (risen, other_lane) = {
                let mut line = self.context.line();
                line.enter(&video);
                (line.look(slots), line.take_other_lane())
            };
            self.take_up(risen);
            self.take_over_lanes(other_lane);
            until = Instant::now();
        }
    }

    /// Takes up the orders that are this node's to evaluate.
    fn take_up(&mut self, orders: Vec<OrderId>) {
        let context = self.context.clone();
        let mine = orders.into_iter().filter(|order| releases::is_mine(&context, order));
        self.queue(mine);
    }

    /// Takes up the orders of which this node may have released tasks into their old lane, and those that are its own to look after.
    fn take_over_lanes(&mut self, orders: BTreeSet<OrderId>) {
        if !self.context.config.publishes() {
            return;
        }
        for order in orders {
            let concerns = self.views.knows(&order) || releases::is_mine(&self.context, &order);
            if concerns && !self.moves.contains(&order) {
                self.moves.push_back(order);
            }
        }
    }

    fn queue(&mut self, orders: impl IntoIterator<Item = OrderId>) {
        if !self.context.config.publishes() {
            return;
        }
        for order in orders {
            if !self.due.contains(&order) {
                self.due.push_back(order);
            }
        }
    }

    /// Reads all changes, and looks for rows at rest.
    async fn look(&mut self) -> Result<(), Failure> {
        if self.heard.is_none() {
            self.heard = Some(self.context.ports.broker.overhear().await?);
        }
        self.read_on().await?;
        let slots = releases::cluster_slots(&self.context);
        let (risen, missed, other_lane, stands) = {
            let mut line = self.context.line();
            let risen = line.look(slots);
            let missed = if line.set_ready() { line.admitted() } else { Vec::new() };
            let stands = Row::all().map(|row| line.line().length(row) > 0);
            (risen, missed, line.take_other_lane(), stands)
        };
        self.take_up(risen);
        self.queue(missed);
        self.take_over_lanes(other_lane);
        let idle = !stands.contains(&true) || !self.context.config.publishes();
        if idle || self.context.gate.is_open() {
            return Ok(());
        }
        let waiting = self.context.ports.broker.waiting_tasks().await?;
        let scarce = releases::scarce(&self.context);
        for row in Row::all() {
            let waiting = scarce.waiting(row, &waiting);
            let context = self.context.clone();
            let mine = |order: &OrderId, count| releases::is_among(&context, order, count);
            let again = self.context.line().ask_again(row, waiting, mine);
            self.queue(again);
        }
        Ok(())
    }

    async fn read_on(&mut self) -> Result<(), Failure> {
        loop {
            let changes = self.context.ports.broker.changes(self.read).await?;
            if changes.extent.is_another(self.born, self.read) {
                (self.read, self.born) = (0, 0);
                *self.context.line() = Admission::default();
                continue;
            }
            self.born = changes.extent.born;
            let mut line = self.context.line();
            for changed in changes.changed {
                match changed.state {
                    Ok(Some(video)) => line.enter(&video),
                    // Nobody releases tasks of a state that cannot be read.
                    Ok(None) | Err(_) => line.remove(&changed.id),
                }
            }
            self.read = changes.read;
            if !changes.more {
                return Ok(());
            }
        }
    }

    async fn evaluate(&mut self, order: OrderId) {
        let context = &self.context;
        let evaluated = evaluate::order(context, &self.views, &order, Cause::Turn).await;
        let Err(failure) = evaluated else { return };
        let failure = context.gate.judge(&context.ports, failure, None).await;
        let later = if failure.severity == Severity::DependencyFault {
            true
        } else {
            // Its attempts are counted there.
            context.ports.broker.evaluate(&order).await.is_err()
        };
        self.emit(failure);
        if later {
            self.due.push_back(order);
        }
    }

    /// Moves the queued tasks of an order to its lane. An evaluation that began with an older state has ended before, and the next one reads
    /// the state.
    async fn change_lane(&mut self, order: OrderId) {
        let context = &self.context;
        if self.views.knows(&order) {
            self.views.of(&order).lock().await.unsee();
        }
        let Err(failure) = lanes::settle(&context.ports, &order).await else { return };
        let failure = context.gate.judge(&context.ports, failure, None).await;
        if failure.severity == Severity::DependencyFault {
            self.moves.push_back(order);
        }
        self.emit(failure);
    }

    fn emit(&self, failure: Failure) {
        let event = Event::StageFault { stage: Stage::Publish.as_str(), failure };
        self.context.ports.environment.emit(event);
    }
}
