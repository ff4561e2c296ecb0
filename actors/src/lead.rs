//! A candidate for the lease of an office. One node at a time holds it and works.

use std::time::Duration;

use jetreel_domain::upkeep::leadership::{self, Office};
use jetreel_domain::words::failure::Failure;

use crate::config::Context;
use crate::event::Event;
use crate::ports::{Leases, Swap};

/// Timeout of a resignation.
const RESIGN_WAIT: Duration = Duration::from_secs(2);

/// An actor as a candidate for the lease.
pub(crate) struct Lead {
    office: Office,
    holder: String,
    /// Time after which another candidate may take the lease.
    lease_seconds: i64,
    leads: bool,
}

impl Lead {
    /// A candidate with the unique name `holder`.
    pub(crate) fn new(office: Office, holder: String, lease_seconds: i64) -> Self {
        Self { office, holder, lease_seconds, leads: false }
    }

    /// Says whether this node leads.
    pub(crate) fn tell(&self, context: &Context) {
        let (office, leads) = (self.office, self.leads);
        context.ports.environment.emit(Event::Leading { office, leads });
    }

    /// Takes or renews the lease. `false` if another candidate holds it.
    pub(crate) async fn keep(
        &mut self,
        context: &Context,
        leases: &dyn Leases,
    ) -> Result<bool, Failure> {
        let kept = self.try_keep(context, leases).await;
        let leads = matches!(kept, Ok(true));
        if leads != self.leads {
            self.set(context, leads);
        }
        kept
    }

    fn set(&mut self, context: &Context, leads: bool) {
        self.leads = leads;
        self.tell(context);
    }

    async fn try_keep(&self, context: &Context, leases: &dyn Leases) -> Result<bool, Failure> {
        let found = leases.lease(self.office).await?;
        let (old, revision) = match &found {
            Some(found) => (Some(&found.value), found.revision),
            None => (None, 0),
        };
        let now = context.ports.environment.now();
        let lease = self.lease_seconds;
        if old.is_some_and(|old| leadership::is_fresh(old, &self.holder, now, lease)) {
            return Ok(true);
        }
        let node = &context.config.node;
        let Some(mine) = leadership::take(old, &self.holder, node, now, lease) else {
            return Ok(false);
        };
        let swapped = leases.swap_lease(self.office, &mine, revision).await?;
        Ok(matches!(swapped, Swap::Done(_)))
    }

    /// Releases the lease if it is held. If that fails, the successor waits until the lease expires.
    pub(crate) async fn resign(&mut self, context: &Context, leases: &dyn Leases) {
        if !self.leads {
            return;
        }
        self.set(context, false);
        let (office, resigned) = (self.office.as_str(), self.free(leases));
        // Resigning is best effort: the node is going down, and the lease expires by itself.
        match tokio::time::timeout(RESIGN_WAIT, resigned).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => {
                tracing::debug!(office, %failure, "the lease could not be released; it expires by itself");
            }
            Err(_) => {
                tracing::debug!(office, "the lease could not be released; it expires by itself");
            }
        }
    }

    async fn free(&self, leases: &dyn Leases) -> Result<(), Failure> {
        let Some(found) = leases.lease(self.office).await? else { return Ok(()) };
        if found.value.holder == self.holder {
            let free = leadership::resign(&found.value);
            leases.swap_lease(self.office, &free, found.revision).await?;
        }
        Ok(())
    }
}
