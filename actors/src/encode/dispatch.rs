//! Assigns tasks to free slots: lanes by weighted order, groups by urgency, one slot actor per task.
//!
//! Invariant: there are never more deliveries in hand than slots. A task is fetched only for a free slot, and the fetch never waits. The
//! dispatcher waits for hints outside of its mailbox.

use std::collections::BTreeMap;

use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::id::Group;
use jetreel_domain::order::lane::{self, Lane};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};

use super::slot::{self, Slot};
use crate::config::Context;
use crate::event::Event;
use crate::ports::Delivered;

/// Groups in the order in which a free slot prefers them: what playback needs, then what ends a job that has begun, then what begins another.
const PREFERENCE: [Group; 6] =
    [Group::First, Group::Audio, Group::Package, Group::Images, Group::Main, Group::Top];

/// Messages of the dispatcher.
#[derive(Debug)]
pub(crate) enum Message {
    /// Look for tasks. Sent when a slot is free, after a release, or after a while.
    Look,
    /// The wait for a hint ended.
    Hinted,
}

/// Slots and the groups of their tasks.
pub(crate) struct State {
    context: Context,
    busy: BTreeMap<ActorId, Group>,
    turn: u64,
    waiting: bool,
}

/// The dispatcher.
pub(crate) struct Dispatch;

impl Actor for Dispatch {
    type Msg = Message;
    type State = State;
    type Arguments = Context;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        context: Context,
    ) -> Result<State, ActorProcessingErr> {
        myself.cast(Message::Look)?;
        Ok(State { context, busy: BTreeMap::new(), turn: 0, waiting: false })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        if matches!(message, Message::Hinted) {
            state.waiting = false;
        }
        state.fill(&myself).await?;
        state.wait_for_hint(&myself);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(who, _, _)
            | SupervisionEvent::ActorFailed(who, _) => {
                // A slot that failed leaves its delivery unsettled. The broker delivers it again when the lease ends.
                if let Some(group) = state.busy.remove(&who.get_id()) {
                    state.report(group);
                }
                if state.busy.is_empty() && state.context.drain.is_cancelled() {
                    myself.stop(None);
                } else {
                    myself.cast(Message::Look)?;
                }
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl State {
    async fn fill(&mut self, myself: &ActorRef<Message>) -> Result<(), ActorProcessingErr> {
        while self.may_pull() && self.busy.len() < self.context.config.slots {
            let Some((group, delivery)) = self.find().await else { break };
            let args = slot::Args { context: self.context.clone(), delivery };
            let (slot, _) = Slot::spawn_linked(None, Slot, args, myself.get_cell()).await?;
            self.busy.insert(slot.get_id(), group);
            self.report(group);
        }
        if self.context.drain.is_cancelled() && self.busy.is_empty() {
            myself.stop(None);
        }
        Ok(())
    }

    fn may_pull(&self) -> bool {
        !self.context.drain.is_cancelled() && !self.context.gate.is_open()
    }

    /// The next task for a free slot.
    async fn find(&mut self) -> Option<(Group, Delivered)> {
        self.turn += 1;
        for lane in lane::turn(self.turn) {
            for group in PREFERENCE {
                if !self.may_take(lane, group) {
                    continue;
                }
                match self.context.ports.broker.next_task(lane, group).await {
                    Ok(Some(delivery)) => return Some((group, delivery)),
                    Ok(None) => {}
                    Err(failure) => {
                        self.context.gate.on_pull_failure(&self.context.ports, &failure);
                        let event = Event::StageFault { stage: Stage::Encode.as_str(), failure };
                        self.context.ports.environment.emit(event);
                        if self.context.gate.is_open() {
                            return None;
                        }
                    }
                }
            }
        }
        None
    }

    fn may_take(&self, lane: Lane, group: Group) -> bool {
        let config = &self.context.config;
        let free = config.slots.saturating_sub(self.busy.len());
        let reserved = if lane == Lane::High { 0 } else { config.slots_for_high };
        let limit = config.group_slots.get(&group).copied().unwrap_or(config.slots);
        free > reserved && self.busy_with(group) < limit
    }

    fn busy_with(&self, group: Group) -> usize {
        self.busy.values().filter(|busy| **busy == group).count()
    }

    fn report(&self, group: Group) {
        let busy = self.busy_with(group);
        self.context.ports.environment.emit(Event::SlotsBusy { group, busy });
    }

    fn wait_for_hint(&mut self, myself: &ActorRef<Message>) {
        if self.waiting || self.context.drain.is_cancelled() {
            return;
        }
        self.waiting = true;
        let (context, myself) = (self.context.clone(), myself.clone());
        // Jitter: one hint wakes every node. Without jitter all nodes would poll in the same order, and a handed-back task would return to
        // the same node.
        let wait = context.config.pull_wait.mul_f64(0.5 + context.ports.environment.chance() / 2.0);
        tokio::spawn(async move {
            let hint = async {
                if context.gate.is_open() {
                    context.gate.pass(&context.ports).await;
                } else {
                    context.ports.broker.task_hint(wait).await;
                }
            };
            tokio::select! {
                () = context.drain.cancelled() => {}
                () = hint => {}
            }
            if myself.cast(Message::Hinted).is_err() {
                tracing::debug!("the dispatcher ended while it waited for a hint");
            }
        });
    }
}
