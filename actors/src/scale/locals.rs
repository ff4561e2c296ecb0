//! Node processes on this machine. [`jetreel_domain::scale::locals`] decides which to start, to drain and to kill.

use std::collections::BTreeMap;
use std::sync::Arc;

use jetreel_domain::scale::locals::{Act, Count, Locals};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::args::LocalArgs;
use super::follow::follow;
use crate::config::Context;
use crate::event::{Event, Scaled};
use crate::ports::{LocalNode, LocalProcess};

/// Messages of the actor.
#[derive(Debug)]
pub(super) enum Message {
    /// Another number of processes is wanted, or time has passed, or the node drains.
    Look,
    /// The process with that number ended.
    Ended(u32, String),
    /// The grace of the node is nearly over.
    PutDown,
}

/// The processes.
pub(super) struct State {
    context: Context,
    args: LocalArgs,
    target: watch::Receiver<u32>,
    locals: Locals,
    running: BTreeMap<u32, Arc<dyn LocalProcess>>,
    counted: Count,
    started: Instant,
    timer: Option<AbortHandle>,
}

/// The actor.
pub(super) struct Processes;

impl Actor for Processes {
    type Msg = Message;
    type State = State;
    type Arguments = (Context, LocalArgs, watch::Receiver<u32>);

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        (context, args, target): Self::Arguments,
    ) -> Result<State, ActorProcessingErr> {
        follow(target.clone(), context.drain.clone(), myself.clone(), || Message::Look);
        tokio::spawn(warn(context.clone(), myself.clone()));
        myself.cast(Message::Look)?;
        let locals = Locals::new(args.bounds.max, args.limit);
        Ok(State {
            context,
            args,
            target,
            locals,
            running: BTreeMap::new(),
            counted: Count::default(),
            started: Instant::now(),
            timer: None,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Look => {}
            Message::Ended(number, how) => state.ended(number, how),
            Message::PutDown => state.hurry(),
        }
        state.act(&myself).await;
        if state.context.drain.is_cancelled() && state.locals.is_empty() {
            myself.stop(None);
        }
        Ok(())
    }
}

/// Tells the actor when the grace of the node is nearly over.
async fn warn(context: Context, actor: ActorRef<Message>) {
    context.put_down.cancelled().await;
    if actor.cast(Message::PutDown).is_err() {
        tracing::debug!("all local nodes had ended before the grace");
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
    }
}

impl State {
    async fn act(&mut self, myself: &ActorRef<Message>) {
        let draining = self.context.drain.is_cancelled();
        let target = if draining { 0 } else { *self.target.borrow_and_update() };
        for act in self.locals.act(target, self.started.elapsed()) {
            match act {
                Act::Start(number) => self.start(number, myself).await,
                Act::Drain(number) => self.signal(number, "draining", |process| process.drain()),
                Act::Kill(number) => self.signal(number, "killed", |process| process.kill()),
            }
        }
        let count = self.locals.count();
        if count != self.counted {
            self.counted = count;
            self.emit(Scaled::LocalsCounted(count));
        }
        self.wait(myself);
    }

    async fn start(&mut self, number: u32, myself: &ActorRef<Message>) {
        match self.args.nodes.start(number).await {
            Ok(LocalNode { process, ended }) => {
                let detail = format!("process {}", process.id());
                self.running.insert(number, process);
                self.emit(Scaled::LocalChanged { number, what: "started", detail });
                let actor = myself.clone();
                tokio::spawn(async move {
                    let how = ended.await.unwrap_or_else(|_| "nothing waits for it".to_owned());
                    if actor.cast(Message::Ended(number, how)).is_err() {
                        tracing::debug!(number, "a local node ended after what had started it");
                    }
                });
            }
            Err(failure) => {
                self.context.ports.environment.emit(Event::StageFault { stage: "scaler", failure });
                self.locals.ended(number, self.started.elapsed());
            }
        }
    }

    fn ended(&mut self, number: u32, how: String) {
        self.running.remove(&number);
        self.locals.ended(number, self.started.elapsed());
        self.emit(Scaled::LocalChanged { number, what: "ended", detail: how });
    }

    fn signal(&self, number: u32, what: &'static str, send: impl Fn(&dyn LocalProcess)) {
        let Some(process) = self.running.get(&number) else { return };
        send(process.as_ref());
        let detail = format!("process {}", process.id());
        self.emit(Scaled::LocalChanged { number, what, detail });
    }

    /// Has the processes put their work down, so that they end within the grace of this node.
    fn hurry(&self) {
        for number in self.locals.draining() {
            self.signal(number, "putting its work down", |process| process.drain());
        }
    }

    fn wait(&mut self, myself: &ActorRef<Message>) {
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
        let Some(at) = self.locals.wakes() else { return };
        let pause = at.saturating_sub(self.started.elapsed());
        self.timer = Some(myself.send_after(pause, || Message::Look).abort_handle());
    }

    fn emit(&self, what: Scaled) {
        self.context.ports.environment.emit(Event::Scaled(what));
    }
}
