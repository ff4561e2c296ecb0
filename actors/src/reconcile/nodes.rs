//! Which codec builds there are, by what nodes say of themselves.

use jetreel_domain::presence::Roll;
use tokio::time::Instant;

use super::actor::Args;
use crate::event::Event;

/// Words read in one pass; more are read in the next.
const WORDS_PER_PASS: usize = 500;

/// The nodes, as long as this reconciler leads.
pub(super) struct Nodes {
    started: Instant,
    read: u64,
    roll: Roll,
}

impl Default for Nodes {
    fn default() -> Self {
        Self { started: Instant::now(), read: 0, roll: Roll::default() }
    }
}

impl Nodes {
    /// Reads what was said since the last look. Where that fails, nothing is said of builds; the rest goes on.
    pub(super) async fn look(&mut self, args: &Args) {
        match args.nodes.said(self.read, WORDS_PER_PASS).await {
            Ok((said, read)) => {
                self.read = read;
                let patience = args.context.config.reconciler.build_seconds;
                self.roll.hear(self.started.elapsed().as_secs(), said, patience);
            }
            Err(failure) => {
                self.roll.miss();
                let event = Event::StageFault { stage: "reconcile", failure };
                args.context.ports.environment.emit(event);
            }
        }
    }

    /// Whether an order that was planned with `build` can only be planned anew.
    pub(super) fn strand(&self, build: &str) -> bool {
        self.roll.strands(build)
    }
}
