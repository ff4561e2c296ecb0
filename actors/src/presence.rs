//! Heartbeat of a node: it reports the node's roles and codec build as long as the node has work in hand, and collects the reports of the
//! other nodes.
//!
//! Invariant: only the delay before an order is planned anew depends on the reports. No failure here stops the node's work.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::upkeep::presence::{self, Presence};
use jetreel_domain::words::failure::Failure;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Context;
use crate::event::Event;
use crate::ports::{NodeReports, Nodes};

/// Deregistering is best effort: after this timeout the entry expires by itself.
const LEAVE_WAIT: Duration = Duration::from_secs(2);

/// Node reports read at once. Large clusters have fewer nodes.
const WORDS_MAX: usize = 4096;

/// Messages of the actor.
#[derive(Debug)]
pub enum Message {
    /// Write the report again.
    Renew,
}

/// Arguments of the actor.
#[derive(Clone)]
pub struct Args {
    pub context: Context,
    /// Port for node reports.
    pub nodes: Arc<dyn Nodes>,
    /// Cancelled when a draining node has nothing left in hand.
    pub alone: CancellationToken,
}

/// Report of this start of the node, and what it has read of the others.
pub struct State {
    args: Args,
    id: String,
    since: i64,
    /// Revision up to which the reports of other nodes were read.
    read: u64,
    started: Instant,
}

/// The actor.
pub struct Heartbeat;

impl Actor for Heartbeat {
    type Msg = Message;
    type State = State;
    type Arguments = Args;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        args: Args,
    ) -> Result<State, ActorProcessingErr> {
        myself.cast(Message::Renew)?;
        let environment = &args.context.ports.environment;
        let (id, since) = (environment.uuid(), environment.now());
        Ok(State { args, id, since, read: 0, started: Instant::now() })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Renew => {
                let args = state.args.clone();
                let going = tokio::select! {
                    biased;
                    () = args.goes() => true,
                    () = state.word() => false,
                };
                if going {
                    state.leave().await;
                    myself.stop(None);
                } else {
                    state.schedule(&myself);
                }
            }
        }
        Ok(())
    }
}

impl Args {
    /// Returns when nothing is in hand any more, or when the work in hand is being handed back.
    async fn goes(&self) {
        tokio::select! {
            () = self.alone.cancelled() => {}
            () = self.context.put_down.cancelled() => {}
        }
    }
}

impl State {
    /// Writes this node's report and reads the reports of the others.
    async fn word(&mut self) {
        self.renew().await;
        self.listen().await;
    }

    async fn renew(&self) {
        let said = self.presence().await;
        if let Err(failure) = self.args.nodes.tell(&self.id, &said).await {
            let event = Event::StageFault { stage: "presence", failure };
            self.args.context.ports.environment.emit(event);
        }
    }

    /// Reads the reports that other nodes wrote since the last read.
    async fn listen(&mut self) {
        let said = self.args.nodes.said(self.read, WORDS_MAX).await.unwrap_or_else(|failure| {
            tracing::debug!(%failure, "the node reports could not be read");
            NodeReports { read: self.read, ..NodeReports::default() }
        });
        self.read = said.read;
        let now = self.started.elapsed().as_secs();
        self.args.context.peers().hear(now, said.words);
    }

    async fn presence(&self) -> Presence {
        let Context { config, ports, .. } = &self.args.context;
        let mut said = Presence {
            v: 1,
            node: config.node.clone(),
            roles: config.roles.clone(),
            codec_build: None,
            slots: 0,
            since: self.since,
            at: ports.environment.now(),
        };
        if said.encodes() {
            said.slots = config.slots;
        }
        if said.encodes() || said.plans() {
            match ports.codec.build().await {
                Ok(build) => said.codec_build = Some(build),
                // A stage that needs the build reports the same failure as its own.
                Err(failure) => {
                    tracing::debug!(%failure, "the build of the codec could not be read")
                }
            }
        }
        said
    }

    /// Removes this node's report, so that other nodes do not wait for it.
    async fn leave(&self) {
        let left = tokio::time::timeout(LEAVE_WAIT, self.args.nodes.leave(&self.id)).await;
        let none = || Err(Failure::dependency("broker-timeout", "The broker did not answer."));
        if let Err(failure) = left.unwrap_or_else(|_| none()) {
            tracing::debug!(%failure, "the node report could not be removed; it expires by itself");
        }
    }

    fn schedule(&self, myself: &ActorRef<Message>) {
        let (args, myself) = (self.args.clone(), myself.clone());
        let pause = presence::interval(args.context.config.reconciler.build_seconds);
        tokio::spawn(async move {
            tokio::select! {
                () = args.goes() => {}
                () = tokio::time::sleep(pause) => {}
            }
            if myself.cast(Message::Renew).is_err() {
                tracing::debug!("the heartbeat ended before its next renewal");
            }
        });
    }
}
