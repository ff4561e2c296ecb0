//! Arguments of the reconciler.

use std::sync::Arc;

use jetreel_domain::words::failure::{Failure, Severity};

use crate::binding::{Binding, Bound};
use crate::config::Context;
use crate::event::Event;
use crate::ports::{Leases, Nodes, Survey};
use crate::trial;

/// Arguments of the reconciler.
#[derive(Clone)]
pub struct Args {
    pub context: Context,
    pub survey: Arc<dyn Survey>,
    pub nodes: Arc<dyn Nodes>,
    pub leases: Arc<dyn Leases>,
    /// Proof that the store is bound to the broker. Nothing is swept without it.
    pub bound: Bound,
    /// Port to verify the binding again.
    pub binding: Arc<dyn Binding>,
}

impl Args {
    /// Reports a failure that concerns one entry, so that the pass continues with the others.
    ///
    /// # Errors
    /// Broker or store are down, which concerns every entry.
    pub(super) async fn pass_over(&self, failure: Failure) -> Result<(), Failure> {
        if failure.severity == Severity::DependencyFault && self.is_away(&failure).await {
            return Err(failure);
        }
        let event = Event::StageFault { stage: "reconcile", failure };
        self.context.ports.environment.emit(event);
        Ok(())
    }

    /// No attempt is charged here: if the store fails at one object, it suffices that it works for others.
    async fn is_away(&self, failure: &Failure) -> bool {
        match &failure.object {
            Some(touched) => !trial::answers(&self.context.ports, touched.key()).await,
            None => true,
        }
    }
}
