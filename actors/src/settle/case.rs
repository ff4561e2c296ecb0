//! A message in trouble.

use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::words::failure::{Failure, Severity};

use crate::claims::Held;
use crate::config::Context;
use crate::event::Event;
use crate::ports::{Delivery, Stored};

/// A message in trouble.
pub(crate) struct Case<'a> {
    /// The node.
    pub(crate) context: &'a Context,
    /// The stage whose message it is.
    pub(crate) stage: Stage,
    /// The message.
    pub(crate) origin: Origin<'a>,
}

/// Where the message is.
pub(crate) enum Origin<'a> {
    /// In hand.
    Delivery(&'a dyn Delivery),
    /// In its stream, given up by the broker.
    Stranded(&'a Stored),
}

impl Origin<'_> {
    pub(super) fn sequence(&self) -> u64 {
        match self {
            Self::Delivery(delivery) => delivery.sequence(),
            Self::Stranded(stored) => stored.sequence,
        }
    }

    /// Keeps it in hand for what takes a moment.
    pub(super) async fn renew(&self) -> Result<(), Failure> {
        match self {
            Self::Delivery(delivery) => delivery.renew().await,
            Self::Stranded(_) => Ok(()),
        }
    }
}

impl Case<'_> {
    /// Notes that the claim is another's.
    pub(crate) fn lost(&self, held: &Held) {
        let (order, unit) = (held.order.clone(), held.unit.clone());
        let event = Event::ClaimLost { stage: self.stage, order, unit };
        self.context.ports.environment.emit(event);
    }

    /// Trouble while a failure is dealt with.
    pub(super) fn report(&self, failure: Failure) {
        let context = self.context;
        // A lease that ran out says nothing of the broker.
        if failure.severity == Severity::DependencyFault && failure.code != "lease-renewal" {
            context.gate.on_failure(&context.ports, &failure);
        }
        let event = Event::StageFault { stage: self.stage.as_str(), failure };
        context.ports.environment.emit(event);
    }
}
