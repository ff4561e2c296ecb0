//! The broker and the store in memory: streams, buckets with revisions, objects. Everything here happens at once; time, order and
//! loss are the ports' business.
//!
//! What must never be written is noted when it is written: see [`Server::violations`].

use std::collections::BTreeMap;

use bytes::Bytes;
use jetreel_actors::ports::{Extent, Swap, Versioned, WriteOnce};
use jetreel_domain::delivery::claim::Claim;
use jetreel_domain::delivery::stage::{About, Queue, Stage};
use jetreel_domain::delivery::subject;
use jetreel_domain::id::{Group, OrderId, VideoId};
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::state::{Fact, Order, Status, Video};
use jetreel_domain::upkeep::binding::BrokerMark;
use jetreel_domain::upkeep::leadership::Leadership;
use jetreel_domain::upkeep::presence::Presence;

use super::rules::{self, Ends};
use super::stream::{Message, Stream};

pub(crate) const UPLOADS: &str = "UPLOADS";
pub(crate) const ENCODE: &str = "ENCODE";
pub(crate) const LEDGER: &str = "LEDGER";
pub(crate) const PUBLISH: &str = "PUBLISH";
pub(crate) const PROGRESS: &str = "PROGRESS";
pub(crate) const DLQ: &str = "DLQ";
pub(crate) const ADVISORY: &str = "ADVISORY";

pub(crate) const INGEST: &str = "ingest";
pub(crate) const ENTRIES: &str = "publish";
pub(crate) const SWEEPER: &str = "deadletter";

/// Header of messages that Jetreel itself published.
pub(crate) const RELEASE: &str = "Jetreel-Release";
/// Names a write, by which its writer knows it again.
pub(crate) const WRITER: &str = "Jetreel-Writer";

/// A stored object.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) bytes: Bytes,
    pub(crate) modified: i64,
}

/// A document, who wrote it, and its revision.
#[derive(Debug, Clone)]
pub(crate) struct Kept<T> {
    pub(crate) value: T,
    pub(crate) revision: u64,
    writer: u64,
}

/// A bucket of documents.
#[derive(Debug)]
pub(crate) struct Bucket<T> {
    last: u64,
    /// Something was written since this was last asked.
    touched: bool,
    pub(crate) kept: BTreeMap<String, Kept<T>>,
}

impl<T> Default for Bucket<T> {
    fn default() -> Self {
        Self { last: 0, touched: false, kept: BTreeMap::new() }
    }
}

impl<T> Bucket<T> {
    /// It was there before anything else.
    pub(crate) fn extent(&self) -> Extent {
        Extent { born: 0, last: self.last }
    }

    /// Whether something was written; asked once for each write.
    pub(crate) fn take_touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    /// Revision of a marker.
    pub(crate) fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

impl<T: Clone> Bucket<T> {
    pub(crate) fn get(&self, key: &str) -> Option<Versioned<T>> {
        let Kept { value, revision, .. } = self.kept.get(key)?.clone();
        Some(Versioned { value, revision })
    }

    /// Compare-and-set; revision 0 creates. `writer` names the write: done again after its answer was lost, it is known again, unless it
    /// was replaced meanwhile.
    pub(crate) fn swap(&mut self, key: &str, value: T, revision: u64, writer: u64) -> Swap {
        let there = self.kept.get(key);
        if there.map_or(0, |there| there.revision) != revision {
            let own = there.filter(|there| there.writer == writer);
            return own.map_or(Swap::Conflict, |own| Swap::Done(own.revision));
        }
        self.last += 1;
        self.touched = true;
        self.kept.insert(key.to_owned(), Kept { value, revision: self.last, writer });
        Swap::Done(self.last)
    }
}

/// See the file's head.
#[derive(Debug, Default)]
pub(crate) struct Server {
    pub(crate) streams: BTreeMap<&'static str, Stream>,
    pub(crate) videos: Bucket<Video>,
    pub(crate) claims: Bucket<Claim>,
    pub(crate) leadership: Bucket<Leadership>,
    pub(crate) nodes: Bucket<Presence>,
    /// Revisions of the markers of nodes that left.
    pub(crate) left: BTreeMap<String, u64>,
    pub(crate) marks: Bucket<BrokerMark>,
    pub(crate) objects: BTreeMap<String, Stored>,
    /// Forbidden changes.
    pub(crate) violations: Vec<String>,
    /// When things ended.
    pub(crate) ends: Ends,
    /// Milliseconds since the start.
    pub(crate) now: u64,
    /// Letters of the last while, by their message id: sequences that are given again.
    pub(crate) buried: BTreeMap<String, u64>,
}

pub(crate) fn encode_consumer(lane: Lane, group: Group) -> String {
    Stage::Encode.queue(lane, group).consumer
}

/// Queues whose messages go when they are settled.
pub(crate) fn work_queues() -> impl Iterator<Item = Queue> {
    let stages = Stage::ALL.into_iter().filter(|stage| stage.about().is_work_queue);
    stages.flat_map(Stage::queues)
}

impl Server {
    pub(crate) fn new(max_deliver: u64) -> Self {
        let mut server = Self::default();
        for About { stream, is_work_queue, .. } in Stage::ALL.map(Stage::about) {
            server.streams.insert(stream, Stream::new(is_work_queue, is_work_queue));
        }
        for (name, single) in [(LEDGER, true), (PROGRESS, true), (DLQ, false), (ADVISORY, false)] {
            server.streams.insert(name, Stream::new(false, single));
        }
        for Queue { stream, consumer, filter } in Stage::ALL.into_iter().flat_map(Stage::queues) {
            server.stream(stream).consume(&consumer, &filter, max_deliver);
        }
        server.stream(LEDGER).consume(ENTRIES, subject::LEDGER_ALL, u64::MAX);
        server.stream(ADVISORY).consume(SWEEPER, "$JS.>", max_deliver);
        server
    }

    pub(crate) fn stream(&mut self, name: &str) -> &mut Stream {
        self.streams.get_mut(name).expect("a stream that is declared")
    }

    pub(crate) fn message(&self, stream: &str, sequence: u64) -> Option<&Message> {
        self.streams.get(stream)?.messages.get(&sequence)
    }

    /// Publishes to a stream that holds one message a subject; its header `WRITER` or `RELEASE` tells this write from others.
    pub(crate) fn publish_once(&mut self, stream: &str, message: Message) -> WriteOnce {
        let name = |message: &Message| {
            let own = message.header(WRITER).or_else(|| message.header(RELEASE));
            own.map(ToOwned::to_owned)
        };
        let own = name(&message);
        let there = self.streams[stream].newest(&message.subject);
        let subject = message.subject.clone();
        match self.stream(stream).publish(message) {
            Ok(_) if there.is_some() => {
                self.violations.push(format!("{subject} is there twice"));
                WriteOnce::Mine
            }
            Ok(_) => WriteOnce::Mine,
            Err(there) => {
                let found = self.message(stream, there).and_then(name);
                if own.is_some() && found == own { WriteOnce::Mine } else { WriteOnce::Taken }
            }
        }
    }

    /// The state of a video, with a look at what a change may not do.
    pub(crate) fn swap_video(&mut self, video: Video, revision: u64, writer: u64) -> Swap {
        let key = video.id.to_string();
        let before = self.videos.get(&key);
        let swapped = self.videos.swap(&key, video.clone(), revision, writer);
        if let (Some(before), Swap::Done(now)) = (before, swapped)
            && before.revision == revision
            && now != revision
        {
            self.violations.extend(illegal(&before.value, &video));
            self.ends.note(&video, self.now);
            let untold = rules::noted(self, &video);
            self.violations.extend(untold);
        }
        swapped
    }

    /// The claim of a unit.
    pub(crate) fn swap_claim(&mut self, key: &str, claim: Claim, revision: u64, by: u64) -> Swap {
        let before = self.claims.get(key);
        let swapped = self.claims.swap(key, claim.clone(), revision, by);
        if matches!(swapped, Swap::Done(now) if before.as_ref().is_none_or(|b| b.revision < now)) {
            let before = before.map(|before| before.value);
            let wrong = self.ends.claim(key, before.as_ref(), &claim, self.now);
            self.violations.extend(wrong);
        }
        swapped
    }

    /// All ledger entries and claims of an order.
    pub(crate) fn forget(&mut self, order: &OrderId) {
        let prefix = subject::ledger_filter(order);
        let prefix = prefix.trim_end_matches('>');
        self.stream(LEDGER).purge(|subject| subject.starts_with(prefix));
        let prefix = subject::claim_filter(order);
        let prefix = prefix.trim_end_matches('>');
        self.claims.kept.retain(|key, _| !key.starts_with(prefix));
    }

    /// Ids of all videos.
    pub(crate) fn ids(&self) -> Vec<VideoId> {
        self.videos.kept.keys().filter_map(|key| key.parse().ok()).collect()
    }
}

/// The forbidden change of a state, if any: closed orders stay as they are, fact numbers are unique, and facts are never removed.
fn illegal(before: &Video, after: &Video) -> Vec<String> {
    let mut found = Vec::new();
    for old in &before.orders {
        let id = before.order_id(old.number);
        let Some(new) = after.order(old.number) else {
            found.push(format!("{id} was removed"));
            continue;
        };
        let same = (old.status, &old.published, old.superseded)
            == (new.status, &new.published, new.superseded);
        if old.is_closed() && !same {
            found.push(format!("{id} is closed as {} and became {}", old.status, new.status));
        }
        if old.is_closed() && new.dead.keys().any(|what| !old.dead.contains_key(what)) {
            found.push(format!("{id} is closed and something of it died"));
        }
        let learnt =
            new.facts.iter().skip(old.facts.len()).any(|known| known.fact != Fact::Deleted);
        if old.is_closed() && learnt {
            found.push(format!("{id} is closed and learnt something"));
        }
        let replanned = old.plan.is_some() && new.plan != old.plan;
        if replanned && new.status != Status::Cancelled {
            found.push(format!("{id} was planned twice"));
        }
        if !new.facts.starts_with(&old.facts) {
            found.push(format!("{id} forgot a fact"));
        }
        found.extend(contradicts(new).map(|why| format!("{id} {why}")));
    }
    let mut numbers: Vec<u64> =
        after.orders.iter().flat_map(|order| order.facts.iter().map(|known| known.seq)).collect();
    numbers.sort_unstable();
    if numbers.iter().copied().ne(1..=after.seq) {
        found.push(format!("{}: facts are numbered {numbers:?}", after.id));
    }
    if after.announced < before.announced || after.announced > after.seq {
        found.push(format!("{}: {} of {} facts told", after.id, after.announced, after.seq));
    }
    found
}

/// FAILED means that something is dead, COMPLETED that there is a result.
fn contradicts(order: &Order) -> Option<&'static str> {
    let failed = order.status == Status::Failed;
    let open = !order.is_closed();
    if open && failed == order.dead.is_empty() {
        return Some("is FAILED without a death, or has one and is not FAILED");
    }
    (order.published.is_some() != (order.status == Status::Completed))
        .then_some("is COMPLETED without a result, or has one and is not COMPLETED")
}
