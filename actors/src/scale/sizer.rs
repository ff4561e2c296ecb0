//! Opens as many slots of this node as the scaler wants, within its cores and memory.
//!
//! Invariant: without a recent wish all slots are open. A lost scaler stops no work.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::scale::demand::Machine;
use jetreel_domain::scale::wish::{self, Freshness, Wish};
use jetreel_domain::upkeep::presence;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;

use super::args::Room;
use crate::config::Context;
use crate::event::{Event, Scaled};
use crate::ports::Wishes;

/// Pause between two looks at the wish.
const PAUSE: Duration = Duration::from_secs(5);

/// Messages of the actor.
#[derive(Debug)]
pub(super) enum Message {
    /// Read the wish.
    Look,
}

/// What the actor knows.
pub(super) struct State {
    context: Context,
    room: Room,
    wishes: Arc<dyn Wishes>,
    freshness: Freshness,
    started: Instant,
}

/// The actor.
pub(super) struct Sizer;

impl Actor for Sizer {
    type Msg = Message;
    type State = State;
    type Arguments = (Context, Room, Arc<dyn Wishes>);

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        (context, room, wishes): Self::Arguments,
    ) -> Result<State, ActorProcessingErr> {
        myself.cast(Message::Look)?;
        let freshness = Freshness::default();
        Ok(State { context, room, wishes, freshness, started: Instant::now() })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Look => {
                let drain = state.context.drain.clone();
                tokio::select! {
                    biased;
                    () = drain.cancelled() => {}
                    () = state.look() => {}
                }
                if drain.is_cancelled() {
                    myself.stop(None);
                    return Ok(());
                }
                tokio::spawn(async move {
                    tokio::select! {
                        () = drain.cancelled() => {}
                        () = tokio::time::sleep(PAUSE) => {}
                    }
                    if myself.cast(Message::Look).is_err() {
                        tracing::debug!("the sizer of slots ended before its next look");
                    }
                });
            }
        }
        Ok(())
    }
}

impl State {
    async fn look(&mut self) {
        let now = self.started.elapsed().as_secs();
        let open = match self.wishes.wish().await {
            Ok(Some(found)) if self.freshness.is_fresh(found.revision, now) => {
                self.share_of(&found.value)
            }
            Ok(Some(_) | None) => self.context.config.slots,
            // The next look decides.
            Err(failure) => {
                let event = Event::StageFault { stage: "scaler", failure };
                self.context.ports.environment.emit(event);
                return;
            }
        };
        if self.context.slots.resize(open) {
            self.context.ports.environment.emit(Event::Scaled(Scaled::SlotsOpen { open }));
        }
    }

    fn share_of(&self, wish: &Wish) -> usize {
        let Context { config, slots, busy, .. } = &self.context;
        let whole = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let machine = Machine {
            cores: self.room.cores,
            memory_bytes: self.room.memory_bytes,
            cores_per_slot: 1,
            memory_per_slot_bytes: slots.largest_budget(),
        };
        let interval = presence::interval(config.reconciler.build_seconds).as_secs() as i64;
        let nodes = whole(self.context.peers().encoders(interval));
        wish::slots_open(wish, &machine, nodes, whole(*busy.borrow()), config.slots)
    }
}
