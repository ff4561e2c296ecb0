//! Heartbeat of a node: it reports the node's roles, codec build and newest sign as long as the node has work in hand, collects the
//! reports of the other nodes, and checks that the node's store holds their signs.
//!
//! Invariant: no failure here stops the node's work. Only a store that answers and lacks the signs of other nodes does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::upkeep::presence::{self, Presence};
use jetreel_domain::upkeep::sign::Verdict;
use jetreel_domain::words::failure::Failure;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Context;
use crate::event::Event;
use crate::ports::{Nodes, Store};
use crate::sign::{self, Arrived, Signer, WORDS_MAX};

/// Shortest time between two reports because the number of busy slots changed.
const BUSY_EVERY: Duration = Duration::from_secs(5);

/// Messages of the actor.
#[derive(Debug)]
pub enum Message {
    /// Write the report again, and read those of the others.
    Renew,
    /// Write the report again, if the number of busy slots, or whether the node releases tasks, is another since the last time.
    Tell,
}

/// Arguments of the actor.
#[derive(Clone)]
pub struct Args {
    pub context: Context,
    /// Port for node reports.
    pub nodes: Arc<dyn Nodes>,
    /// Proof that the store holds the signs of the other nodes.
    pub arrived: Arrived,
    /// Cancelled when a draining node has nothing left in hand.
    pub alone: CancellationToken,
}

/// Report of this start of the node, and what it has read of the others.
pub struct State {
    args: Args,
    signer: Signer,
    /// Revision up to which the reports of other nodes were read.
    read: u64,
    /// Creation time of the bucket that was read.
    born: i64,
    /// Busy slots in the last report.
    busy: usize,
    /// Whether the node released tasks by the last report.
    releases: bool,
    started: Instant,
    /// Nodes with other rules, as last logged.
    dissenting: BTreeSet<String>,
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
        let signer = Signer::new(args.arrived.clone(), args.context.config.node.clone());
        args.watch(myself);
        let (started, dissenting) = (Instant::now(), BTreeSet::new());
        Ok(State { args, signer, read: 0, born: 0, busy: 0, releases: false, started, dissenting })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let args = state.args.clone();
        let telling = async {
            match message {
                Message::Renew => {
                    state.word().await;
                    state.schedule(&myself);
                }
                Message::Tell => state.tell_changes().await,
            }
        };
        let going = tokio::select! {
            biased;
            () = args.goes() => true,
            () = telling => false,
        };
        if going {
            state.leave().await;
            myself.stop(None);
        }
        Ok(())
    }
}

impl Args {
    /// Has the report written again some seconds after a slot was taken or freed, and when the node begins to drain: others then release what
    /// has its turn.
    fn watch(&self, myself: ActorRef<Message>) {
        let (args, mut busy) = (self.clone(), self.context.busy.subscribe());
        let (drain, told) = (self.context.drain.clone(), myself.clone());
        let changed = async move {
            while busy.changed().await.is_ok() {
                tokio::time::sleep(BUSY_EVERY).await;
                busy.mark_unchanged();
                if myself.cast(Message::Tell).is_err() {
                    return;
                }
            }
        };
        let drained = async move {
            drain.cancelled().await;
            told.cast(Message::Tell)
        };
        tokio::spawn(async move {
            tokio::select! {
                () = args.goes() => {}
                ((), _) = async { tokio::join!(changed, drained) } => {}
            }
        });
    }

    /// Returns when nothing is in hand any more, or when the work in hand is being handed back.
    async fn goes(&self) {
        tokio::select! {
            () = self.alone.cancelled() => {}
            () = self.context.put_down.cancelled() => {}
        }
    }
}

impl State {
    /// Writes this node's report, reads the reports of the others and checks that they have the same store.
    async fn word(&mut self) {
        let store = Arc::clone(&self.args.context.ports.store);
        self.signer.renew(store.as_ref()).await;
        self.renew(store.as_ref()).await;
        // A node that reads its own new report reads the newest reports of the others too.
        if self.listen().await {
            self.tell_dissent();
            let verdict = self.signer.look(store.as_ref()).await;
            self.follow(verdict);
        }
    }

    async fn renew(&mut self, store: &dyn Store) {
        let said = self.presence().await;
        (self.busy, self.releases) = (said.busy, said.releases);
        match self.args.nodes.tell(self.args.arrived.id(), &said).await {
            Ok(()) => {
                if let Some(number) = said.sign {
                    self.signer.told(store, number).await;
                }
            }
            Err(failure) => self.emit(failure),
        }
    }

    /// Writes the report if what others act on at once changed. A later report mends a failure.
    async fn tell_changes(&mut self) {
        let said = self.presence().await;
        if (said.busy, said.releases) != (self.busy, self.releases) {
            (self.busy, self.releases) = (said.busy, said.releases);
            if let Err(failure) = self.args.nodes.tell(self.args.arrived.id(), &said).await {
                self.emit(failure);
            }
        }
    }

    /// Reads the reports that nodes wrote since the last read. Returns whether this node's own report is among them.
    async fn listen(&mut self) -> bool {
        let said = match self.args.nodes.said(self.read, WORDS_MAX).await {
            // The bucket was made anew: the next round reads all of it.
            Ok(said) if said.extent.is_another(self.born, self.read) => {
                self.read = 0;
                self.signer.forget();
                return false;
            }
            Ok(said) => said,
            Err(failure) => {
                tracing::debug!(%failure, "the node reports could not be read");
                let now = self.now();
                self.args.context.peers().hear(now, []);
                return false;
            }
        };
        (self.read, self.born) = (said.read, said.extent.born);
        self.signer.hear(&said.words, &said.left);
        let heard = said.words.iter().any(|word| word.id == self.args.arrived.id());
        let now = self.now();
        // The newest report is about as old as its broker's clock is ahead of it: this node has just written one.
        let newest = said.words.iter().map(|word| word.at).max().unwrap_or_default();
        let words = said.words.into_iter().map(|word| (word.id, newest - word.at, word.presence));
        let mut peers = self.args.context.peers();
        peers.leave(said.left);
        peers.hear(now, words);
        heard
    }

    /// Seconds since the start.
    fn now(&self) -> i64 {
        self.started.elapsed().as_secs() as i64
    }

    /// Logs which nodes have other rules, when these are others than before.
    fn tell_dissent(&mut self) {
        let Context { config, .. } = &self.args.context;
        let interval = presence::interval(config.reconciler.build_seconds).as_secs() as i64;
        let found = self.args.context.peers().dissenting(interval, &config.rules);
        if found != self.dissenting && !found.is_empty() {
            let nodes: Vec<&str> = found.iter().map(String::as_str).collect();
            tracing::warn!(
                nodes = nodes.join(", "),
                "other nodes have other settings of lanes, groups or hours; each node takes tasks by its own"
            );
        }
        self.dissenting = found;
    }

    fn follow(&self, verdict: Verdict) {
        let gate = &self.args.context.gate;
        match verdict {
            Verdict::Works(others) => {
                others.iter().for_each(|sign| self.emit(sign.astray()));
                if gate.bar(None) {
                    tracing::info!("the store holds the signs of the other nodes: work goes on");
                }
            }
            Verdict::Estranged(Some(sign)) => {
                let failure = sign.estranged();
                if gate.bar(Some(failure.clone())) {
                    self.emit(failure);
                }
            }
            // The reason of before still holds.
            Verdict::Estranged(None) => {}
        }
    }

    fn emit(&self, failure: Failure) {
        let event = Event::StageFault { stage: "presence", failure };
        self.args.context.ports.environment.emit(event);
    }

    async fn presence(&self) -> Presence {
        let Context { config, ports, .. } = &self.args.context;
        let mut said = Presence {
            v: 1,
            node: config.node.clone(),
            roles: config.roles.clone(),
            since: self.args.arrived.since(),
            at: ports.environment.now(),
            sign: self.signer.written(),
            astray: self.signer.doubts(),
            offer: config.offer.clone(),
            rules: config.rules.clone(),
            ..Presence::default()
        };
        if said.encodes() && config.offer.is_open(said.at) {
            said.slots = config.slots;
            said.busy = *self.args.context.busy.borrow();
        }
        let held_up = self.args.context.gate.is_open() || self.args.context.drain.is_cancelled();
        said.releases = config.publishes() && !held_up;
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
        let store = self.args.context.ports.store.as_ref();
        sign::withdraw(self.args.nodes.as_ref(), store, self.args.arrived.id()).await;
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
