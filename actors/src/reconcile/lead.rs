//! The lease of the reconciler. One node at a time holds it and works.

use jetreel_domain::upkeep::leadership;
use jetreel_domain::words::failure::Failure;

use super::args::Args;
use crate::event::{Event, Reconciled};
use crate::ports::Swap;

/// Timeout of a resignation.
const RESIGN_WAIT: std::time::Duration = std::time::Duration::from_secs(2);

/// This reconciler as a candidate for the lease.
pub(super) struct Lead {
    holder: String,
    leads: bool,
}

impl Lead {
    /// A candidate with the unique name `holder`.
    pub(super) fn new(holder: String) -> Self {
        Self { holder, leads: false }
    }

    /// Takes or renews the lease. `false` if another candidate holds it.
    pub(super) async fn keep(&mut self, args: &Args) -> Result<bool, Failure> {
        let kept = self.try_keep(args).await;
        let leads = matches!(kept, Ok(true));
        if leads != self.leads {
            self.leads = leads;
            args.context.ports.environment.emit(Event::Reconciled(Reconciled::Leading { leads }));
        }
        kept
    }

    async fn try_keep(&self, args: &Args) -> Result<bool, Failure> {
        let config = &args.context.config;
        let found = args.survey.leadership().await?;
        let (old, revision) = match &found {
            Some(found) => (Some(&found.value), found.revision),
            None => (None, 0),
        };
        let now = args.context.ports.environment.now();
        let lease = config.reconciler.lease_seconds;
        if old.is_some_and(|old| leadership::is_fresh(old, &self.holder, now, lease)) {
            return Ok(true);
        }
        let Some(mine) = leadership::take(old, &self.holder, &config.node, now, lease) else {
            return Ok(false);
        };
        let swapped = args.survey.swap_leadership(&mine, revision).await?;
        Ok(matches!(swapped, Swap::Done(_)))
    }

    /// Releases the lease if it is held. If that fails, the successor waits until the lease expires.
    pub(super) async fn resign(&mut self, args: &Args) {
        if !std::mem::take(&mut self.leads) {
            return;
        }
        args.context
            .ports
            .environment
            .emit(Event::Reconciled(Reconciled::Leading { leads: false }));
        let resigned = async {
            let Some(found) = args.survey.leadership().await? else { return Ok(()) };
            if found.value.holder == self.holder {
                let free = leadership::resign(&found.value);
                args.survey.swap_leadership(&free, found.revision).await?;
            }
            Ok::<(), Failure>(())
        };
        // Resigning is best effort: the node is going down, and the lease expires by itself.
        match tokio::time::timeout(RESIGN_WAIT, resigned).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => {
                tracing::debug!(%failure, "the reconciler's lease could not be released; it expires by itself")
            }
            Err(_) => tracing::debug!(
                "the reconciler's lease could not be released; it expires by itself"
            ),
        }
    }
}
