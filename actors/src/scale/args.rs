//! What the parts of the scaler work with, and the channels between them.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::scale::call::Call;
use jetreel_domain::scale::demand::Demand;
use jetreel_domain::scale::locals::Bounds;
use jetreel_domain::scale::policy::Policy;
use tokio::sync::watch;

use crate::ports::{LocalNodes, ScaleHook, Wishes};

/// Arguments of the scaler.
#[derive(Clone)]
pub struct Args {
    /// Whether this node may decide: it has the role `scaler`.
    pub decides: bool,
    pub policy: Policy,
    /// The load of the cluster, as long as this node leads.
    pub demand: watch::Sender<Option<Demand>>,
    pub wishes: Arc<dyn Wishes>,
    /// `None` if no hook is configured.
    pub hook: Option<Arc<dyn ScaleHook>>,
    /// `None` if no nodes are started here.
    pub locals: Option<LocalArgs>,
    /// What the slots of this node may use; `None` if their number is fixed.
    pub room: Option<Room>,
}

/// Node processes on this machine.
#[derive(Clone)]
pub struct LocalArgs {
    pub bounds: Bounds,
    /// Time that a drain may take before the process is killed.
    pub limit: Duration,
    pub nodes: Arc<dyn LocalNodes>,
}

/// What the slots of a node may use together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Cores, by the limit of the control group.
    pub cores: u32,
    /// Memory, without what the node itself needs.
    pub memory_bytes: u64,
}

/// The arguments, and the channels from the decision to what carries it out.
#[derive(Clone)]
pub struct Scaling {
    pub(super) args: Args,
    /// The newest call of the hook; `None` if this node does not decide.
    pub(super) call: watch::Sender<Option<Call>>,
    /// Node processes that should run on this machine.
    pub(super) target: watch::Sender<u32>,
}

impl Scaling {
    /// Nothing is decided yet: the fewest node processes run.
    #[must_use]
    pub fn new(args: Args) -> Self {
        let least = args.locals.as_ref().map_or(0, |locals| locals.bounds.of_wanted(0));
        Self { args, call: watch::Sender::new(None), target: watch::Sender::new(least) }
    }
}
