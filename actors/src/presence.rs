//! Says that this node is there, what it does and which build its codec is, as long as it has anything in hand.
//!
//! Invariant: only how soon an order is planned anew depends on it, so no failure here keeps the node from its work.

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

/// What leaving may take: nobody waits long for a courtesy, and silence says the same later.
const LEAVE_WAIT: Duration = Duration::from_secs(2);

/// Words that are read at once: more than a large cluster has nodes.
const WORDS_MAX: usize = 4096;

/// What the actor is told.
#[derive(Debug)]
pub enum Message {
    /// Say it once more.
    Renew,
}

/// What the actor needs.
#[derive(Clone)]
pub struct Args {
    /// The node.
    pub context: Context,
    /// Where nodes speak.
    pub nodes: Arc<dyn Nodes>,
    /// Cancelled when a draining node has nothing left in hand.
    pub alone: CancellationToken,
}

/// What is said of this start of the node.
pub struct State {
    args: Args,
    id: String,
    since: i64,
    /// Up to where the words of nodes were read.
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
    /// Returns when nothing is in hand any more, or is just being put down.
    async fn goes(&self) {
        tokio::select! {
            () = self.alone.cancelled() => {}
            () = self.context.put_down.cancelled() => {}
        }
    }
}

impl State {
    /// Says that the node is there, and hears who else is.
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

    /// Hears what the other nodes said since the last time.
    async fn listen(&mut self) {
        let said = self.args.nodes.said(self.read, WORDS_MAX).await.unwrap_or_else(|failure| {
            tracing::debug!(%failure, "what nodes say could not be read");
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
                // Whoever needs it says so too, and louder.
                Err(failure) => tracing::debug!(%failure, "the build of the codec is not known"),
            }
        }
        said
    }

    /// A node that is not listed is not waited for.
    async fn leave(&self) {
        let left = tokio::time::timeout(LEAVE_WAIT, self.args.nodes.leave(&self.id)).await;
        let none = || Err(Failure::dependency("broker-timeout", "The broker did not answer."));
        if let Err(failure) = left.unwrap_or_else(|_| none()) {
            tracing::debug!(%failure, "the node goes without a word");
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
                tracing::debug!("the node's herald went away between two words");
            }
        });
    }
}
