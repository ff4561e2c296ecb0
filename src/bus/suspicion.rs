//! Signs that a declared stream or consumer is missing. The upkeep task awaits them, and records which streams are missing for the probe.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::connection::Bus;
use super::severity::{Fault, STREAM_NOT_FOUND};

/// Suspected and known losses.
#[derive(Debug, Default)]
pub(super) struct Suspicion {
    raised: Notify,
    /// Notified when a message may exist that no consumer can deliver.
    garbled: Notify,
    /// Names of missing streams without which no work completes; `None` if there are none.
    lacking: Mutex<Option<String>>,
}

impl Suspicion {
    /// Reports that a message may exist that no consumer can deliver.
    pub(super) fn garbled(&self) {
        self.garbled.notify_one();
    }
}

impl Bus {
    /// Returns when a connection broke, perhaps at a message that no consumer can deliver.
    pub(super) async fn suspects_garbled(&self) {
        self.suspicion.garbled.notified().await;
    }

    /// Returns when an answer suggested that a stream or consumer is missing.
    pub async fn suspects(&self) {
        self.suspicion.raised.notified().await;
    }

    /// Records the missing streams that all work needs, as text. No probe succeeds until it is `None` again.
    pub fn lacks(&self, lacking: Option<String>) {
        *self.suspicion.lacking.lock().unwrap_or_else(PoisonError::into_inner) = lacking;
    }

    pub(super) fn lacking(&self) -> Result<(), Fault> {
        let lacking = self.suspicion.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        match lacking.clone() {
            None => Ok(()),
            Some(description) => {
                Err(Fault::Refused { status: 404, code: STREAM_NOT_FOUND, description })
            }
        }
    }

    /// Checks a fault for signs of a missing stream or of an election.
    pub(super) fn suspect(&self, fault: &Fault) {
        if fault.is_absent() || matches!(fault, Fault::NoResponders) {
            self.suspicion.raised.notify_one();
        }
    }

    /// The fault of a pull. If its consumer is missing, that is the fault; otherwise an election leaves it without an answer.
    pub(super) async fn of_pull(&self, stream: &str, consumer: &str, fault: Fault) -> Fault {
        let looks_absent = match &fault {
            Fault::NoResponders => true,
            Fault::Refused { status, .. } => *status == CONFLICT,
            Fault::Timeout
            | Fault::Connection(_)
            | Fault::TooLarge
            | Fault::BadSubject
            | Fault::Malformed(_)
            | Fault::Newer(_)
            | Fault::Contradicting(_)
            | Fault::Unreadable(_) => false,
        };
        if !looks_absent {
            return fault;
        }
        let path = format!("CONSUMER.INFO.{stream}.{consumer}");
        match self.api::<Value>(path, &json!({})).await {
            Err(Fault::Refused { status, code, description }) => {
                let description = format!("{stream}/{consumer}: {description}");
                Fault::Refused { status, code, description }
            }
            Ok(_) | Err(_) => fault,
        }
    }
}

/// Status of a pull whose consumer or stream was deleted in the meantime.
const CONFLICT: usize = 409;
