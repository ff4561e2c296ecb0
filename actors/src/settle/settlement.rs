//! What is said to the broker about a delivery.

use std::time::Duration;

use jetreel_domain::words::failure::Failure;

use crate::ports::Delivery;

/// What to do with a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// Its work is done, or nothing is wanted any more.
    Ack,
    /// Deliver it again.
    HandBack(Duration),
    /// Never deliver it again.
    Terminate(String),
    /// Not ours to settle: somebody else holds the claim, or may; their message, their word.
    LetGo,
}

impl Settlement {
    /// Says it.
    pub(crate) async fn tell(self, delivery: &dyn Delivery) -> Result<(), Failure> {
        match self {
            Self::Ack => delivery.ack().await,
            Self::HandBack(after) => delivery.hand_back(after).await,
            Self::Terminate(reason) => delivery.terminate(&reason).await,
            Self::LetGo => Ok(()),
        }
    }
}
