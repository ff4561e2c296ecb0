//! Codec builds of the cluster, from the reports of its nodes.

use std::collections::BTreeSet;

use jetreel_domain::upkeep::presence::Roster;
use tokio::time::Instant;

use super::args::Args;
use crate::event::Event;
use crate::ports::OddWord;

/// Reports read in one pass. The next pass reads more.
const WORDS_PER_PASS: usize = 500;

/// Nodes whose unreadable reports are remembered as logged.
const TOLD_MAX: usize = 1000;

/// The nodes, as this reconciler has seen them since it leads.
pub(super) struct Nodes {
    started: Instant,
    read: u64,
    /// When the bucket that was read was created, in nanoseconds since the Unix epoch.
    born: i64,
    roster: Roster,
    /// Nodes whose reports cannot be decoded, as far as that was logged.
    told: BTreeSet<String>,
}

impl Default for Nodes {
    fn default() -> Self {
        let (roster, told) = (Roster::default(), BTreeSet::new());
        Self { started: Instant::now(), read: 0, born: 0, roster, told }
    }
}

impl Nodes {
    /// Reads the reports written since the last read. If that fails, no order is planned anew for its build; the rest of the pass goes on.
    pub(super) async fn look(&mut self, args: &Args) {
        match args.nodes.said(self.read, WORDS_PER_PASS).await {
            // The bucket was created anew: the next pass reads it from its start.
            Ok(said) if said.extent.is_another(self.born, self.read) => *self = Self::default(),
            Ok(said) => {
                self.born = said.extent.born;
                self.read = said.read;
                let patience = args.context.config.reconciler.build_seconds;
                let words = said.words.into_iter().map(|word| (word.id, word.presence));
                self.roster.hear(self.started.elapsed().as_secs(), words, patience);
                self.tell(args, said.unreadable);
            }
            Err(failure) => {
                self.roster.miss();
                let event = Event::StageFault { stage: "reconcile", failure };
                args.context.ports.environment.emit(event);
            }
        }
    }

    /// Logs once per node that its report cannot be decoded. The node counts as absent, and the other reports are still read.
    fn tell(&mut self, args: &Args, unreadable: Vec<OddWord>) {
        for OddWord { id, failure, .. } in unreadable {
            if self.told.len() < TOLD_MAX && self.told.insert(id) {
                let event = Event::StageFault { stage: "reconcile", failure };
                args.context.ports.environment.emit(event);
            }
        }
    }

    /// Whether no node has `build` any more, so that an order with this build must be planned anew.
    pub(super) fn strand(&self, build: &str) -> bool {
        self.roster.strands(build)
    }
}
