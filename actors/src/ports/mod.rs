//! The ports of the stages: traits for broker, store, codec and environment, implemented by the shell.
//!
//! Nothing here names a client library: no broker, store, metrics or codec library.

mod call;
mod reading;
mod delivery;
mod broker;
mod letters;
mod survey;
mod load;
mod scale;
mod store;
mod codec;

use std::sync::Arc;

pub use broker::{Broker, Claims, Facts, Ledger, PartLogs, Queues, Remains, Videos};
pub use call::{PortFuture, Swap, WriteOnce};
pub use codec::{Codec, CodecSession, ProcessBudget};
pub use delivery::{Delivered, Delivery, Forged, LostSight, Stored};
pub use letters::{DeadLetters, Hook};
pub use load::{Finished, Gauges, Leases};
pub use reading::{Changed, Changes, Extent, Overheard, States, Versioned};
pub use scale::{LocalNode, LocalNodes, LocalProcess, ScaleHook, Wishes};
pub use store::{Met, ObjectReader, ObjectWriter, PIECE_BYTES, Readable, Store, Walk};
pub use survey::{NodeReports, Nodes, OddWord, Survey};

use jetreel_domain::delivery::trace::TraceParent;
use tracing::Span;

use crate::event::Event;

/// Clock, randomness and telemetry, so that tests can replace them.
pub trait Environment: Send + Sync {
    /// Seconds since the Unix epoch.
    fn now(&self) -> i64;
    /// A fresh random UUID.
    fn uuid(&self) -> String;
    /// A random number in `0.0..=1.0`.
    fn chance(&self) -> f64;
    /// Reports an event.
    fn emit(&self, event: Event);
    /// Makes a span that was not entered yet a child of a span of another node. Nothing is done where nothing is traced.
    fn adopt(&self, _: &Span, _parent: TraceParent) {}
    /// Names in a span another one that also caused it.
    fn link(&self, _: &Span, _cause: TraceParent) {}
    /// The current span. `None` where nothing is traced.
    fn traced(&self) -> Option<TraceParent> {
        None
    }
}

/// All ports, shared by every actor.
#[derive(Clone)]
pub struct Ports {
    /// Queues and state.
    pub broker: Arc<dyn Broker>,
    pub letters: Arc<dyn DeadLetters>,
    /// Objects.
    pub store: Arc<dyn Store>,
    /// Codec processes.
    pub codec: Arc<dyn Codec>,
    /// Time, chance, telemetry.
    pub environment: Arc<dyn Environment>,
}
