//! What the stages of one node need to know, handed down from the settings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jetreel_domain::codec::limits::Limits;
use jetreel_domain::delivery::intake::SourcePrefixes;
use jetreel_domain::delivery::retry::Schedules;
use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::id::Group;
use jetreel_domain::plan::policy::PlanPolicy;
use jetreel_domain::upkeep::peers::Peers;
use jetreel_domain::upkeep::reconcile::Policy;
use jetreel_domain::upkeep::relations::Lease;
use tokio_util::sync::CancellationToken;

use crate::gate::Gate;
use crate::parts::Lists;
use crate::plans::Plans;
use crate::ports::Ports;

/// Which branches of the tree a node runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    /// Work for these stages.
    pub stages: BTreeSet<Stage>,
    /// Find what was given up in silence.
    pub deadletter: bool,
    /// Repair from state.
    pub reconcile: bool,
}

impl Roles {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self { stages: Stage::ALL.into(), deadletter: true, reconcile: true }
    }
}

/// Settings of the stages.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node's name.
    pub node: String,
    /// Its roles, in the words of the settings, for people and for other nodes.
    pub roles: BTreeSet<String>,
    /// Tasks that run at once on this node.
    pub slots: usize,
    /// Of these, slots that only the lane `high` may take.
    pub slots_for_high: usize,
    /// Threads of one picture task that work at once.
    pub task_threads: u32,
    /// At most so many tasks of a group at once; a group that is not named may take every slot.
    pub group_slots: BTreeMap<Group, usize>,
    /// Uploads probed at once.
    pub ingest_slots: usize,
    /// How orders are planned.
    pub policy: PlanPolicy,
    /// What bounds a source and its tasks.
    pub limits: Limits,
    /// From where a message may take another source.
    pub sources: SourcePrefixes,
    /// Lease of a delivery.
    pub lease: Lease,
    /// Longest wait of one pull.
    pub pull_wait: Duration,
    /// When what failed is tried again.
    pub retry: Schedules,
    /// Whether refused media leaves a dead letter.
    pub bury_refused: bool,
    /// Between two looks for messages that the broker gave up.
    pub sweep_every: Duration,
    /// How patient repairs are.
    pub reconciler: Policy,
}

impl Config {
    /// Whether this node encodes.
    #[must_use]
    pub fn encodes(&self) -> bool {
        self.roles.contains(Stage::Encode.as_str())
    }
}

/// What every actor of a node is handed.
#[derive(Clone)]
pub struct Context {
    /// Settings.
    pub config: Arc<Config>,
    /// The world.
    pub ports: Ports,
    /// Plans this node has read.
    pub plans: Arc<Plans>,
    /// The nodes that this one heard of.
    pub peers: Arc<Mutex<Peers>>,
    /// Lists of parts this node has read.
    pub lists: Arc<Lists>,
    /// Closed while storage or broker fail: nothing is pulled then.
    pub gate: Arc<Gate>,
    /// Cancelled when the node drains: nothing more is pulled, work in hand is finished.
    pub drain: CancellationToken,
    /// Cancelled when the node's time is up: work in hand goes back, uncharged.
    pub put_down: CancellationToken,
}

impl Context {
    /// A context for one node.
    #[must_use]
    pub fn new(config: Config, ports: Ports) -> Self {
        Self {
            config: Arc::new(config),
            plans: Arc::new(Plans::default()),
            peers: Arc::default(),
            lists: Arc::new(Lists::default()),
            gate: Arc::new(Gate::default()),
            ports,
            drain: CancellationToken::new(),
            put_down: CancellationToken::new(),
        }
    }

    /// The nodes that this one heard of. Not to be held across a wait.
    pub(crate) fn peers(&self) -> MutexGuard<'_, Peers> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
