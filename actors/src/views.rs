//! What a node remembers of open orders: their ledger entries, the tasks it released, and their state, so that an evaluation asks the
//! broker only for what is new.
//!
//! Everything here can be read again. A view is dropped when its order is closed, or when all views together take too much memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jetreel_domain::id::{OrderId, TaskId};
use jetreel_domain::order::ledger::{Entry, View};
use jetreel_domain::order::state::Video;
use jetreel_domain::order::stretch::Stretch;
use jetreel_domain::words::failure::Failure;
use tokio::time::Instant;

use crate::ports::{Broker, Versioned};

/// Bytes of all views. An entry with six tiers takes some 6 KB, so this holds a thousand open orders of twenty chunks, or a dozen films.
const BYTES_KEPT: usize = 128 << 20;
/// Bytes of a view without entries.
const VIEW_BYTES: usize = 4 << 10;
/// Closed orders that are remembered, so that what remains of their deliveries costs no request.
const CLOSED_KEPT: usize = 4096;
/// How old a state may be that an evaluation of an entry begins with.
const STATE_AGE_MAX: Duration = Duration::from_millis(250);
/// How long a task counts as released that another node tried to release. The broker may have refused it, and that node may have died.
const HEARSAY_AGE_MAX: Duration = Duration::from_secs(10);

/// What a node knows of an order. Locked by whoever works on it, so a node runs one evaluation of an order at a time.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) view: View,
    /// Tasks that this node has released since it knows the order. They need no further request to the broker.
    pub(crate) released: BTreeSet<TaskId>,
    /// Tasks that others tried to release, and when that was heard.
    heard: BTreeMap<TaskId, Instant>,
    /// The view holds every entry of the order up to this stream sequence. `None` before the ledger was read.
    complete_to: Option<u64>,
    state: Option<(Versioned<Video>, Instant)>,
}

#[derive(Debug)]
struct Slot {
    known: Arc<tokio::sync::Mutex<Known>>,
    /// Tasks whose release was heard since somebody last worked on the order.
    heard: BTreeMap<TaskId, Instant>,
    used: u64,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Slots {
    by_order: BTreeMap<OrderId, Slot>,
    bytes: usize,
    clock: u64,
    /// Closed orders whose entries up to a stream sequence were removed from the ledger, by the time of their end.
    closed: BTreeMap<OrderId, (u64, u64)>,
}

/// Views by order.
#[derive(Debug, Default)]
pub(crate) struct Views {
    slots: Mutex<Slots>,
    /// Sequence of the last entry that this node received.
    received: AtomicU64,
}

impl Views {
    /// The view of an order, not yet locked.
    pub(crate) fn of(&self, order: &OrderId) -> Arc<tokio::sync::Mutex<Known>> {
        Arc::clone(&self.slots().of(order).known)
    }

    /// Whether this node has worked on an order.
    pub(crate) fn knows(&self, order: &OrderId) -> bool {
        self.slots().by_order.contains_key(order)
    }

    /// Somebody tries to release a task.
    pub(crate) fn hear(&self, order: &OrderId, task: TaskId) {
        let mut slots = self.slots();
        if !slots.closed.contains_key(order) {
            slots.of(order).heard.insert(task, Instant::now());
        }
    }

    /// Tells the view of an order what was heard of its releases.
    pub(crate) fn tell(&self, order: &OrderId, known: &mut Known) {
        if let Some(slot) = self.slots().by_order.get_mut(order) {
            known.heard.append(&mut slot.heard);
        }
    }

    /// Notes what the view of an order takes. If all views take too much, those that were not used for longest are dropped.
    pub(crate) fn weigh(&self, order: &OrderId, view: &View) {
        let bytes = VIEW_BYTES + view.entries().map(Entry::weight).sum::<usize>();
        let mut slots = self.slots();
        let Some(slot) = slots.by_order.get_mut(order) else { return };
        let before = std::mem::replace(&mut slot.bytes, bytes);
        slots.bytes = slots.bytes - before + bytes;
        slots.shrink();
    }

    /// Forgets an order whose entries were removed because it is closed.
    pub(crate) fn close(&self, order: &OrderId, complete_to: u64) {
        self.forget(order);
        let mut slots = self.slots();
        slots.clock += 1;
        let ended = slots.clock;
        slots.closed.insert(order.clone(), (complete_to, ended));
        if slots.closed.len() > CLOSED_KEPT {
            let oldest = slots.closed.iter().min_by_key(|(_, (_, ended))| *ended);
            if let Some(oldest) = oldest.map(|(order, _)| order.clone()) {
                slots.closed.remove(&oldest);
            }
        }
    }

    /// Whether an entry was removed from the ledger because its order is closed.
    pub(crate) fn is_gone(&self, order: &OrderId, sequence: u64) -> bool {
        self.slots().closed.get(order).is_some_and(|(complete_to, _)| sequence <= *complete_to)
    }

    /// Forgets an order.
    pub(crate) fn forget(&self, order: &OrderId) {
        let mut slots = self.slots();
        let gone = slots.by_order.remove(order);
        slots.bytes -= gone.map_or(0, |slot| slot.bytes);
    }

    /// Notes the sequence of the last entry that this node received.
    pub(crate) fn receive(&self, last: u64) {
        self.received.store(last, Ordering::Relaxed);
    }

    /// Sequence of the last entry that this node received.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    fn of(&mut self, order: &OrderId) -> &mut Slot {
        self.clock += 1;
        if !self.by_order.contains_key(order) {
            self.bytes += VIEW_BYTES;
            self.shrink();
        }
        let slot = self.by_order.entry(order.clone()).or_insert_with(|| Slot {
            known: Arc::default(),
            heard: BTreeMap::new(),
            used: 0,
            bytes: VIEW_BYTES,
        });
        slot.used = self.clock;
        slot
    }

    /// If all views take too much, drops those that were not used for longest and that nobody works on, a quarter at once.
    fn shrink(&mut self) {
        if self.bytes <= BYTES_KEPT {
            return;
        }
        let idle = self.by_order.iter().filter(|(_, slot)| Arc::strong_count(&slot.known) == 1);
        let mut idle: Vec<_> = idle.map(|(order, slot)| (slot.used, order.clone())).collect();
        idle.sort_unstable();
        for (_, order) in idle {
            if self.bytes <= BYTES_KEPT / 4 * 3 {
                return;
            }
            self.bytes -= self.by_order.remove(&order).map_or(0, |slot| slot.bytes);
        }
    }
}

impl Known {
    /// The order has just been planned, so the ledger has no entry of it up to this sequence.
    pub(crate) fn begin(&mut self, received: u64) {
        self.complete_to.get_or_insert(received);
    }

    /// Adds entries that were received, with their sequences. `stretch` is everything that this node has received.
    pub(crate) fn receive(&mut self, entries: Vec<(u64, Entry)>, stretch: Stretch) {
        let covered = |sequence: u64| self.complete_to.is_some_and(|to| sequence <= to);
        if entries.iter().any(|(sequence, it)| covered(*sequence) && !self.view.knows(it)) {
            // The view was read past that sequence and lacks the entry: the entry was removed, or the ledger was created anew. It will be
            // read again.
            *self = Self::default();
            return;
        }
        entries.into_iter().for_each(|(_, entry)| self.view.insert(entry));
        if let Some(to) = self.complete_to
            && stretch.covers(to)
        {
            self.complete_to = Some(to.max(stretch.last()));
        }
    }

    /// Reads what the view may lack. `newest` is the highest sequence of an entry that the caller has received. Without one, the view is
    /// read to the end of the ledger.
    pub(crate) async fn refresh(
        &mut self,
        broker: &dyn Broker,
        order: &OrderId,
        newest: Option<u64>,
    ) -> Result<(), Failure> {
        let from = self.complete_to.unwrap_or(0);
        if self.complete_to.is_some() && newest.is_some_and(|newest| newest <= from) {
            return Ok(());
        }
        let (entries, highest) = match newest {
            Some(newest) => broker.entries_to(order, from, newest).await?,
            None => broker.entries(order, from).await?,
        };
        entries.into_iter().for_each(|entry| self.view.insert(entry));
        self.complete_to = Some(from.max(highest).max(newest.unwrap_or(0)));
        Ok(())
    }

    /// Whether the view holds entries that the ledger lacks because they were removed. Entries that the view lacks are read.
    pub(crate) async fn is_ahead(
        &mut self,
        broker: &dyn Broker,
        order: &OrderId,
    ) -> Result<bool, Failure> {
        let mut stored = broker.entry_count(order).await?;
        if stored > self.count() {
            self.refresh(broker, order, None).await?;
            stored = broker.entry_count(order).await?;
        }
        Ok(stored < self.count())
    }

    /// Forgets the entries and reads the ledger anew.
    pub(crate) async fn read_anew(
        &mut self,
        broker: &dyn Broker,
        order: &OrderId,
    ) -> Result<(), Failure> {
        *self = Self::default();
        self.refresh(broker, order, None).await
    }

    fn count(&self) -> u64 {
        self.view.entries().count() as u64
    }

    /// Tasks that need not be released. `hearsay`: what others tried to release a moment ago is as good as released. If they did not succeed,
    /// the message that made them try is delivered again; whoever gets it must not rely on hearsay.
    pub(crate) fn released(&self, hearsay: bool) -> BTreeSet<TaskId> {
        let fresh = |heard: &Instant| hearsay && heard.elapsed() < HEARSAY_AGE_MAX;
        let heard = self.heard.iter().filter(|(_, heard)| fresh(heard));
        self.released.iter().chain(heard.map(|(task, _)| task)).copied().collect()
    }

    /// Tasks of the order that lost their entries are due again.
    pub(crate) fn forget(&mut self, task: TaskId) {
        self.view.forget(task);
        self.released.remove(&task);
        self.heard.remove(&task);
    }

    /// The state, if it is fresh enough to begin an evaluation with.
    pub(crate) fn state(&self) -> Option<Versioned<Video>> {
        let fresh = self.state.as_ref().filter(|(_, read)| read.elapsed() < STATE_AGE_MAX);
        fresh.map(|(found, _)| found.clone())
    }

    /// The next evaluation reads the state.
    pub(crate) fn unsee(&mut self) {
        self.state = None;
    }

    /// Keeps a state that was just read or written. One that was kept before stays as old as it is.
    pub(crate) fn see(&mut self, found: &Versioned<Video>) {
        let same = self.state.take().filter(|(seen, _)| seen.revision == found.revision);
        self.state = Some((found.clone(), same.map_or_else(Instant::now, |(_, read)| read)));
    }
}

#[cfg(test)]
mod tests {
    use jetreel_domain::id::{Group, VideoId};
    use jetreel_domain::order::ledger::{Object, Output, PackageOutput};

    use super::*;

    fn order(bits: u128) -> OrderId {
        OrderId::new(VideoId::from_bits(bits), 1)
    }

    fn entry(order: &OrderId, index: u32, outputs: usize) -> Entry {
        let object = Object { key: String::new(), bytes: 0, sha256: String::new() };
        let output = Output::Package(PackageOutput { tier: 0, object, verified: None });
        Entry {
            v: 1,
            writer: index.to_string(),
            order: order.clone(),
            task: TaskId::new(Group::Main, index),
            part: None,
            parts: 0,
            outputs: vec![output; outputs],
            node: String::new(),
            attempt: 1,
            codec_build: String::new(),
            confinement: String::new(),
            cpu_seconds: 0.0,
            wall_seconds: 0.0,
        }
    }

    #[test]
    fn views_of_open_orders_stay_until_all_together_take_too_much() {
        let views = Views::default();
        let mut view = View::default();
        view.insert(entry(&order(0), 0, 1000));
        let each = VIEW_BYTES + view.entries().map(Entry::weight).sum::<usize>();
        let room = BYTES_KEPT / each;
        assert!(room > 100);
        let held = views.of(&order(0));
        for bits in 0..room as u128 + 10 {
            drop(views.of(&order(bits)));
            views.weigh(&order(bits), &view);
        }
        let slots = views.slots();
        assert!(slots.bytes <= BYTES_KEPT && slots.by_order.len() >= room / 2);
        assert!(slots.by_order.contains_key(&order(0)), "somebody works on the oldest");
        assert!(!slots.by_order.contains_key(&order(1)));
        let sum: usize = slots.by_order.values().map(|slot| slot.bytes).sum();
        assert_eq!(slots.bytes, sum);
        drop((slots, held));
        (0..room as u128 + 10).for_each(|bits| views.forget(&order(bits)));
        assert_eq!(views.slots().bytes, 0);
    }

    #[test]
    fn what_is_received_without_a_gap_need_not_be_read() {
        let order = order(1);
        let mut stretch = Stretch::default();
        let mut known = Known::default();
        known.begin(7);
        let mut receive = |known: &mut Known, sequence: u64, index: u32| {
            stretch.receive(sequence, 1);
            known.receive(vec![(sequence, entry(&order, index, 0))], stretch);
            known.complete_to
        };
        assert_eq!(receive(&mut known, 8, 0), Some(8));
        assert_eq!(receive(&mut known, 9, 1), Some(9));
        assert_eq!(receive(&mut known, 12, 2), Some(9), "others had what lies in between");
        assert_eq!(known.count(), 3);
        // An entry that the view should hold and does not.
        assert_eq!(receive(&mut known, 5, 3), None);
        assert_eq!(known.count(), 0);
    }

    #[test]
    fn what_others_tried_to_release_counts_unless_they_may_have_failed() {
        let (views, order) = (Views::default(), order(1));
        let tasks = [0, 1].map(|index| TaskId::new(Group::Main, index));
        views.hear(&order, tasks[0]);
        let mut known = Known::default();
        known.released.insert(tasks[1]);
        assert_eq!(known.released(true), BTreeSet::from([tasks[1]]));
        views.tell(&order, &mut known);
        assert_eq!(known.released(true), BTreeSet::from(tasks));
        assert_eq!(known.released(false), BTreeSet::from([tasks[1]]));
        known.forget(tasks[0]);
        assert_eq!(known.released(true), BTreeSet::from([tasks[1]]));
        views.close(&order, 9);
        views.hear(&order, tasks[0]);
        assert!(views.slots().by_order.is_empty(), "a closed order is not opened again");
    }

    #[test]
    fn the_rest_of_a_closed_order_is_known_to_be_gone() {
        let views = Views::default();
        drop(views.of(&order(0)));
        views.close(&order(0), 9);
        assert!(views.is_gone(&order(0), 9) && !views.is_gone(&order(0), 10));
        (1..=CLOSED_KEPT as u128).for_each(|bits| views.close(&order(bits), 9));
        assert!(!views.is_gone(&order(0), 9) && views.is_gone(&order(1), 9));
        assert!(views.slots().by_order.is_empty());
    }
}
