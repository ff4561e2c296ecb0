//! The root supervisor.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::upkeep::restart::{RestartBudget, Verdict};
use jetreel_domain::words::failure::Failure;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::binding::{Binding, Bound};
use crate::config::{Config, Context, Roles};
use crate::deadletter::{Caller, Sweeper};
use crate::event::Event;
use crate::load::{Gauge, Measures};
use crate::ports::{Hook, Leases, Nodes, Survey};
use crate::presence::{self, Heartbeat};
use crate::publish::{Follower, LineArgs, entries};
use crate::reconcile::{self, Reconciler};
use crate::scale::{self, Part, Scaling};
use crate::sign::Arrived;
use crate::stages;
use crate::views::Views;
use crate::worker;

/// Failures of one branch within [`WINDOW`] after which the node stops.
const FAILURES_MAX: u32 = 10;

/// Time window of [`FAILURES_MAX`].
const WINDOW: Duration = Duration::from_secs(300);

/// A branch of the supervision tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Branch {
    /// A worker of a stage, by its number. For encode, the dispatcher.
    Stage(Stage, usize),
    /// The worker for ledger entries, part of the stage publish.
    Entries,
    /// The follower of states, for the stages ingest and publish and for the gateway.
    Line,
    /// The sweeper for messages that the broker gave up.
    Sweeper,
    /// The caller of the dead-letter hook.
    Caller,
    Reconciler,
    /// The gauge of the load.
    Gauge,
    /// A part of the scaler.
    Scale(Part),
    /// The heartbeat of the node.
    Heartbeat,
}

/// Messages of the root supervisor.
#[derive(Debug)]
pub enum Message {
    /// Start a branch again.
    Restart(Branch),
    /// Drain the node.
    Drain,
}

/// Arguments of the root supervisor.
pub struct Args {
    pub context: Context,
    /// Branches that run on this node.
    pub roles: Roles,
    /// Survey of the queues, for the reconciler.
    pub survey: Arc<dyn Survey>,
    /// Port for node reports.
    pub nodes: Arc<dyn Nodes>,
    /// Leases of the reconciler and of the gauge.
    pub leases: Arc<dyn Leases>,
    /// Ports of the gauge; `None` if this node never measures the load.
    pub gauge: Option<Measures>,
    /// Proof that the store is bound to the broker.
    pub bound: Bound,
    /// Port to verify the binding again.
    pub binding: Arc<dyn Binding>,
    /// Proof that the store holds the signs of the other nodes.
    pub arrived: Arrived,
    /// The dead-letter hook; `None` if none is configured.
    pub hook: Option<Arc<dyn Hook>>,
    /// The scaler, and what sizes the slots of this node; `None` if it has neither.
    pub scaling: Option<scale::Args>,
}

/// The running branches.
pub struct State {
    context: Context,
    survey: Arc<dyn Survey>,
    nodes: Arc<dyn Nodes>,
    leases: Arc<dyn Leases>,
    gauge: Option<Measures>,
    bound: Bound,
    binding: Arc<dyn Binding>,
    arrived: Arrived,
    /// Cancelled when only the heartbeat is left of a draining node.
    alone: CancellationToken,
    hook: Option<Arc<dyn Hook>>,
    scaling: Option<Scaling>,
    views: Arc<Views>,
    running: BTreeMap<ActorId, Branch>,
    budgets: BTreeMap<Branch, RestartBudget>,
    started: Instant,
}

/// The root supervisor.
pub struct Node;

impl Actor for Node {
    type Msg = Message;
    type State = State;
    type Arguments = Args;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        args: Args,
    ) -> Result<State, ActorProcessingErr> {
        let mut state = State {
            context: args.context.of_start(args.arrived.id()),
            survey: args.survey,
            nodes: args.nodes,
            leases: args.leases,
            gauge: args.gauge,
            bound: args.bound,
            binding: args.binding,
            arrived: args.arrived,
            alone: CancellationToken::new(),
            hook: args.hook,
            scaling: args.scaling.map(Scaling::new),
            views: Arc::default(),
            running: BTreeMap::new(),
            budgets: BTreeMap::new(),
            started: Instant::now(),
        };
        let calls = state.hook.is_some();
        let mut branches = branches(&args.roles, &state.context.config, calls);
        branches.extend(state.gauge.as_ref().map(|_| Branch::Gauge));
        let scaling = state.scaling.as_ref();
        let parts = scaling.map(|scaling| scale::parts(scaling, &state.context.config));
        branches.extend(parts.into_iter().flatten().map(Branch::Scale));
        for branch in branches {
            state.start(branch, &myself).await?;
        }
        let (drain, root) = (state.context.drain.clone(), myself);
        tokio::spawn(async move {
            drain.cancelled().await;
            if root.cast(Message::Drain).is_err() {
                tracing::debug!("the supervision tree had ended before the node drained");
            }
        });
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Restart(branch) if !state.context.drain.is_cancelled() => {
                state.start(branch, &myself).await
            }
            Message::Restart(_) | Message::Drain => {
                state.wind_up(&myself);
                Ok(())
            }
        }
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(who, error) => {
                state.failed(&who, &error.to_string(), &myself)
            }
            SupervisionEvent::ActorTerminated(who, _, _) => state.ended(&who, &myself),
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

/// Branches of a node with these roles. `calls`: a dead-letter hook is configured.
fn branches(roles: &Roles, config: &Config, calls: bool) -> Vec<Branch> {
    let mut branches = vec![Branch::Heartbeat];
    let releases = [Stage::Publish, Stage::Ingest].iter().any(|stage| roles.stages.contains(stage));
    if releases || roles.gateway {
        branches.push(Branch::Line);
    }
    if roles.stages.contains(&Stage::Publish) {
        branches.push(Branch::Entries);
    }
    if roles.reconcile {
        branches.push(Branch::Reconciler);
    }
    if roles.deadletter {
        branches.push(Branch::Sweeper);
    }
    if roles.deadletter && calls {
        branches.push(Branch::Caller);
    }
    // What ends orders is there before what begins them.
    for stage in roles.stages.iter().rev() {
        let workers = 0..stages::workers(*stage, config);
        branches.extend(workers.map(|worker| Branch::Stage(*stage, worker)));
    }
    branches
}

impl State {
    async fn start(
        &mut self,
        branch: Branch,
        myself: &ActorRef<Message>,
    ) -> Result<(), ActorProcessingErr> {
        let context = self.context.clone();
        let root = myself.get_cell();
        let id = match branch {
            Branch::Stage(stage, _) => stages::start(stage, context, &self.views, root).await?,
            Branch::Sweeper => worker::start(context, Sweeper::default(), root).await?,
            Branch::Caller => {
                let Some(hook) = self.hook.clone() else { return Ok(()) };
                worker::start(context, Caller { hook }, root).await?
            }
            Branch::Entries => entries::start(context, Arc::clone(&self.views), root).await?,
            Branch::Line => {
                let args = LineArgs { context, views: Arc::clone(&self.views) };
                Follower::spawn_linked(None, Follower, args, root).await?.0.get_id()
            }
            Branch::Reconciler => {
                let (survey, nodes) = (Arc::clone(&self.survey), Arc::clone(&self.nodes));
                let (bound, binding) = (self.bound.clone(), Arc::clone(&self.binding));
                let leases = Arc::clone(&self.leases);
                let args = reconcile::Args { context, survey, nodes, leases, bound, binding };
                Reconciler::spawn_linked(None, Reconciler, args, root).await?.0.get_id()
            }
            Branch::Gauge => {
                let Some(measures) = self.gauge.clone() else { return Ok(()) };
                let args = measures.args(context, Arc::clone(&self.leases));
                Gauge::spawn_linked(None, Gauge, args, root).await?.0.get_id()
            }
            Branch::Scale(part) => {
                let Some(scaling) = &self.scaling else { return Ok(()) };
                let started = scale::start(part, scaling, context, root).await?;
                let Some(id) = started else { return Ok(()) };
                id
            }
            Branch::Heartbeat => {
                let (nodes, alone) = (Arc::clone(&self.nodes), self.alone.clone());
                let arrived = self.arrived.clone();
                let args = presence::Args { context, nodes, arrived, alone };
                Heartbeat::spawn_linked(None, Heartbeat, args, root).await?.0.get_id()
            }
        };
        self.running.insert(id, branch);
        Ok(())
    }

    fn ended(&mut self, who: &ActorCell, myself: &ActorRef<Message>) {
        if self.context.drain.is_cancelled() {
            self.running.remove(&who.get_id());
            self.wind_up(myself);
        } else {
            self.failed(who, "it stopped", myself);
        }
    }

    /// Handles the end of a branch of a draining node. The heartbeat ends last: as long as work is in hand, the node is reported.
    fn wind_up(&self, myself: &ActorRef<Message>) {
        if self.running.is_empty() {
            myself.stop(None);
        } else if self.running.values().all(|branch| *branch == Branch::Heartbeat) {
            self.alone.cancel();
        }
    }

    fn failed(&mut self, who: &ActorCell, error: &str, myself: &ActorRef<Message>) {
        let Some(branch) = self.running.remove(&who.get_id()) else { return };
        let failure = Failure::task("branch-failed", format!("The branch {branch:?} failed."))
            .with_detail(error);
        self.context.ports.environment.emit(Event::StageFault { stage: "node", failure });
        if self.context.drain.is_cancelled() {
            self.wind_up(myself);
            return;
        }
        let now = self.started.elapsed();
        let budget =
            self.budgets.entry(branch).or_insert_with(|| RestartBudget::new(FAILURES_MAX, WINDOW));
        match budget.on_failure(now) {
            Verdict::RestartAfter(delay) => {
                // The handle only serves to cancel the timer; the root supervisor outlives it.
                drop(myself.send_after(delay, move || Message::Restart(branch)));
            }
            Verdict::Escalate => myself.stop(Some(format!("{branch:?} failed too often"))),
        }
    }
}
