//! Settlement of a delivery.

use std::time::Duration;

use jetreel_domain::words::failure::Failure;

use crate::ports::Delivery;

/// How a delivery is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// Acknowledge: the work is done or not wanted any more.
    Ack,
    /// Deliver the message again after this delay.
    HandBack(Duration),
    /// Never deliver the message again, for this reason.
    Terminate(String),
    /// Do not settle: another worker holds the claim or may hold it, and settles the message.
    LetGo,
}

impl Settlement {
    /// Sends the settlement to the broker.
    pub(crate) async fn tell(self, delivery: &dyn Delivery) -> Result<(), Failure> {
        match self {
            Self::Ack => delivery.ack().await,
            Self::HandBack(after) => delivery.hand_back(after).await,
            Self::Terminate(reason) => delivery.terminate(&reason).await,
            Self::LetGo => Ok(()),
        }
    }
}
