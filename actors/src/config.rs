//! Configuration and shared context of the stages of one node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jetreel_domain::codec::limits::Limits;
use jetreel_domain::delivery::eligibility::{Offer, Rules};
use jetreel_domain::delivery::intake::SourcePrefixes;
use jetreel_domain::delivery::retry::Schedules;
use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::id::{Group, OrderId};
use jetreel_domain::order::admission::Admission;
use jetreel_domain::order::line::Standing;
use jetreel_domain::plan::policy::PlanPolicy;
use jetreel_domain::upkeep::peers::Peers;
use jetreel_domain::upkeep::reconcile::Policy;
use jetreel_domain::upkeep::relations::Lease;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::gate::Gate;
use crate::parts::Lists;
use crate::plans::Plans;
use crate::ports::Ports;
use crate::slots::OpenSlots;

/// Branches of the supervision tree that a node runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    /// Stages that the node works for.
    pub stages: BTreeSet<Stage>,
    /// Finds messages that the broker gave up after too many deliveries.
    pub deadletter: bool,
    /// Repairs from state what the queues lost.
    pub reconcile: bool,
    /// Shows jobs with their places in line.
    pub gateway: bool,
}

impl Roles {
    /// All roles.
    #[must_use]
    pub fn all() -> Self {
        Self { stages: Stage::ALL.into(), deadletter: true, reconcile: true, gateway: true }
    }
}

/// Settings of the stages.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of this node.
    pub node: String,
    /// Names of the roles as in the settings. Shown to operators and sent to other nodes.
    pub roles: BTreeSet<String>,
    /// Tasks that run at once on this node.
    pub slots: usize,
    /// How many of `slots` only tasks of the lane `high` may take.
    pub slots_for_high: usize,
    /// Threads of one picture task.
    pub task_threads: u32,
    /// Most tasks of a group that run at once. A group without an entry may take every slot.
    pub group_slots: BTreeMap<Group, usize>,
    /// What groups need, and when lanes and groups are taken. The same on all nodes.
    pub rules: Rules,
    /// Labels and hours of this node.
    pub offer: Offer,
    /// Uploads probed at once.
    pub ingest_slots: usize,
    /// Policy by which orders are planned.
    pub policy: PlanPolicy,
    /// Limits of a source and its tasks.
    pub limits: Limits,
    /// Key prefixes from which a message may name another source.
    pub sources: SourcePrefixes,
    /// Lease of each delivery.
    pub lease: Lease,
    /// Longest wait of one pull.
    pub pull_wait: Duration,
    /// Delays before a failed message is tried again.
    pub retry: Schedules,
    /// Whether refused media is buried in the dead letters.
    pub bury_refused: bool,
    /// Pause between two searches for messages that the broker gave up.
    pub sweep_every: Duration,
    /// Delays after which the reconciler repairs.
    pub reconciler: Policy,
}

impl Config {
    /// Whether this node publishes.
    #[must_use]
    pub fn publishes(&self) -> bool {
        self.roles.contains(Stage::Publish.as_str())
    }

    /// Whether this node encodes.
    #[must_use]
    pub fn encodes(&self) -> bool {
        self.roles.contains(Stage::Encode.as_str())
    }
}

/// Context of one node, shared by its actors.
#[derive(Clone)]
pub struct Context {
    pub config: Arc<Config>,
    /// Id of this start of the node. Set when the supervision tree starts.
    start: Arc<str>,
    pub ports: Ports,
    /// Cache of plans.
    pub plans: Arc<Plans>,
    /// Nodes known from their heartbeats.
    pub peers: Arc<Mutex<Peers>>,
    /// Whose turn it is to release tasks. Followed only by nodes that plan or publish or have a gateway.
    line: Arc<Mutex<Admission>>,
    /// Tasks that this node has in hand.
    pub busy: watch::Sender<usize>,
    /// Cache of part lists.
    pub lists: Arc<Lists>,
    /// Slots that may take tasks.
    pub(crate) slots: OpenSlots,
    /// Open while broker or store fail: the stages then pull nothing.
    pub gate: Arc<Gate>,
    /// Cancelled when the node drains: the stages pull nothing more and finish the work in hand.
    pub drain: CancellationToken,
    /// Cancelled when the grace of a drain is over: work in hand is handed back, and its attempts are not charged.
    pub put_down: CancellationToken,
}

impl Context {
    /// A context for one node.
    #[must_use]
    pub fn new(config: Config, ports: Ports) -> Self {
        let slots = OpenSlots::new(config.slots);
        Self {
            config: Arc::new(config),
            start: Arc::default(),
            plans: Arc::new(Plans::default()),
            peers: Arc::default(),
            line: Arc::default(),
            busy: watch::Sender::default(),
            lists: Arc::new(Lists::default()),
            slots,
            gate: Arc::new(Gate::default()),
            ports,
            drain: CancellationToken::new(),
            put_down: CancellationToken::new(),
        }
    }

    /// The context of the start with this id.
    pub(crate) fn of_start(self, id: &str) -> Self {
        Self { start: id.into(), ..self }
    }

    /// Id of this start of the node.
    pub(crate) fn start(&self) -> &str {
        &self.start
    }

    /// Nodes known from their heartbeats. The guard must not be held across an await.
    pub(crate) fn peers(&self) -> MutexGuard<'_, Peers> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where an order stands in its line, as far as this node has followed the states.
    #[must_use]
    pub fn standing(&self, order: &OrderId) -> Option<Standing> {
        self.line().line().standing(order)
    }

    /// Whose turn it is to release tasks. The guard must not be held across an await.
    pub(crate) fn line(&self) -> MutexGuard<'_, Admission> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
