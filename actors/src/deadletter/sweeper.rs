//! Finds messages that the broker gave up, by its advisories and by counting. An advisory is sent only once and may be lost.

use std::collections::BTreeMap;
use std::time::Duration;

use jetreel_domain::delivery::orphan::Suspects;
use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::delivery::subject;
use jetreel_domain::words::failure::{Failure, Severity};
use serde::Deserialize;
use tokio::time::Instant;

use super::orphan;
use crate::config::Context;
use crate::event::Event;
use crate::lease::InHand;
use crate::ports::{Delivered, Delivery};
use crate::settle::Settlement;
use crate::worker::{Breaker, Handler, Inbox};

/// Memory of the sweeper.
pub(crate) struct Sweeper {
    /// Suspects by consumer.
    suspects: BTreeMap<String, Suspects>,
    counted: Option<Instant>,
    started: Instant,
}

/// Advisory of the broker: `io.nats.jetstream.advisory.v1.max_deliver`. It is sent for every consumer, also for those of other programs.
#[derive(Debug, Deserialize)]
struct Advisory {
    stream: String,
    consumer: String,
    stream_seq: u64,
}

impl Default for Sweeper {
    fn default() -> Self {
        Self { suspects: BTreeMap::new(), counted: None, started: Instant::now() }
    }
}

impl Handler for Sweeper {
    const NAME: &'static str = "deadletter";
    const JUDGED: bool = false;

    /// Handles one message that an advisory names.
    async fn take(&mut self, context: &Context, hand: &InHand) -> Result<Settlement, Failure> {
        let delivery = hand.delivery();
        let Ok(advisory) = serde_json::from_slice::<Advisory>(delivery.body()) else {
            return Ok(Settlement::Terminate("bad-message".to_owned()));
        };
        let Advisory { stream, consumer, stream_seq } = advisory;
        if delivery.subject() != subject::given_up(&stream, &consumer) {
            return Ok(Settlement::Terminate("message-contradicts".to_owned()));
        }
        if let Some(stage) = Stage::of_consumer(&stream, &consumer) {
            settle(context, stage, &stream, stream_seq, true).await?;
        }
        Ok(Settlement::Ack)
    }

    /// The broker delivers the advisory again when its lease ends.
    async fn not_taken(&self, _: &Context, _: &dyn Delivery, _: &Failure) -> Settlement {
        Settlement::LetGo
    }
}

impl Inbox for Sweeper {
    const PAUSE: Duration = Duration::from_secs(5);
    const BREAKER: Breaker = Breaker::Watches;
    const DROPPED_ON_DRAIN: bool = true;

    async fn pull(&mut self, context: &Context) -> Result<Option<Delivered>, Failure> {
        let every = context.config.sweep_every;
        if self.counted.is_none_or(|at| at.elapsed() >= every) {
            self.count(context).await?;
            self.counted = Some(Instant::now());
        }
        context.ports.broker.next_advisory(context.config.pull_wait).await
    }
}

impl Sweeper {
    /// Handles the messages that no consumer accounts for.
    async fn count(&mut self, context: &Context) -> Result<(), Failure> {
        let queues = context.ports.broker.lost_sight().await?;
        let now = self.started.elapsed().as_secs();
        let mut looked = BTreeMap::new();
        for queue in queues {
            let mut suspects = self.suspects.remove(&queue.name).unwrap_or_default();
            let stage = Stage::of_consumer(&queue.stream, &queue.name);
            let certain = queue.in_hand == 0;
            for sequence in suspects.look(&queue.suspects, queue.in_hand, now) {
                if let Some(stage) = stage {
                    settle(context, stage, &queue.stream, sequence, certain).await?;
                }
            }
            looked.insert(queue.name, suspects);
        }
        self.suspects = looked;
        Ok(())
    }
}

/// Handles one message. Its failure must not stop the others.
async fn settle(
    context: &Context,
    stage: Stage,
    stream: &str,
    sequence: u64,
    certain: bool,
) -> Result<(), Failure> {
    let Some(stored) = context.ports.broker.stored(stream, sequence).await? else {
        return Ok(());
    };
    match orphan::settle(context, stage, &stored, certain).await {
        Err(failure) if failure.severity != Severity::DependencyFault => {
            let event = Event::StageFault { stage: Sweeper::NAME, failure };
            context.ports.environment.emit(event);
            Ok(())
        }
        done => done,
    }
}
