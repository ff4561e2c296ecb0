//! The gauge: an actor on every node with the role, of which the holder of the lease measures.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::scale::arrivals::Arrivals;
use jetreel_domain::scale::demand::Demand;
use jetreel_domain::upkeep::leadership::Office;
use jetreel_domain::words::failure::Failure;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::watch;
use tokio::time::Instant;

use super::reader::{Reader, Sources};
use crate::config::Context;
use crate::event::Event;
use crate::lead::Lead;
use crate::ports::Leases;

/// Pause between two measurements.
const READ_EVERY: Duration = Duration::from_secs(5);

/// Lease of the measuring node. After three missed measurements another node takes over.
const LEASE_SECONDS: i64 = 20;

/// Messages of the gauge.
#[derive(Debug)]
pub enum Message {
    /// Measure the load, if this node leads.
    Measure,
}

/// Ports of the gauge, besides those of its node.
#[derive(Clone)]
pub struct Measures {
    pub sources: Sources,
    /// Where the scaler of this node reads the demand. `None`: this node does not lead.
    pub demand: watch::Sender<Option<Demand>>,
}

impl Measures {
    /// Arguments of the gauge of a node.
    pub(crate) fn args(self, context: Context, leases: Arc<dyn Leases>) -> Args {
        Args { context, leases, sources: self.sources, demand: self.demand }
    }
}

/// Arguments of the gauge.
#[derive(Clone)]
pub struct Args {
    pub context: Context,
    pub leases: Arc<dyn Leases>,
    pub sources: Sources,
    /// See [`Measures::demand`].
    pub demand: watch::Sender<Option<Demand>>,
}

/// Memory of the gauge. Its successor starts without it.
pub struct State {
    args: Args,
    lead: Lead,
    /// `None` while another node leads.
    reader: Option<Reader>,
    arrivals: Arrivals,
    /// Slots of a node, as last reported by any.
    slots_per_node: u32,
    started: Instant,
}

/// The gauge.
pub struct Gauge;

impl Actor for Gauge {
    type Msg = Message;
    type State = State;
    type Arguments = Args;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        args: Args,
    ) -> Result<State, ActorProcessingErr> {
        myself.cast(Message::Measure)?;
        let holder = args.context.ports.environment.uuid();
        let lead = Lead::new(Office::Scaler, holder, LEASE_SECONDS);
        let (reader, arrivals, started) = (None, Arrivals::default(), Instant::now());
        // A gauge that was started again may have led before.
        lead.tell(&args.context);
        Ok(State { args, lead, reader, arrivals, slots_per_node: 0, started })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Measure => {
                let drain = state.args.context.drain.clone();
                tokio::select! {
                    biased;
                    () = drain.cancelled() => {}
                    () = state.measure() => {}
                }
                if drain.is_cancelled() {
                    state.resign().await;
                    myself.stop(None);
                } else {
                    state.schedule(&myself);
                }
            }
        }
        Ok(())
    }
}

impl State {
    async fn measure(&mut self) {
        if let Err(failure) = self.try_measure().await {
            let event = Event::StageFault { stage: Office::Scaler.as_str(), failure };
            self.args.context.ports.environment.emit(event);
        }
    }

    async fn try_measure(&mut self) -> Result<(), Failure> {
        let Args { context, leases, sources, .. } = &self.args;
        match self.lead.keep(context, leases.as_ref()).await {
            Ok(true) => {}
            Ok(false) => {
                self.forget();
                return Ok(());
            }
            // If the lease is still this node's, it reads on from here.
            Err(failure) => {
                self.args.demand.send_replace(None);
                return Err(failure);
            }
        }
        let is_new = self.reader.is_none();
        let build_seconds = context.config.reconciler.build_seconds;
        let reader = self.reader.get_or_insert_with(|| Reader::new(sources.clone(), build_seconds));
        let load = reader.read().await?;
        let (arrived, now) = (reader.take_arrived(), self.started.elapsed().as_secs_f64());
        // The first read finds the work of before.
        if !is_new {
            self.arrivals.add(now, arrived);
        }
        let mut demand = load.demand(now, self.arrivals.per_second(now));
        // Nodes that come are like those that were there.
        if demand.slots_per_node == 0 {
            demand.slots_per_node = self.slots_per_node;
        }
        self.slots_per_node = demand.slots_per_node;
        self.args.demand.send_replace(Some(demand));
        context.ports.environment.emit(Event::LoadMeasured(Arc::new(load)));
        Ok(())
    }

    /// Forgets what was read. The next leader reads for itself.
    fn forget(&mut self) {
        (self.reader, self.arrivals) = (None, Arrivals::default());
        self.args.demand.send_replace(None);
    }

    async fn resign(&mut self) {
        self.forget();
        self.lead.resign(&self.args.context, self.args.leases.as_ref()).await;
    }

    fn schedule(&self, myself: &ActorRef<Message>) {
        let (drain, myself) = (self.args.context.drain.clone(), myself.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = drain.cancelled() => {}
                () = tokio::time::sleep(READ_EVERY) => {}
            }
            if myself.cast(Message::Measure).is_err() {
                tracing::debug!("the gauge ended between two measurements");
            }
        });
    }
}
