//! Finds messages that the broker gave up: by its word, and by counting, for its word is given only once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::failure::{Failure, Severity};
use jetreel_domain::orphan::Suspects;
use jetreel_domain::retry::Stage;
use jetreel_domain::subject;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde::Deserialize;
use tokio::time::Instant;

use super::orphan;
use crate::config::Context;
use crate::event::Event;
use crate::ports::{Delivered, Delivery};

/// Pause after trouble, before the next look.
const TROUBLE_PAUSE: Duration = Duration::from_secs(5);

/// What the sweeper is told.
#[derive(Debug)]
pub enum Message {
    /// Wait for the broker's next word, or for the time to count.
    Look,
}

/// What the sweeper remembers.
pub struct State {
    context: Context,
    /// By consumer.
    suspects: BTreeMap<String, Suspects>,
    counted: Option<Instant>,
    started: Instant,
}

/// The broker's word: `io.nats.jetstream.advisory.v1.max_deliver`. It comes for every consumer there is, also for those of others.
#[derive(Debug, Deserialize)]
struct Advisory {
    stream: String,
    consumer: String,
    stream_seq: u64,
}

/// The sweeper.
pub struct Sweeper;

impl Actor for Sweeper {
    type Msg = Message;
    type State = State;
    type Arguments = Context;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        context: Context,
    ) -> Result<State, ActorProcessingErr> {
        myself.cast(Message::Look)?;
        let (suspects, started) = (BTreeMap::new(), Instant::now());
        Ok(State { context, suspects, counted: None, started })
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
                if drain.is_cancelled() {
                    myself.stop(None);
                    return Ok(());
                }
                tokio::select! {
                    () = drain.cancelled() => {}
                    () = state.look() => {}
                }
                myself.cast(Message::Look)?;
            }
        }
        Ok(())
    }
}

impl State {
    async fn look(&mut self) {
        let context = self.context.clone();
        context.gate.pass(&context.ports).await;
        if let Err(failure) = self.advance().await {
            context.gate.on_pull_failure(&context.ports, &failure);
            context.ports.environment.emit(Event::StageFault { stage: "deadletter", failure });
            tokio::time::sleep(TROUBLE_PAUSE).await;
        }
    }

    async fn advance(&mut self) -> Result<(), Failure> {
        let every = self.context.config.sweep_every;
        if self.counted.is_none_or(|at| at.elapsed() >= every) {
            self.count().await?;
            self.counted = Some(Instant::now());
        }
        let wait = self.context.config.pull_wait;
        match self.context.ports.broker.next_advisory(wait).await? {
            Some(delivery) => self.hear(delivery).await,
            None => Ok(()),
        }
    }

    /// One message that the broker says it gave up.
    async fn hear(&self, delivery: Delivered) -> Result<(), Failure> {
        let delivery: Arc<dyn Delivery> = Arc::from(delivery);
        let Ok(advisory) = serde_json::from_slice::<Advisory>(delivery.body()) else {
            return delivery.terminate("bad-message").await;
        };
        let Advisory { stream, consumer, stream_seq } = advisory;
        if delivery.subject() != subject::given_up(&stream, &consumer) {
            return delivery.terminate("message-contradicts").await;
        }
        if let Some(stage) = self.context.ports.broker.stage_of(&stream, &consumer) {
            self.settle(stage, &stream, stream_seq, true).await?;
        }
        delivery.ack().await
    }

    /// Messages that no consumer accounts for.
    async fn count(&mut self) -> Result<(), Failure> {
        let queues = self.context.ports.broker.lost_sight().await?;
        let now = self.started.elapsed().as_secs();
        let mut looked = BTreeMap::new();
        for queue in queues {
            let mut suspects = self.suspects.remove(&queue.name).unwrap_or_default();
            let stage = self.context.ports.broker.stage_of(&queue.stream, &queue.name);
            let certain = queue.in_hand == 0;
            for sequence in suspects.look(&queue.suspects, queue.in_hand, now) {
                if let Some(stage) = stage {
                    self.settle(stage, &queue.stream, sequence, certain).await?;
                }
            }
            looked.insert(queue.name, suspects);
        }
        self.suspects = looked;
        Ok(())
    }

    /// One message that cannot be taken care of must not keep the others'.
    async fn settle(
        &self,
        stage: Stage,
        stream: &str,
        sequence: u64,
        certain: bool,
    ) -> Result<(), Failure> {
        let Some(stored) = self.context.ports.broker.stored(stream, sequence).await? else {
            return Ok(());
        };
        match orphan::settle(&self.context, stage, &stored, certain).await {
            Err(failure) if failure.severity != Severity::DependencyFault => {
                let event = Event::StageFault { stage: "deadletter", failure };
                self.context.ports.environment.emit(event);
                Ok(())
            }
            done => done,
        }
    }
}
