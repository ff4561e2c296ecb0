//! Assigns tasks to free slots, one slot actor per task. Which queue a free slot asks is decided by
//! [`jetreel_domain::delivery::dispatch`].
//!
//! ```text
//! a slot is free, a hint, a timer ──► next? ──► pull, outside of the mailbox ──► slot
//! ```
//! Invariants: no pull is sent while pulls and tasks in hand fill the open slots; fewer open slots end no task. A task that is delivered
//! while the node drains is handed back.

use std::collections::BTreeMap;
use std::time::Duration;

use jetreel_domain::delivery::dispatch::{Answer, Dispatch as Plan, Heard, Pull, Slots, TaskQueue};
use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::id::Group;
use jetreel_domain::words::failure::Failure;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, MessagingErr, SupervisionEvent};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::slot::{self, Slot};
use crate::config::Context;
use crate::event::{Event, Scaled};
use crate::ports::{Delivered, Ports};

/// Messages of the dispatcher.
pub(crate) enum Message {
    /// Look for tasks: at the start, after a hint, after a while, or when more slots are open.
    Look,
    /// The answer to a pull.
    Pulled(Pull, Result<Option<Delivered>, Failure>),
}

/// Longest wait for hours to begin or end: the clock of the machine may be set meanwhile.
const HOURS_WAIT_MAX: Duration = Duration::from_secs(60);

/// Slots and their tasks.
pub(crate) struct State {
    context: Context,
    plan: Plan,
    hours: Hours,
    started: Instant,
    busy: BTreeMap<ActorId, TaskQueue>,
    /// Waits for a hint or a timer. At most one is alive.
    waiting: Option<AbortHandle>,
    /// Follows the number of open slots.
    following: AbortHandle,
}

impl Drop for State {
    fn drop(&mut self) {
        self.following.abort();
        if let Some(waiting) = self.waiting.take() {
            waiting.abort();
        }
    }
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
        context.busy.send_replace(0);
        let config = &context.config;
        let slots = Slots {
            all: config.slots,
            for_high: config.slots_for_high,
            of_groups: config.group_slots.clone(),
        };
        let (plan, hours, busy) = (Plan::new(slots), Hours::default(), BTreeMap::new());
        let open = context.slots.open();
        context.ports.environment.emit(Event::Scaled(Scaled::SlotsOpen { open }));
        let following = tokio::spawn(follow(context.slots.follow(), myself)).abort_handle();
        let started = Instant::now();
        Ok(State { context, plan, hours, started, busy, waiting: None, following })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        if let Message::Pulled(pull, answer) = message {
            state.pulled(&myself, pull, answer).await?;
        }
        state.fill(&myself);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(who, last, _) => {
                let last = last.and_then(|mut last| last.take::<slot::State>().ok());
                state.ended(who.get_id(), last.and_then(|last| last.handed_back()));
                state.fill(&myself);
            }
            // A slot that failed leaves its delivery unsettled. The broker delivers it again when the lease ends.
            SupervisionEvent::ActorFailed(who, _) => {
                state.ended(who.get_id(), None);
                state.fill(&myself);
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl State {
    /// Asks for tasks as long as slots are free and queues may hold some.
    fn fill(&mut self, myself: &ActorRef<Message>) {
        self.keep_hours();
        let (ports, drain) = (&self.context.ports, &self.context.drain);
        self.plan.resize(self.context.slots.open());
        let mut heard = ports.broker.heard();
        while !drain.is_cancelled() && !self.context.gate.is_open() {
            let Some(pull) = self.plan.next(self.started.elapsed(), &heard) else { break };
            tokio::spawn(ask(self.context.clone(), pull, myself.clone()));
            heard = ports.broker.heard();
        }
        if !drain.is_cancelled() {
            self.wait(myself, heard);
        } else if self.plan.is_idle() {
            myself.stop(None);
        }
    }

    /// Takes tasks only from the queues that are open to this node now.
    fn keep_hours(&mut self) {
        let now = self.context.ports.environment.now();
        if self.hours.hold(now) {
            return;
        }
        let config = &self.context.config;
        self.plan.take_only(&config.rules.taken(&config.offer, now));
        let until = config.rules.changes(&config.offer, now).unwrap_or(i64::MAX);
        self.hours = Hours { since: now, until };
    }

    async fn pulled(
        &mut self,
        myself: &ActorRef<Message>,
        pull: Pull,
        answer: Result<Option<Delivered>, Failure>,
    ) -> Result<(), ActorProcessingErr> {
        let environment = &self.context.ports.environment;
        let (now, chance) = (self.started.elapsed(), environment.chance());
        let known = match &answer {
            Ok(Some(delivery)) => {
                Answer::Task { pending: delivery.pending(), again: delivery.delivered() > 1 }
            }
            Ok(None) => Answer::Nothing,
            Err(_) => Answer::Failed,
        };
        self.plan.answered(pull, known, now, chance);
        environment.emit(Event::Pulled { answer: known });
        match answer {
            Ok(Some(delivery)) => {
                let args = slot::Args { context: self.context.clone(), delivery };
                let (slot, _) = Slot::spawn_linked(None, Slot, args, myself.get_cell()).await?;
                self.busy.insert(slot.get_id(), pull.queue);
                self.report(pull.queue.group);
            }
            Ok(None) => {}
            Err(failure) => {
                self.context.gate.on_pull_failure(&self.context.ports, &failure);
                environment.emit(Event::StageFault { stage: Stage::Encode.as_str(), failure });
            }
        }
        Ok(())
    }

    /// Frees the slot of a task, whose message was perhaps handed back with a delay.
    fn ended(&mut self, slot: ActorId, handed_back: Option<Duration>) {
        let Some(queue) = self.busy.remove(&slot) else { return };
        let (now, chance) = (self.started.elapsed(), self.context.ports.environment.chance());
        self.plan.ended(queue, handed_back, now, chance);
        self.report(queue.group);
    }

    fn report(&self, group: Group) {
        self.context.busy.send_replace(self.busy.len());
        let busy = self.plan.in_hand(group);
        self.context.ports.environment.emit(Event::SlotsBusy { group, busy });
    }

    /// Looks again after the next hint or after a while, if a slot is free, and when hours begin or end.
    fn wait(&mut self, myself: &ActorRef<Message>, heard: Heard) {
        if let Some(before) = self.waiting.take() {
            before.abort();
        }
        let (context, myself) = (self.context.clone(), myself.clone());
        let hours = self.hours.left(context.ports.environment.now());
        let hours = hours.map(|left| Instant::now() + left.min(HOURS_WAIT_MAX));
        let wakes = self.plan.wakes().map(|at| self.started + at);
        let Some(until) = wakes.into_iter().chain(hours).min() else { return };
        let waiting = tokio::spawn(async move {
            let hint = async {
                if context.gate.is_open() {
                    context.gate.pass(&context.ports).await;
                } else {
                    // After that time it looks without a hint.
                    drop(
                        tokio::time::timeout_at(until, context.ports.broker.task_hint(&heard))
                            .await,
                    );
                }
            };
            tokio::select! {
                () = context.drain.cancelled() => {}
                () = hint => {}
            }
            if myself.cast(Message::Look).is_err() {
                tracing::debug!("the dispatcher ended while it waited for a hint");
            }
        });
        self.waiting = Some(waiting.abort_handle());
    }
}

/// Has the dispatcher look whenever the number of open slots changes.
async fn follow(mut open: watch::Receiver<usize>, dispatcher: ActorRef<Message>) {
    while open.changed().await.is_ok() {
        if dispatcher.cast(Message::Look).is_err() {
            return;
        }
    }
}

/// Times, in seconds since the Unix epoch, between which the same queues are open to this node.
#[derive(Debug, Default)]
struct Hours {
    since: i64,
    /// Exclusive.
    until: i64,
}

impl Hours {
    fn hold(&self, now: i64) -> bool {
        (self.since..self.until).contains(&now)
    }

    /// Time until they end. `None`: they never do.
    fn left(&self, now: i64) -> Option<Duration> {
        let left = u64::try_from(self.until.saturating_sub(now)).unwrap_or(0);
        (self.until < i64::MAX).then(|| Duration::from_secs(left))
    }
}

/// Sends a pull and passes its answer to the dispatcher.
async fn ask(context: Context, pull: Pull, dispatcher: ActorRef<Message>) {
    let mut answer = context.ports.broker.next_task(pull.queue, pull.wait).await;
    if context.drain.is_cancelled()
        && let Ok(Some(delivery)) = &answer
    {
        return_to_queue(&context.ports, delivery).await;
        answer = Ok(None);
    }
    if let Err(MessagingErr::SendErr(Message::Pulled(_, Ok(Some(delivery))))) =
        dispatcher.cast(Message::Pulled(pull, answer))
    {
        return_to_queue(&context.ports, &delivery).await;
    }
}

/// Hands back a task that nobody works on.
async fn return_to_queue(ports: &Ports, delivery: &Delivered) {
    if let Err(failure) = delivery.hand_back(Duration::ZERO).await {
        // The broker delivers it again when the lease ends.
        ports.environment.emit(Event::StageFault { stage: Stage::Encode.as_str(), failure });
    }
}
