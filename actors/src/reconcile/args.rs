//! What the reconciler needs.

use std::sync::Arc;

use jetreel_domain::words::failure::{Failure, Severity};

use crate::binding::{Binding, Bound};
use crate::config::Context;
use crate::event::Event;
use crate::ports::{Nodes, Survey};
use crate::trial;

/// What the reconciler needs.
#[derive(Clone)]
pub struct Args {
    /// The node.
    pub context: Context,
    /// The queues as a whole.
    pub survey: Arc<dyn Survey>,
    /// What nodes say of themselves.
    pub nodes: Arc<dyn Nodes>,
    /// That the store is the broker's: without it nothing is swept.
    pub bound: Bound,
    /// Where that is looked up again.
    pub binding: Arc<dyn Binding>,
}

impl Args {
    /// Tells what is wrong with one entry, which keeps nobody from the others.
    ///
    /// # Errors
    /// When broker or store are away: for the others too.
    pub(super) async fn pass_over(&self, failure: Failure) -> Result<(), Failure> {
        if failure.severity == Severity::DependencyFault && self.is_away(&failure).await {
            return Err(failure);
        }
        let event = Event::StageFault { stage: "reconcile", failure };
        self.context.ports.environment.emit(event);
        Ok(())
    }

    /// Nothing is charged here: where the store fails at one object, it is enough that it is fine for others.
    async fn is_away(&self, failure: &Failure) -> bool {
        match &failure.object {
            Some(touched) => !trial::answers(&self.context.ports, touched.key()).await,
            None => true,
        }
    }
}
