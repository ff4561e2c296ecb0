//! Decides with every demand of the leader.

use std::time::Duration;

use jetreel_domain::scale::call::Call;
use jetreel_domain::scale::demand::Demand;
use jetreel_domain::scale::scaler::{self, Memory, Wanted};
use jetreel_domain::scale::wish::{RENEWED_SECONDS, Wish};
use jetreel_domain::upkeep::presence;
use jetreel_domain::words::failure::Failure;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::args::Scaling;
use super::follow::follow;
use crate::config::Context;
use crate::event::{Event, Scaled};

/// Messages of the actor.
#[derive(Debug)]
pub(super) enum Message {
    /// There is another demand, or none any more, or the node drains.
    Look,
    /// This node has not led for so long that another one decides.
    Rest,
}

/// What the actor remembers.
pub(super) struct State {
    context: Context,
    scaling: Scaling,
    demand: watch::Receiver<Option<Demand>>,
    /// `None` while this node does not lead.
    memory: Option<Memory>,
    /// The wish that was written last, and when.
    told: Option<(Wish, Instant)>,
    rest: Option<AbortHandle>,
}

/// The actor.
pub(super) struct Scaler;

impl Actor for Scaler {
    type Msg = Message;
    type State = State;
    type Arguments = (Context, Scaling);

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        (context, scaling): Self::Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let demand = scaling.args.demand.subscribe();
        follow(demand.clone(), context.drain.clone(), myself.clone(), || Message::Look);
        myself.cast(Message::Look)?;
        Ok(State { context, scaling, demand, memory: None, told: None, rest: None })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        if state.context.drain.is_cancelled() {
            myself.stop(None);
            return Ok(());
        }
        match message {
            Message::Look => {
                let demand = state.demand.borrow_and_update().clone();
                match demand {
                    Some(demand) => state.decide(&demand).await,
                    None => state.retire(&myself),
                }
            }
            Message::Rest => {
                let Some(locals) = &state.scaling.args.locals else { return Ok(()) };
                state.scaling.target.send_replace(locals.bounds.of_wanted(0));
            }
        }
        Ok(())
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.stay();
    }
}

impl State {
    async fn decide(&mut self, demand: &Demand) {
        self.stay();
        let begins = self.memory.is_none();
        let memory = match self.memory.take() {
            Some(memory) => memory,
            None => Memory::new(demand.now_seconds, self.nodes_at_first().await),
        };
        let previous = memory.nodes();
        let args = &self.scaling.args;
        let (wanted, memory) = scaler::decide(&args.policy, demand, memory);
        self.memory = Some(memory);
        self.emit(Scaled::Decided { wanted: wanted.clone(), previous });
        if begins || wanted.nodes != previous {
            let names = (self.context.ports.environment.uuid(), self.context.config.node.clone());
            let call = Call::about(&wanted, demand, previous, names);
            self.scaling.call.send_replace(Some(call));
        }
        if let Some(locals) = &args.locals {
            let target = locals.bounds.of_wanted(wanted.nodes);
            self.scaling.target.send_if_modified(|old| std::mem::replace(old, target) != target);
        }
        self.tell(&wanted).await;
    }

    /// Nodes of which a new leader believes that they are there: those that were wanted last, else those that report themselves.
    async fn nodes_at_first(&self) -> u32 {
        match self.scaling.args.wishes.wish().await {
            Ok(Some(found)) => return found.value.nodes,
            Ok(None) => {}
            Err(failure) => self.fault(failure),
        }
        let interval = presence::interval(self.context.config.reconciler.build_seconds);
        let interval = interval.as_secs() as i64;
        u32::try_from(self.context.peers().encoders(interval)).unwrap_or(u32::MAX)
    }

    /// Writes the wish where every node can read it. If that fails, the next demand writes it.
    async fn tell(&mut self, wanted: &Wanted) {
        let decided_by = self.context.config.node.clone();
        let wish = Wish { v: 1, nodes: wanted.nodes, slots: wanted.slots, decided_by };
        let known = self.told.as_ref().is_some_and(|(told, at)| {
            *told == wish && at.elapsed() < Duration::from_secs(RENEWED_SECONDS)
        });
        if known {
            return;
        }
        match self.scaling.args.wishes.tell_wish(&wish).await {
            Ok(()) => self.told = Some((wish, Instant::now())),
            Err(failure) => self.fault(failure),
        }
    }

    /// This node does not lead any more. Its node processes stay for a while: it may lead again soon.
    fn retire(&mut self, myself: &ActorRef<Message>) {
        if self.memory.take().is_none() {
            return;
        }
        self.told = None;
        self.scaling.call.send_replace(None);
        self.emit(Scaled::Retired);
        let pause = Duration::from_secs_f64(self.scaling.args.policy.stable_seconds);
        self.stay();
        let rest = myself.send_after(pause, || Message::Rest);
        self.rest = Some(rest.abort_handle());
    }

    fn stay(&mut self) {
        if let Some(rest) = self.rest.take() {
            rest.abort();
        }
    }

    fn emit(&self, what: Scaled) {
        self.context.ports.environment.emit(Event::Scaled(what));
    }

    fn fault(&self, failure: Failure) {
        self.context.ports.environment.emit(Event::StageFault { stage: "scaler", failure });
    }
}
