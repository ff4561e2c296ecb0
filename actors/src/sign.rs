//! Signs of nodes in the store: writes, removes and checks them.
//!
//! Invariant: a node takes work only after its own store was found to hold the signs of the nodes at work.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{StreamExt, stream};
use jetreel_domain::upkeep::presence::{Presence, Word};
pub use jetreel_domain::upkeep::sign::Around;
use jetreel_domain::upkeep::sign::{self, Finds, Heard, Kept, Sight, Sign, Verdict};
use jetreel_domain::words::failure::Failure;
use tokio::time::Instant;
use tokio_util::bytes::Bytes;

use crate::ports::{Nodes, Store};

/// Node reports read at once. Large clusters have fewer nodes.
pub(crate) const WORDS_MAX: usize = 4096;

/// Reads of the reports before a sign counts as missing. Its node may have replaced it between two reads.
const LOOKS: usize = 4;

/// Pause between two of these reads.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Timeout of writing a sign, and of reading the others' signs. The report of a node does not wait longer for a slow store.
const STORE_WAIT: Duration = Duration::from_secs(10);

/// Signs that the store is asked for at once.
const LOOKS_AT_ONCE: usize = 8;

/// Timeout of leaving, which is best effort: the report expires by itself, and the sweeper removes the signs.
const LEAVE_WAIT: Duration = Duration::from_secs(2);

/// Number of the first sign.
const FIRST: u64 = 1;

/// Signs removed per page.
const SIGNS_PER_PAGE: usize = 100;

/// A node that starts.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Id of this start of it.
    pub id: String,
    /// Name of the node.
    pub node: String,
    /// Names of its roles as in the settings.
    pub roles: BTreeSet<String>,
    /// The current time, in seconds since the Unix epoch.
    pub since: i64,
}

/// Proof that the store of a node holds the signs of the other nodes.
#[derive(Debug, Clone)]
pub struct Arrived {
    id: String,
    since: i64,
    /// Number of the last sign. Objects are write-once, so each attempt to write a sign takes a new number.
    numbers: Arc<AtomicU64>,
}

impl Arrived {
    /// Id of this start of the node.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// When the node started, in seconds since the Unix epoch.
    #[must_use]
    pub fn since(&self) -> i64 {
        self.since
    }
}

/// Reports that a node arrives, and checks that its store holds the signs of the others.
///
/// # Errors
/// If it does not (`store-not-shared`), or broker or store do not answer.
pub async fn arrive(
    nodes: &dyn Nodes,
    store: &dyn Store,
    arrival: Arrival,
) -> Result<Arrived, Failure> {
    let Arrival { id, node, roles, since } = arrival;
    let sign = match write(store, &id, &node, FIRST).await {
        Ok(()) => Some(FIRST),
        Err(failure) => {
            // The node starts all the same; other nodes cannot check its store.
            tracing::warn!(%failure, detail = failure.detail, "the sign of the node cannot be written");
            None
        }
    };
    let arriving = Presence {
        v: 1,
        node,
        roles,
        since,
        at: since,
        sign,
        arriving: true,
        ..Presence::default()
    };
    nodes.tell(&id, &arriving).await?;
    let found = look(nodes, store, |heard| heard.at_start(&id)).await;
    let missing =
        found.and_then(|around| around.missing.first().map_or(Ok(()), |sign| Err(sign.refusal())));
    if missing.is_err() {
        withdraw(nodes, store, &id).await;
    }
    missing.map(|()| Arrived { id, since, numbers: Arc::new(AtomicU64::new(FIRST)) })
}

/// Checks a store for the signs of the running nodes, for a command that is no node.
///
/// # Errors
/// If broker or store do not answer.
pub async fn around(nodes: &dyn Nodes, store: &dyn Store) -> Result<Around, Failure> {
    look(nodes, store, Heard::from_outside).await
}

async fn look(
    nodes: &dyn Nodes,
    store: &dyn Store,
    wanted: impl Fn(&Heard) -> Vec<Sign>,
) -> Result<Around, Failure> {
    let (mut heard, mut finds, mut read) = (Heard::default(), Finds::default(), 0);
    let mut around = Around::default();
    for look in 0..LOOKS {
        if look > 0 {
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        let said = nodes.said(read, WORDS_MAX).await?;
        read = said.read;
        heard.hear(said.words, &said.left);
        let wanted = wanted(&heard);
        let mut failed = None;
        for (sign, found) in find(store, finds.open(&wanted)).await {
            match found {
                Ok(found) => finds.add(&sign, found),
                Err(failure) => failed = Some(failure),
            }
        }
        around = match (finds.around(wanted), failed) {
            (Some(around), _) => around,
            (None, Some(failure)) => return Err(failure),
            (None, None) => Around::default(),
        };
        if around.missing.is_empty() {
            break;
        }
    }
    Ok(around)
}

/// Whether the store holds each sign. What it does not answer in time counts as an error.
async fn find(store: &dyn Store, signs: Vec<Sign>) -> Vec<(Sign, Result<bool, Failure>)> {
    let end = Instant::now() + STORE_WAIT;
    let looks = signs.into_iter().map(|sign| async move {
        let key = sign.key();
        let found = by(end, || store.size(&key)).await.map(|size| size.is_some());
        (sign, found)
    });
    stream::iter(looks).buffered(LOOKS_AT_ONCE).collect().await
}

/// The answer of the store until `end`. From then on the store is not even asked.
async fn by<T, F>(end: Instant, ask: impl FnOnce() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let late = || Failure::dependency("probe-timeout", "The store did not answer in time.");
    if Instant::now() >= end {
        return Err(late());
    }
    tokio::time::timeout_at(end, ask()).await.unwrap_or_else(|_| Err(late()))
}

async fn write(store: &dyn Store, id: &str, node: &str, number: u64) -> Result<(), Failure> {
    let text = serde_json::json!({ "node": node, "sign": number }).to_string();
    store.write(&sign::key(id, number), Bytes::from(text)).await.map(drop)
}

/// Removes the report of a node, then its signs. Other nodes still look for the signs that a report names.
pub(crate) async fn withdraw(nodes: &dyn Nodes, store: &dyn Store, id: &str) {
    let withdrawn = async {
        nodes.leave(id).await?;
        let mut walk = store.walk(&sign::folder(id)).await?;
        loop {
            let page = walk.page(SIGNS_PER_PAGE).await?;
            for met in &page {
                store.delete(&met.key).await?;
            }
            if page.len() < SIGNS_PER_PAGE {
                return Ok(());
            }
        }
    };
    let left = tokio::time::timeout(LEAVE_WAIT, withdrawn).await;
    let late = || Err(Failure::dependency("broker-timeout", "The broker did not answer."));
    if let Err(failure) = left.unwrap_or_else(|_| late()) {
        tracing::debug!(%failure, "the node report or signs could not be removed; they expire by themselves");
    }
}

/// Writes the signs of a node at work, and checks those of the others.
pub(crate) struct Signer {
    arrived: Arrived,
    node: String,
    /// Number of the newest sign.
    written: Option<u64>,
    kept: Kept,
    /// Number of the sign that was missing first when the node lost sight of its own signs.
    lost: Option<u64>,
    failing: bool,
    heard: Heard,
    sight: Sight,
}

impl Signer {
    /// A signer for the node called `node`.
    pub(crate) fn new(arrived: Arrived, node: String) -> Self {
        let (heard, sight) = (Heard::default(), Sight::default());
        let kept = Kept::from(arrived.numbers.load(Ordering::Relaxed));
        Self { arrived, node, written: None, kept, lost: None, failing: false, heard, sight }
    }

    /// Number of the newest sign.
    pub(crate) fn written(&self) -> Option<u64> {
        self.written
    }

    /// Whether the node doubts its store.
    pub(crate) fn doubts(&self) -> bool {
        self.sight.doubts()
    }

    /// Checks the newest sign and writes the next one. If that fails, the newest sign stays as it was.
    pub(crate) async fn renew(&mut self, store: &dyn Store) {
        let renewed = by(Instant::now() + STORE_WAIT, || self.write_next(store)).await;
        if let (Err(failure), false) = (&renewed, self.failing) {
            tracing::warn!(%failure, detail = failure.detail, "the sign of the node is not renewed");
        }
        self.failing = renewed.is_err();
    }

    async fn write_next(&mut self, store: &dyn Store) -> Result<(), Failure> {
        if let Some(newest) = self.written {
            let found = store.size(&sign::key(self.arrived.id(), newest)).await?.is_some();
            if !found && !self.sight.is_lost() {
                self.lost = Some(newest);
            }
            self.sight.own(found);
            // Without the broker signs would pile up: none may be removed before a newer one is told.
            if found && !self.kept.is_told(newest) {
                return Ok(());
            }
        }
        if let Some(lost) = self.lost.filter(|_| self.sight.is_lost())
            && store.size(&sign::key(self.arrived.id(), lost)).await?.is_some()
        {
            self.sight.own_again();
        }
        let next = self.arrived.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        self.kept.write(next);
        write(store, self.arrived.id(), &self.node, next).await?;
        self.written = Some(next);
        Ok(())
    }

    /// A report that names the sign `number` is with the broker: removes the signs that no report names any more.
    pub(crate) async fn told(&mut self, store: &dyn Store, number: u64) {
        self.kept.tell(number);
        if let Err(failure) = by(Instant::now() + STORE_WAIT, || self.clear(store)).await {
            tracing::debug!(%failure, detail = failure.detail, "older signs of the node are not removed yet");
        }
    }

    async fn clear(&mut self, store: &dyn Store) -> Result<(), Failure> {
        // The disk that holds the lost sign and older ones may come back.
        let lost = self.lost.filter(|_| self.sight.is_lost());
        let spare = self.kept.spare().filter(|number| lost.is_none_or(|lost| *number > lost));
        for number in spare.collect::<Vec<_>>() {
            store.delete(&sign::key(self.arrived.id(), number)).await?;
            self.kept.remove(number);
        }
        Ok(())
    }

    /// Adds node reports, and removes nodes that left.
    pub(crate) fn hear(&mut self, said: &[Word], left: &[String]) {
        self.heard.hear(said.iter().cloned(), left);
    }

    /// Drops all reports.
    pub(crate) fn forget(&mut self) {
        self.heard = Heard::default();
    }

    /// Checks the signs of the others.
    pub(crate) async fn look(&mut self, store: &dyn Store) -> Verdict {
        let signs = self.heard.at_work(self.arrived.id(), self.sight.is_estranged());
        let looks = find(store, signs).await;
        let looks = looks.into_iter().map(|(sign, found)| (sign, found.ok())).collect();
        self.sight.round(looks)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_store_is_not_asked_after_the_end() {
        let end = Instant::now() + STORE_WAIT;
        assert_eq!(by(end, || ready(Ok(7))).await.ok(), Some(7));
        let code = |found: Result<(), Failure>| found.unwrap_err().code;
        assert_eq!(code(by(end, pending).await), "probe-timeout");
        assert_eq!(Instant::now(), end);
        let asked = AtomicU64::new(0);
        let ask = || {
            asked.fetch_add(1, Ordering::Relaxed);
            ready(Ok(()))
        };
        assert_eq!(code(by(end, ask).await), "probe-timeout");
        assert_eq!(asked.into_inner(), 0);
    }
}
