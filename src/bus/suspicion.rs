//! Signs that something declared is missing, for who looks after it; and what he found, for who asks whether work can go on.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::connection::Bus;
use super::severity::{Fault, STREAM_NOT_FOUND};

/// What is suspected to be missing, and what is known to be.
#[derive(Debug, Default)]
pub(super) struct Suspicion {
    raised: Notify,
    /// A message may be there that no consumer can deliver.
    garbled: Notify,
    /// Streams without which no work comes to its end, in words.
    lacking: Mutex<Option<String>>,
}

impl Suspicion {
    /// A message may be there that no consumer can deliver.
    pub(super) fn garbled(&self) {
        self.garbled.notify_one();
    }
}

impl Bus {
    /// Returns when the connection broke: over a message that no consumer can deliver, perhaps.
    pub(super) async fn suspects_garbled(&self) {
        self.suspicion.garbled.notified().await;
    }

    /// Returns when an answer was as of a stream or consumer that is missing.
    pub async fn suspects(&self) {
        self.suspicion.raised.notified().await;
    }

    /// Takes note of streams that no work can do without and that are missing, in words: until they are there, no probe succeeds.
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

    /// Looks at a fault, as of a stream that is missing or of an election.
    pub(super) fn suspect(&self, fault: &Fault) {
        if fault.is_absent() || matches!(fault, Fault::NoResponders) {
            self.suspicion.raised.notify_one();
        }
    }

    /// The fault of a pull: that its consumer is missing, where it is; nobody answers for it then, as in an election.
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

/// Status of a pull whose consumer or stream was deleted meanwhile.
const CONFLICT: usize = 409;
