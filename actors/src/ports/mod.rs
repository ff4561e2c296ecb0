//! The world as the stages see it: traits, implemented by the shell.
//!
//! Absent on purpose: nothing here names a broker, a store library, a metrics library or a codec library.

mod call;
mod reading;
mod delivery;
mod broker;
mod letters;
mod survey;
mod store;
mod codec;

use std::sync::Arc;

pub use broker::{Broker, Claims, Facts, Ledger, PartLogs, Queues, Remains, Videos};
pub use call::{PortFuture, Swap, WriteOnce};
pub use codec::{Codec, CodecSession, ProcessBudget};
pub use delivery::{Delivered, Delivery, Forged, LostSight, Stored};
pub use letters::{DeadLetters, Hook};
pub use reading::{Changed, Changes, Extent, States, Versioned};
pub use store::{Met, ObjectWriter, Readable, Store, Walk};
pub use survey::{NodeReports, Nodes, OddWord, Survey};

use crate::event::Event;

/// Time and chance, so that stages can be run with others.
pub trait Environment: Send + Sync {
    /// Seconds since the Unix epoch.
    fn now(&self) -> i64;
    /// A fresh random UUID.
    fn uuid(&self) -> String;
    /// A random number from 0 to 1.
    fn chance(&self) -> f64;
    /// Something observable happened.
    fn emit(&self, event: Event);
}

/// All ports together, handed to every actor.
#[derive(Clone)]
pub struct Ports {
    /// Queues and state.
    pub broker: Arc<dyn Broker>,
    /// Dead letters.
    pub letters: Arc<dyn DeadLetters>,
    /// Objects.
    pub store: Arc<dyn Store>,
    /// Codec processes.
    pub codec: Arc<dyn Codec>,
    /// Time, chance, telemetry.
    pub environment: Arc<dyn Environment>,
}
