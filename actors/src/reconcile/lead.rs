//! The lease of the reconciler: one node at a time does its work.

use jetreel_domain::upkeep::leadership;
use jetreel_domain::words::failure::Failure;

use super::args::Args;
use crate::event::{Event, Reconciled};
use crate::ports::Swap;

/// What a resignation may take.
const RESIGN_WAIT: std::time::Duration = std::time::Duration::from_secs(2);

/// This reconciler as a candidate.
pub(super) struct Lead {
    holder: String,
    leads: bool,
}

impl Lead {
    /// A candidate that is told from all others by `holder`.
    pub(super) fn new(holder: String) -> Self {
        Self { holder, leads: false }
    }

    /// Takes or renews the lease; `false` where another holds it.
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

    /// Leaves the lease to the next, where it is held. A failure costs the next one a wait.
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
        // Nobody waits long for a courtesy: the node is going down.
        match tokio::time::timeout(RESIGN_WAIT, resigned).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => {
                tracing::debug!(%failure, "the reconciler's lease was left to run out")
            }
            Err(_) => tracing::debug!("the reconciler's lease was left to run out"),
        }
    }
}
