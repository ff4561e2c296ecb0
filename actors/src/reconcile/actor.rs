//! The reconciler: one on every node that has the role, one of them at work.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::failure::{Failure, Severity};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::lead::Lead;
use super::orders::Orders;
use super::records::Records;
use super::sweep::Sweep;
use crate::binding::{Binding, Bound};
use crate::config::Context;
use crate::event::{Event, Reconciled};
use crate::ports::{Nodes, Survey};
use crate::trial;

/// Before the next pass, where this one left states unread: others want the broker too.
const SHORTLY: Duration = Duration::from_millis(20);

/// What the reconciler is told.
#[derive(Debug)]
pub enum Message {
    /// Look at everything once.
    Pass,
}

/// What the reconciler needs.
#[derive(Clone)]
pub struct Args {
    /// The node.
    pub context: Context,
    /// The queues as a whole.
    pub survey: Arc<dyn Survey>,
    /// What nodes say of themselves.
    pub nodes: Arc<dyn Nodes>,
    /// That the store is the broker's: without it nothing is swept.
    pub bound: Bound,
    /// Where that is looked up again.
    pub binding: Arc<dyn Binding>,
}

impl Args {
    /// Tells what is wrong with one entry, which keeps nobody from the others.
    ///
    /// # Errors
    /// When broker or store are away: for the others too.
    pub(super) async fn pass_over(&self, failure: Failure) -> Result<(), Failure> {
        if failure.severity == Severity::DependencyFault && self.is_away(&failure).await {
            return Err(failure);
        }
        let event = Event::StageFault { stage: "reconcile", failure };
        self.context.ports.environment.emit(event);
        Ok(())
    }

    /// Nothing is charged here: where the store fails at one object, it is enough that it is fine for others.
    async fn is_away(&self, failure: &Failure) -> bool {
        match &failure.object {
            Some(touched) => !trial::answers(&self.context.ports, touched.key()).await,
            None => true,
        }
    }
}

/// What the reconciler knows. Of no use to its successor, which looks for itself.
pub struct State {
    args: Args,
    lead: Lead,
    orders: Orders,
    records: Records,
    sweep: Sweep,
}

/// The reconciler.
pub struct Reconciler;

impl Actor for Reconciler {
    type Msg = Message;
    type State = State;
    type Arguments = Args;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        args: Args,
    ) -> Result<State, ActorProcessingErr> {
        myself.cast(Message::Pass)?;
        let lead = Lead::new(args.context.ports.environment.uuid());
        let (orders, records, sweep) = (Orders::default(), Records::default(), Sweep::default());
        Ok(State { args, lead, orders, records, sweep })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Pass => {
                let drain = state.args.context.drain.clone();
                let pause = tokio::select! {
                    () = drain.cancelled() => Duration::ZERO,
                    pause = state.pass() => pause,
                };
                if drain.is_cancelled() {
                    state.lead.resign(&state.args).await;
                    myself.stop(None);
                } else {
                    state.schedule(&myself, pause);
                }
            }
        }
        Ok(())
    }
}

impl State {
    /// One pass; gives the pause before the next.
    async fn pass(&mut self) -> Duration {
        let context = self.args.context.clone();
        match self.look().await {
            Ok(true) => SHORTLY,
            Ok(false) => Duration::from_secs(context.config.reconciler.pass_seconds),
            Err(failure) => {
                context.ports.environment.emit(Event::StageFault { stage: "reconcile", failure });
                Duration::from_secs(context.config.reconciler.pass_seconds)
            }
        }
    }

    /// Gives whether states were left unread.
    async fn look(&mut self) -> Result<bool, Failure> {
        let args = &self.args;
        if !self.lead.keep(args).await? {
            self.orders = Orders::default();
            self.records = Records::default();
            self.sweep = Sweep::default();
            return Ok(false);
        }
        if self.orders.read_on(args).await? {
            return Ok(true);
        }
        count_letters(args).await;
        self.orders.look(args).await?;
        self.records.look(args).await?;
        self.sweep.look(args, &mut self.orders).await?;
        Ok(false)
    }

    fn schedule(&self, myself: &ActorRef<Message>, pause: Duration) {
        let (drain, myself) = (self.args.context.drain.clone(), myself.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = drain.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
            if myself.cast(Message::Pass).is_err() {
                tracing::debug!("reconciler went away between two passes");
            }
        });
    }
}

/// For who watches numbers; nothing waits for it.
async fn count_letters(args: &Args) {
    let event = match args.survey.dead_letters().await {
        Ok(room) => Event::Reconciled(Reconciled::LettersCounted(room)),
        Err(failure) => Event::StageFault { stage: "reconcile", failure },
    };
    args.context.ports.environment.emit(event);
}
