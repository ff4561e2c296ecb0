//! The reconciler: an actor on every node with the role, of which the holder of the lease works.

use std::time::Duration;

use jetreel_domain::upkeep::leadership::Office;
use jetreel_domain::words::failure::Failure;
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::args::Args;
use super::orders::Orders;
use super::records::Records;
use super::sweep::Sweep;
use super::waits;
use crate::event::Event;
use crate::lead::Lead;

/// Pause before the next pass if this pass left states unread. It leaves the broker to other clients for a moment.
const SHORTLY: Duration = Duration::from_millis(20);

/// Messages of the reconciler.
#[derive(Debug)]
pub enum Message {
    /// Make one pass.
    Pass,
}

/// Memory of the reconciler. Its successor starts without it.
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
        let holder = args.context.ports.environment.uuid();
        let lease = args.context.config.reconciler.lease_seconds;
        let lead = Lead::new(Office::Reconciler, holder, lease);
        // A reconciler that was started again may have led before.
        lead.tell(&args.context);
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
                    biased;
                    () = drain.cancelled() => Duration::ZERO,
                    pause = state.pass() => pause,
                };
                if drain.is_cancelled() {
                    state.resign().await;
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
    /// Makes one pass. Returns the pause before the next.
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

    /// Returns whether states were left unread.
    async fn look(&mut self) -> Result<bool, Failure> {
        let barred = self.args.context.gate.barred().is_some();
        if barred {
            // The node's store may be the wrong one: objects would look missing or unnamed that are not.
            self.resign().await;
        }
        let args = &self.args;
        if barred || !self.lead.keep(&args.context, args.leases.as_ref()).await? {
            self.orders = Orders::default();
            self.records = Records::default();
            self.sweep = Sweep::default();
            return Ok(false);
        }
        if self.orders.read_on(args).await? {
            return Ok(true);
        }
        waits::tell(args).await;
        self.orders.look(args).await?;
        self.records.look(args).await?;
        self.sweep.look(args, &mut self.orders).await?;
        Ok(false)
    }

    async fn resign(&mut self) {
        self.lead.resign(&self.args.context, self.args.leases.as_ref()).await;
    }

    fn schedule(&self, myself: &ActorRef<Message>, pause: Duration) {
        let (drain, myself) = (self.args.context.drain.clone(), myself.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = drain.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
            if myself.cast(Message::Pass).is_err() {
                tracing::debug!("the reconciler ended between two passes");
            }
        });
    }
}
