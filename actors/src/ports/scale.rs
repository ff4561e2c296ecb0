//! What the scaler acts on: its hook, node processes on its machine, and the wish that every node can read.

use std::sync::Arc;

use jetreel_domain::scale::call::Call;
use jetreel_domain::scale::wish::Wish;
use tokio::sync::oneshot;

use super::call::PortFuture;
use super::reading::Versioned;

/// The wish of the deciding scaler.
pub trait Wishes: Send + Sync {
    /// Writes it in place of the last one.
    fn tell_wish<'a>(&'a self, wish: &'a Wish) -> PortFuture<'a, ()>;
    /// The last one, from the leader. It expires some time after its last renewal.
    fn wish(&self) -> PortFuture<'_, Option<Versioned<Wish>>>;
}

/// The operator's hook for the wanted number of nodes.
pub trait ScaleHook: Send + Sync {
    /// Makes one call within a bounded time.
    fn call<'a>(&'a self, call: &'a Call) -> PortFuture<'a, ()>;
}

/// Starts node processes on this machine.
pub trait LocalNodes: Send + Sync {
    /// Starts the process with that number. It ends when this process ends, however that happens.
    fn start(&self, number: u32) -> PortFuture<'_, LocalNode>;
}

/// A started node process.
pub struct LocalNode {
    pub process: Arc<dyn LocalProcess>,
    /// How the process ended, once it has.
    pub ended: oneshot::Receiver<String>,
}

/// The handle of a node process. Signals to a process that has ended do nothing.
pub trait LocalProcess: Send + Sync {
    /// Process id.
    fn id(&self) -> u32;
    /// Begins its drain. The second time it puts its work down at once.
    fn drain(&self);
    /// Ends it as a power failure would.
    fn kill(&self);
}
