//! A slot that works on one task. It lives as long as the task is in hand.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::words::failure::Failure;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

use super::stage::Encode;
use crate::config::Context;
use crate::event::Event;
use crate::ports::{Delivered, Delivery};
use crate::settle::Settlement;
use crate::worker::{self, Handler as _};

/// Messages of a slot.
#[derive(Debug)]
pub(super) enum Message {
    /// Begin the task.
    Run,
}

/// Arguments of a slot.
pub(super) struct Args {
    pub(super) context: Context,
    /// Delivery of the task's message.
    pub(super) delivery: Delivered,
}

/// A slot's state.
pub(super) struct State {
    context: Context,
    delivery: Arc<dyn Delivery>,
    /// How the message was settled.
    settlement: Option<Settlement>,
}

/// The slot.
pub(super) struct Slot;

impl Actor for Slot {
    type Msg = Message;
    type State = State;
    type Arguments = Args;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        args: Args,
    ) -> Result<State, ActorProcessingErr> {
        myself.cast(Message::Run)?;
        let delivery = Arc::from(args.delivery);
        Ok(State { context: args.context, delivery, settlement: None })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Run => {
                match state.run(&myself).await {
                    Ok(settlement) => state.settlement = Some(settlement),
                    Err(failure) => {
                        let event = Event::StageFault { stage: Encode::NAME, failure };
                        state.context.ports.environment.emit(event);
                    }
                }
                myself.stop(None);
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Message>,
        event: SupervisionEvent,
        _: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            // A failed encoder stops answering, and the task fails on the missing answer.
            SupervisionEvent::ActorTerminated(..)
            | SupervisionEvent::ActorFailed(..)
            | SupervisionEvent::ActorStarted(_)
            | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl State {
    /// Delay with which the message was handed back; `None` if it was not.
    pub(super) fn handed_back(&self) -> Option<Duration> {
        match self.settlement {
            Some(Settlement::HandBack(after)) => Some(after),
            Some(Settlement::Ack | Settlement::Terminate(_) | Settlement::LetGo) | None => None,
        }
    }

    async fn run(&self, myself: &ActorRef<Message>) -> Result<Settlement, Failure> {
        let mut encode = Encode { slot: myself.get_cell() };
        let served = worker::serve(&self.context, &mut encode, Arc::clone(&self.delivery)).await;
        served.inspect_err(|failure| self.context.gate.on_failure(&self.context.ports, failure))
    }
}
