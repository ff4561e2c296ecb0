//! Reads the load from the broker, and remembers how far it has read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jetreel_domain::delivery::dispatch::TaskQueue;
use jetreel_domain::scale::backlog::Backlog;
use jetreel_domain::scale::load::{Load, NodeLoad};
use jetreel_domain::upkeep::presence::{self, Word};
use jetreel_domain::upkeep::waits::{self, Wait};
use jetreel_domain::words::failure::Failure;

use crate::ports::{Broker, Extent, Gauges, Nodes, Survey};

/// Node reports of one read.
const WORDS_MAX: usize = 500;
/// Heartbeats that a node may miss before it counts as gone.
const MISSED_MAX: i64 = 3;

/// Where the numbers come from.
#[derive(Clone)]
pub struct Sources {
    pub broker: Arc<dyn Broker>,
    pub survey: Arc<dyn Survey>,
    pub nodes: Arc<dyn Nodes>,
    pub gauges: Arc<dyn Gauges>,
}

/// Place in a stream that is followed.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    read: u64,
    /// When the stream was created, in nanoseconds since the Unix epoch.
    born: i64,
}

impl Place {
    /// Whether the stream is another than the one that was read.
    fn is_lost(&self, extent: &Extent) -> bool {
        extent.is_another(self.born, self.read)
    }
}

/// What was read so far.
pub struct Reader {
    sources: Sources,
    /// Time between two heartbeats of a node, in seconds.
    heartbeat: i64,
    ledger: Place,
    states: Place,
    reports: Place,
    backlog: Backlog,
    heard: BTreeMap<String, Word>,
}

impl Reader {
    /// A reader that has read nothing. `build_seconds` is the setting of the reconciler by which nodes report themselves.
    #[must_use]
    pub fn new(sources: Sources, build_seconds: u64) -> Self {
        let heartbeat = presence::interval(build_seconds).as_secs().max(1);
        Self {
            sources,
            heartbeat: i64::try_from(heartbeat).unwrap_or(i64::MAX),
            ledger: Place::default(),
            states: Place::default(),
            reports: Place::default(),
            backlog: Backlog::default(),
            heard: BTreeMap::new(),
        }
    }

    /// Reads what changed, and adds it up. The first read takes all states and the whole ledger.
    ///
    /// # Errors
    /// The broker failed. The next read goes on where this one ended.
    pub async fn read(&mut self) -> Result<Load, Failure> {
        loop {
            self.read_ledger().await?;
            if self.read_states().await? {
                break;
            }
        }
        self.backlog.settle();
        self.read_reports().await?;
        let letters = self.sources.survey.dead_letters().await?;
        let queues = self.sources.gauges.queues().await?;
        let nodes = self.live(queues.at);
        let closed = self.closed(queues.at);
        Ok(Load { closed, ..Load::of(queues, &self.backlog, nodes, letters) })
    }

    /// Encode seconds that were planned since the last call.
    pub fn take_arrived(&mut self) -> f64 {
        self.backlog.take_arrived()
    }

    async fn read_ledger(&mut self) -> Result<(), Failure> {
        loop {
            let found = self.sources.gauges.finished(self.ledger.read).await?;
            if self.ledger.is_lost(&found.extent) {
                self.start_over();
                continue;
            }
            self.ledger = Place { read: found.read, born: found.extent.born };
            found.tasks.into_iter().for_each(|done| self.backlog.finish(done));
            if !found.more {
                return Ok(());
            }
        }
    }

    /// Returns whether the states are those that were read before.
    async fn read_states(&mut self) -> Result<bool, Failure> {
        loop {
            let found = self.sources.broker.changes(self.states.read).await?;
            if self.states.is_lost(&found.extent) {
                self.start_over();
                return Ok(false);
            }
            self.states = Place { read: found.read, born: found.extent.born };
            for changed in found.changed {
                match changed.state {
                    Ok(Some(video)) => self.backlog.enter(&video),
                    // Nobody works on a video whose state cannot be read.
                    Ok(None) | Err(_) => self.backlog.remove(&changed.id),
                }
            }
            if !found.more {
                return Ok(true);
            }
        }
    }

    async fn read_reports(&mut self) -> Result<(), Failure> {
        loop {
            let said = self.sources.nodes.said(self.reports.read, WORDS_MAX).await?;
            if self.reports.is_lost(&said.extent) {
                (self.reports, self.heard) = (Place::default(), BTreeMap::new());
                continue;
            }
            let more = said.words.len() + said.left.len() >= WORDS_MAX;
            self.reports = Place { read: said.read, born: said.extent.born };
            said.left.iter().for_each(|id| drop(self.heard.remove(id)));
            self.heard.extend(said.words.into_iter().map(|word| (word.id.clone(), word)));
            if !more {
                return Ok(());
            }
        }
    }

    /// Nodes whose last report is recent at the broker's time `now`. The others are forgotten.
    fn live(&mut self, now: i64) -> Vec<NodeLoad> {
        let patience = self.heartbeat.saturating_mul(MISSED_MAX);
        self.heard.retain(|_, word| now.saturating_sub(word.at) <= patience);
        let settled = self.heard.values().filter(|word| !word.presence.arriving);
        settled.map(|word| NodeLoad::of(&word.presence, now - word.at)).collect()
    }

    /// Queues whose tasks no live node takes before their hours begin.
    fn closed(&self, now: i64) -> BTreeSet<TaskQueue> {
        let settled = self.heard.values().filter(|word| !word.presence.arriving);
        let waits = waits::waits(settled.map(|word| &word.presence), now).into_iter();
        let closed = waits.filter(|(_, wait)| matches!(wait, Wait::Hours { .. }));
        closed.map(|(queue, _)| queue).collect()
    }

    /// Forgets states and ledger. One of them was created anew, and each is judged by the other.
    fn start_over(&mut self) {
        (self.ledger, self.states) = (Place::default(), Place::default());
        self.backlog = Backlog::default();
    }
}
