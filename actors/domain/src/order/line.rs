//! The line: which orders may have their tasks queued, and how many.
//!
//! If every order queued its tasks at once, the slots would work on all orders alike, and none would be finished before nearly all are. So
//! orders stand in line, in each lane twice: for the tasks that playback needs first, and for their bulk. The room, some more tasks than the
//! cluster has slots, is shared among the owners that arrived first, and an owner's part goes to its orders by arrival. Queues stay as short
//! as the room, however long the line.
//!
//! Invariants: the result depends on nothing but the open orders and the room, so nodes with equal views admit the same orders. While an
//! order waits, at least one order is admitted.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{OrderId, VideoId};
use crate::order::lane::Lane;
use crate::order::owner_name::OwnerName;
use crate::order::state::{Fact, Order, PlanRef, Status, Video};

/// Least room. It keeps one node busy between two evaluations.
const ROOM_MIN: usize = 8;
/// So many owners share the room at least, if they wait. With more at once, the videos of all would be finished late.
const OWNERS_AT_ONCE: usize = 4;
/// Share of its window that is queued of an order in its tail, as a divisor. The rest of the window goes to the next order early, for
/// tasks that are queued already keep their place before those of the next order.
const QUEUED_IN_TAIL: usize = 4;

/// What orders stand in line for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The tasks that playback needs first.
    First,
    /// The tasks that need no other task of the order.
    Bulk,
}

impl Phase {
    /// Name in documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first-seconds",
            Self::Bulk => "bulk",
        }
    }
}

/// One of the lines: a lane and what its orders stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub lane: Lane,
    pub phase: Phase,
}

impl Row {
    /// All rows, most urgent first.
    #[must_use]
    pub fn all() -> [Self; 6] {
        let [high, normal, low] = Lane::ALL;
        let row = |lane, phase| Self { lane, phase };
        [
            row(high, Phase::First),
            row(normal, Phase::First),
            row(low, Phase::First),
            row(high, Phase::Bulk),
            row(normal, Phase::Bulk),
            row(low, Phase::Bulk),
        ]
    }
}

/// Tasks of a row that may be queued or run at once.
#[must_use]
pub fn room(cluster_slots: usize) -> usize {
    cluster_slots.saturating_mul(2).max(ROOM_MIN)
}

/// Position of an order among all: its creation, then its id, which grows with time too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival {
    /// Creation time in seconds since the Unix epoch.
    pub created: i64,
    pub order: OrderId,
}

/// Standing of an order in its line, for display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub row: Row,
    /// Orders of the row that arrived before it and still stand in it.
    pub before: usize,
}

/// An order in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub row: Row,
    pub owner: OwnerName,
    /// Creation time in seconds since the Unix epoch.
    pub created: i64,
    /// Tasks that the order stands for.
    pub tasks: usize,
    /// Whether all of them were released. Known of long orders only.
    pub tail: bool,
}

impl Place {
    /// The place of an order; `None` if it does not stand in line, because it has no such tasks or has passed them.
    #[must_use]
    pub fn of(video: &Video, order: &Order, phase: Phase) -> Option<Self> {
        if order.is_closed() || video.is_deleted() || order.status != Status::Encoding {
            return None;
        }
        let plan = order.plan.as_ref()?;
        let (tasks, tail) = match phase {
            Phase::First if order.knows(&Fact::Playable) => return None,
            Phase::Bulk if has_all_tiers(plan, order) => return None,
            Phase::First => (plan.urgent, false),
            Phase::Bulk => (plan.bulk.unwrap_or(plan.tasks), order.tail),
        };
        let (owner, created) = (video.owner.clone(), order.created);
        let row = Row { lane: order.lane, phase };
        let tasks = tasks as usize;
        (tasks > 0).then_some(Self { row, owner, created, tasks, tail })
    }

    /// Whether the order would fill the room alone. Only of such an order the state tells when it comes to its tail; shorter ones are
    /// released whole.
    #[must_use]
    pub fn is_long(&self, room: usize) -> bool {
        self.tasks > room
    }

    /// Part of the room that the order wants.
    fn wants(&self, room: usize) -> usize {
        match (self.is_long(room), self.tail) {
            (true, false) => room,
            (true, true) => room / QUEUED_IN_TAIL,
            (false, _) => self.tasks,
        }
    }

    /// The window of the order and what is left of its owner's part.
    fn take(&self, part: usize, left: usize, room: usize) -> (usize, usize) {
        match (self.is_long(room), self.tail) {
            (true, false) => (left, 0),
            (true, true) => (self.tasks, left.saturating_sub((part / QUEUED_IN_TAIL).max(1))),
            (false, _) if self.wants(room) <= left => (self.tasks, left - self.wants(room)),
            (false, _) => (left, 0),
        }
    }
}

fn has_all_tiers(plan: &PlanRef, order: &Order) -> bool {
    let ready = |name: &String| order.knows(&Fact::Tier(name.clone()));
    !plan.tiers.is_empty() && plan.tiers.iter().all(ready)
}

/// The open orders.
#[derive(Debug, Clone, Default)]
pub struct Line {
    places: BTreeMap<(OrderId, Phase), Place>,
    rows: BTreeMap<Row, BTreeMap<OwnerName, BTreeMap<Arrival, Place>>>,
}

impl Line {
    /// Enters the orders of a video as its state has them. Returns the rows that are others now.
    pub fn enter(&mut self, video: &Video) -> BTreeSet<Row> {
        let mut places = Vec::new();
        for order in &video.orders {
            let of = |phase| Place::of(video, order, phase);
            let found = [of(Phase::First), of(Phase::Bulk)].into_iter().flatten();
            places.extend(found.map(|place| (video.order_id(order.number), place)));
        }
        self.replace(&video.id, places)
    }

    /// Removes the orders of a video. Returns the rows that are others now.
    pub fn remove(&mut self, video: &VideoId) -> BTreeSet<Row> {
        self.replace(video, Vec::new())
    }

    fn replace(&mut self, video: &VideoId, places: Vec<(OrderId, Place)>) -> BTreeSet<Row> {
        let end = |number, phase| (OrderId::new(video.clone(), number), phase);
        let all = end(0, Phase::First)..=end(u32::MAX, Phase::Bulk);
        let held = |order: &OrderId, place: &Place| {
            places.iter().any(|(id, new)| id == order && new == place)
        };
        let stale = self.places.range(all).filter(|((order, _), place)| !held(order, place));
        let stale: Vec<(OrderId, Phase)> = stale.map(|(key, _)| key.clone()).collect();
        let mut rows: BTreeSet<Row> =
            stale.into_iter().filter_map(|key| self.take_out(key)).collect();
        for (order, place) in places {
            if self.place(&order, place.row.phase) != Some(&place) {
                rows.insert(place.row);
                self.put(order, place);
            }
        }
        rows
    }

    fn put(&mut self, order: OrderId, place: Place) {
        let owners = self.rows.entry(place.row).or_default();
        let arrival = Arrival { created: place.created, order: order.clone() };
        owners.entry(place.owner.clone()).or_default().insert(arrival, place.clone());
        self.places.insert((order, place.row.phase), place);
    }

    fn take_out(&mut self, key: (OrderId, Phase)) -> Option<Row> {
        let place = self.places.remove(&key)?;
        let owners = self.rows.get_mut(&place.row)?;
        let orders = owners.get_mut(&place.owner)?;
        orders.remove(&Arrival { created: place.created, order: key.0 });
        if orders.is_empty() {
            owners.remove(&place.owner);
        }
        Some(place.row)
    }

    /// The place of an order.
    #[must_use]
    pub fn place(&self, order: &OrderId, phase: Phase) -> Option<&Place> {
        self.places.get(&(order.clone(), phase))
    }

    /// Where an order stands: for what playback needs first, or else for its bulk. `None` if it does not stand in line.
    #[must_use]
    pub fn standing(&self, order: &OrderId) -> Option<Standing> {
        let place =
            [Phase::First, Phase::Bulk].into_iter().find_map(|phase| self.place(order, phase))?;
        let own = Arrival { created: place.created, order: order.clone() };
        let owners = self.rows.get(&place.row).into_iter().flatten();
        let before = owners.map(|(_, orders)| orders.range(..&own).count()).sum();
        Some(Standing { row: place.row, before })
    }

    /// Number of orders in a row.
    #[must_use]
    pub fn length(&self, row: Row) -> usize {
        let owners = self.rows.get(&row).into_iter().flatten();
        owners.map(|(_, orders)| orders.len()).sum()
    }

    /// Whether the orders of a row stand for more tasks than that.
    #[must_use]
    pub fn exceeds(&self, row: Row, tasks: usize) -> bool {
        let mut left = tasks;
        let owners = self.rows.get(&row).into_iter().flatten();
        for place in owners.flat_map(|(_, orders)| orders.values()) {
            let Some(rest) = left.checked_sub(place.tasks) else { return true };
            left = rest;
        }
        false
    }

    /// The admitted orders of a row, with their windows: how many of the tasks for which it stands may be released beyond the finished ones.
    #[must_use]
    pub fn windows(&self, row: Row, room: usize) -> BTreeMap<OrderId, usize> {
        let room = room.max(1);
        let owners = self.first_owners(row, room);
        let demands: Vec<usize> = owners.iter().map(|(_, demand)| *demand).collect();
        let mut windows = BTreeMap::new();
        for ((orders, _), part) in owners.iter().zip(parts(&demands, room)) {
            let mut left = part;
            for (arrival, place) in *orders {
                if left == 0 {
                    break;
                }
                let (window, rest) = place.take(part, left, room);
                windows.insert(arrival.order.clone(), window);
                left = rest;
            }
        }
        windows
    }

    /// The owners that fill the room, by arrival of their first orders, each with what it wants.
    fn first_owners(&self, row: Row, room: usize) -> Vec<(&BTreeMap<Arrival, Place>, usize)> {
        let Some(owners) = self.rows.get(&row) else { return Vec::new() };
        let mut owners: Vec<_> = owners.values().collect();
        owners.sort_by_key(|orders| orders.first_key_value().map(|(arrival, _)| arrival));
        let share = room.div_ceil(OWNERS_AT_ONCE);
        let (mut found, mut shared) = (Vec::new(), 0);
        for orders in owners {
            if shared >= room {
                break;
            }
            let demand = demand(orders, room);
            shared += demand.min(share);
            found.push((orders, demand));
        }
        found
    }
}

/// What the orders of an owner want together, at most the room.
fn demand(orders: &BTreeMap<Arrival, Place>, room: usize) -> usize {
    let mut wanted = 0;
    for place in orders.values() {
        wanted += place.wants(room).max(1);
        if wanted >= room {
            return room;
        }
    }
    wanted
}

/// Parts of the room, one for each demand: none above its demand, and those below theirs equal but for one, the first ones larger.
fn parts(demands: &[usize], room: usize) -> Vec<usize> {
    let mut parts = vec![0; demands.len()];
    let mut by_size: Vec<usize> = (0..demands.len()).collect();
    by_size.sort_by_key(|index| demands[*index]);
    let mut left = room;
    for (position, index) in by_size.iter().enumerate() {
        let share = left.div_ceil(demands.len() - position);
        parts[*index] = demands[*index].min(share);
        left -= parts[*index];
    }
    parts
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
