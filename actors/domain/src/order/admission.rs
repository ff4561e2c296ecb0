//! A node's view of the line: which orders have their turn, and which have it since the last look.
//!
//! Every node that publishes follows the states of all videos in the order of their writes, so all of them admit the same orders, each a
//! moment later than the other. A newly admitted order is everybody's to see and one node's to release, see [`is_among`]. If that node just
//! died, the slots run out of tasks while orders wait, which any node notices: see [`Admission::ask_again`].

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{OrderId, VideoId};
use crate::order::lane::Lane;
use crate::order::line::{self, Line, Phase, Place, Row};
use crate::order::release::Windows;
use crate::order::state::{Order, Video};

/// Additional room is at most so many times the room.
const MORE_MAX: usize = 64;

/// Orders at most of which is remembered that tasks were released.
const SERVED_MAX: usize = 1024;

/// The line as one node knows it, with the turns that follow from it.
#[derive(Debug, Clone, Default)]
pub struct Admission {
    line: Line,
    windows: BTreeMap<Row, BTreeMap<OrderId, usize>>,
    slots: usize,
    /// Whether all states were read once.
    ready: bool,
    /// Windows by which this node released tasks of orders that it has not met in the line yet.
    served: BTreeMap<(OrderId, Row), usize>,
    /// Rows whose windows are not computed since their last change.
    changed: BTreeSet<Row>,
    /// Additional room of rows whose admitted orders leave slots idle while others wait.
    more: BTreeMap<Row, usize>,
    /// How often in succession a row was found at rest.
    rests: BTreeMap<Row, u32>,
    /// Orders that changed their lane.
    other_lane: BTreeSet<OrderId>,
    /// Rows that an order left, or was admitted to, since they were last found at rest or not.
    moved: BTreeSet<Row>,
}

impl Admission {
    /// Enters the state of a video.
    pub fn enter(&mut self, video: &Video) {
        let other_lane = |order: &&Order| {
            let lane = self.lane(&video.order_id(order.number));
            lane.is_some_and(|lane| lane != order.lane) && !order.is_closed()
        };
        let others = video.orders.iter().filter(other_lane);
        self.other_lane
            .extend(others.map(|order| video.order_id(order.number)).collect::<Vec<_>>());
        self.changed.extend(self.line.enter(video));
    }

    /// The lane of an order that stands in line.
    #[must_use]
    pub fn lane(&self, order: &OrderId) -> Option<Lane> {
        let place = |phase| self.line.place(order, phase);
        place(Phase::First).or_else(|| place(Phase::Bulk)).map(|place| place.row.lane)
    }

    /// Orders that changed their lane since the last call. Their queued tasks may be in the old one.
    pub fn take_other_lane(&mut self) -> BTreeSet<OrderId> {
        std::mem::take(&mut self.other_lane)
    }

    /// Removes a video.
    pub fn remove(&mut self, video: &VideoId) {
        self.changed.extend(self.line.remove(video));
    }

    /// Computes the windows anew, and returns the orders that may release more since the last look, first those that arrived first.
    pub fn look(&mut self, slots: usize) -> Vec<OrderId> {
        if slots != self.slots {
            self.slots = slots;
            self.changed.extend(Row::all());
        }
        let mut risen = Vec::new();
        for row in std::mem::take(&mut self.changed) {
            if self.line.length(row) == 0 {
                self.more.remove(&row);
            }
            let windows = self.line.windows(row, self.room(row));
            let before = self.windows.insert(row, windows).unwrap_or_default();
            if self.windows.get(&row).is_some_and(|now| !now.keys().eq(before.keys())) {
                self.moved.insert(row);
            }
            let served = &mut self.served;
            let mut of = |order: &OrderId| {
                let served = served.remove(&(order.clone(), row)).unwrap_or(0);
                before.get(order).copied().unwrap_or(0).max(served)
            };
            let now = self.windows.get(&row).into_iter().flatten();
            let more = now.filter(|(order, window)| has_risen(of(order), **window));
            risen.extend(more.map(|(order, _)| order.clone()));
        }
        risen
    }

    /// Slots prefer what playback needs first. So of very many uploads at once it gets half of the slots, or nothing would be finished until
    /// all of them can be played.
    fn room(&self, row: Row) -> usize {
        let room = line::room(self.slots);
        let crowd = row.phase == Phase::First && self.line.exceeds(row, room);
        let room = if crowd { (self.slots / 2).max(1) } else { room };
        room + self.more.get(&row).copied().unwrap_or(0)
    }

    /// What an order may have released beyond its finished tasks. `order` may be older or newer than this view.
    #[must_use]
    pub fn windows(&self, video: &Video, order: &Order) -> Windows {
        let id = video.order_id(order.number);
        let window = |phase| {
            let place = Place::of(video, order, phase);
            place.map_or(usize::MAX, |place| self.window(&id, place.row))
        };
        Windows { first: window(Phase::First), bulk: window(Phase::Bulk) }
    }

    /// The windows of an order that was just planned, whether its state was met in the line yet or not. `None` if the line is not known yet.
    #[must_use]
    pub fn windows_of_new(&self, video: &Video, order: &Order) -> Option<Windows> {
        if !self.ready {
            return None;
        }
        let mut with = Self { line: self.line.clone(), ..Self::default() };
        (with.slots, with.more) = (self.slots, self.more.clone());
        with.enter(video);
        // The order may stand in the line indeed.
        let places = [Phase::First, Phase::Bulk].map(|phase| Place::of(video, order, phase));
        with.changed.extend(places.into_iter().flatten().map(|place| place.row));
        with.look(self.slots);
        Some(with.windows(video, order))
    }

    /// Records that this node released tasks of a new order by these windows.
    pub fn serve(&mut self, video: &Video, order: &Order, windows: Windows) {
        if self.served.len() >= SERVED_MAX {
            self.served.clear();
        }
        for (phase, window) in [(Phase::First, windows.first), (Phase::Bulk, windows.bulk)] {
            if let Some(place) = Place::of(video, order, phase) {
                self.served.insert((video.order_id(order.number), place.row), window);
            }
        }
    }

    /// Records that all states were read. Returns whether this is the first time: then all admitted orders are to be evaluated, for what this
    /// node did before it knew the line released nothing of them.
    pub fn set_ready(&mut self) -> bool {
        !std::mem::replace(&mut self.ready, true)
    }

    /// Orders that may release tasks.
    #[must_use]
    pub fn admitted(&self) -> Vec<OrderId> {
        self.windows.values().flat_map(BTreeMap::keys).cloned().collect()
    }

    fn window(&self, order: &OrderId, row: Row) -> usize {
        self.windows.get(&row).and_then(|windows| windows.get(order)).copied().unwrap_or(0)
    }

    /// Whether the state of an order is to tell when all of its bulk was released.
    #[must_use]
    pub fn tells_tail(&self, video: &Video, order: &Order) -> bool {
        let place = Place::of(video, order, Phase::Bulk);
        place.is_some_and(|place| !place.tail && place.is_long(line::room(self.slots)))
    }

    /// The open orders.
    #[must_use]
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// Told every few seconds how many tasks of a row wait for a slot. Returns the orders to evaluate if the row is at rest: orders stand in
    /// it, no task waits, and none of them left it. The tasks of the admitted ones may never have been released, because the node that was
    /// to do so died. The first of the publishers does it at the first time, the first two at the second, and then less and less often:
    /// `mine` gets an order and so many publishers, and tells whether this node is among them. Meanwhile the room grows if others wait
    /// for it, for the admitted orders may wait for retries.
    pub fn ask_again(
        &mut self,
        row: Row,
        waiting: usize,
        mine: impl Fn(&OrderId, usize) -> bool,
    ) -> Vec<OrderId> {
        let moved = self.moved.remove(&row);
        let stands = self.line.length(row) > 0;
        if waiting > 0 || moved || !stands {
            self.rests.remove(&row);
            if waiting > line::room(self.slots) {
                self.grow(row, |more| more / 2);
            }
            return Vec::new();
        }
        let rests = self.rests.entry(row).or_default();
        *rests += 1;
        let (rests, again) = (*rests, rests.is_power_of_two());
        let (step, most) = (self.slots.max(1), line::room(self.slots) * MORE_MAX);
        let admitted = self.windows.get(&row).map_or(0, BTreeMap::len);
        if rests > 1 && self.line.length(row) > admitted {
            self.grow(row, |more| (more * 2).max(step).min(most));
        }
        self.changed.insert(row);
        let mut due = self.look(self.slots);
        self.moved.remove(&row);
        if again {
            let admitted = self.windows.get(&row).into_iter().flatten();
            due.extend(admitted.map(|(order, _)| order).cloned());
        }
        due.retain(|order| mine(order, rests as usize));
        due.sort();
        due.dedup();
        due
    }

    fn grow(&mut self, row: Row, grow: impl Fn(usize) -> usize) {
        let more = self.more.entry(row).or_default();
        let grown = grow(*more);
        if grown != *more {
            *more = grown;
            self.changed.insert(row);
        }
    }
}

/// Whether an order may release so much more that it is evaluated at once. Smaller changes take effect with its next finished task.
fn has_risen(before: usize, now: usize) -> bool {
    now >= before.saturating_mul(2).max(1)
}

/// Whether a node is among the first `count` of all that publish, by a hash of its name and the order's. The first one releases a newly
/// admitted order.
#[must_use]
pub fn is_among<'a>(
    order: &OrderId,
    own: &str,
    others: impl IntoIterator<Item = &'a str>,
    count: usize,
) -> bool {
    let rank = |node: &str| (hash(order, node), node.to_owned());
    let own = rank(own);
    others.into_iter().filter(|other| rank(other) < own).take(count).count() < count
}

/// FNV-1a, mixed once more, because names of nodes differ in few bits.
fn hash(order: &OrderId, node: &str) -> u64 {
    let number = order.number.to_be_bytes();
    let bytes = order.video.as_str().bytes().chain(number).chain(node.bytes());
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, mix);
    (hash ^ (hash >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
