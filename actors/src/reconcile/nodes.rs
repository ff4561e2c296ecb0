//! Which codec builds there are, by what nodes say of themselves.

use std::collections::BTreeSet;

use jetreel_domain::upkeep::presence::Roster;
use tokio::time::Instant;

use super::args::Args;
use crate::event::Event;
use crate::ports::OddWord;

/// Words read in one pass; more are read in the next.
const WORDS_PER_PASS: usize = 500;

/// Nodes that are remembered as told of.
const TOLD_MAX: usize = 1000;

/// The nodes, as long as this reconciler leads.
pub(super) struct Nodes {
    started: Instant,
    read: u64,
    /// When the bucket was made that was read.
    born: i64,
    roster: Roster,
    /// Nodes whose words cannot be understood, as far as that was told.
    told: BTreeSet<String>,
}

impl Default for Nodes {
    fn default() -> Self {
        let (roster, told) = (Roster::default(), BTreeSet::new());
        Self { started: Instant::now(), read: 0, born: 0, roster, told }
    }
}

impl Nodes {
    /// Reads what was said since the last look. Where that fails, nothing is said of builds; the rest goes on.
    pub(super) async fn look(&mut self, args: &Args) {
        match args.nodes.said(self.read, WORDS_PER_PASS).await {
            // What is said anew is heard with the next pass.
            Ok(said) if said.extent.is_another(self.born, self.read) => *self = Self::default(),
            Ok(said) => {
                self.born = said.extent.born;
                self.read = said.read;
                let patience = args.context.config.reconciler.build_seconds;
                self.roster.hear(self.started.elapsed().as_secs(), said.words, patience);
                self.tell(args, said.unreadable);
            }
            Err(failure) => {
                self.roster.miss();
                let event = Event::StageFault { stage: "reconcile", failure };
                args.context.ports.environment.emit(event);
            }
        }
    }

    /// What one node says in words of its own keeps nobody from hearing the others; of it nothing is known, as if it were silent. Told once
    /// a node.
    fn tell(&mut self, args: &Args, unreadable: Vec<OddWord>) {
        for OddWord { id, failure, .. } in unreadable {
            if self.told.len() < TOLD_MAX && self.told.insert(id) {
                let event = Event::StageFault { stage: "reconcile", failure };
                args.context.ports.environment.emit(event);
            }
        }
    }

    /// Whether an order that was planned with `build` can only be planned anew.
    pub(super) fn strand(&self, build: &str) -> bool {
        self.roster.strands(build)
    }
}
