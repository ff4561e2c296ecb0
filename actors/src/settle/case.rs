//! A message that failed, with its context.

use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::words::failure::{Failure, Severity};

use crate::claims::Held;
use crate::config::Context;
use crate::event::Event;
use crate::ports::{Delivery, Stored};

/// A message that failed.
pub(crate) struct Case<'a> {
    pub(crate) context: &'a Context,
    /// Stage of the message.
    pub(crate) stage: Stage,
    pub(crate) origin: Origin<'a>,
}

/// Where the message comes from.
pub(crate) enum Origin<'a> {
    /// A delivery in hand.
    Delivery(&'a dyn Delivery),
    /// A message in its stream that the broker gave up.
    Stranded(&'a Stored),
}

impl Origin<'_> {
    pub(super) fn sequence(&self) -> u64 {
        match self {
            Self::Delivery(delivery) => delivery.sequence(),
            Self::Stranded(stored) => stored.sequence,
        }
    }

    /// Renews the lease for a step that takes a moment.
    pub(super) async fn renew(&self) -> Result<(), Failure> {
        match self {
            Self::Delivery(delivery) => delivery.renew().await,
            Self::Stranded(_) => Ok(()),
        }
    }
}

impl Case<'_> {
    /// Reports that another worker holds the claim.
    pub(crate) fn lost(&self, held: &Held) {
        let (order, unit) = (held.order.clone(), held.unit.clone());
        let event = Event::ClaimLost { stage: self.stage, order, unit };
        self.context.ports.environment.emit(event);
    }

    /// Reports a failure met while the case is settled.
    pub(super) fn report(&self, failure: Failure) {
        let context = self.context;
        // A lease that ran out is no failure of the broker.
        if failure.severity == Severity::DependencyFault && failure.code != "lease-renewal" {
            context.gate.on_failure(&context.ports, &failure);
        }
        let event = Event::StageFault { stage: self.stage.as_str(), failure };
        context.ports.environment.emit(event);
    }
}
