//! Nodes: they start, work, drain and are lost. What runs them is outside of this model: it starts and drains what the scaler wants.

use std::collections::{BTreeMap, BTreeSet};

use super::waiting::TaskAt;

/// The nodes that exist.
#[derive(Debug)]
pub(super) struct Fleet {
    slots: u32,
    nodes: BTreeMap<u32, Node>,
    /// Free slots of nodes that work. The first is taken, so that work is packed on the oldest nodes.
    free: BTreeSet<(u32, u32)>,
    next_node: u32,
    next_serial: u64,
    /// Time for which nodes that are gone existed.
    gone_seconds: f64,
}

#[derive(Debug)]
struct Node {
    began: f64,
    phase: Phase,
    hands: BTreeMap<u32, Hand>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Working,
    Draining,
}

/// A task in a slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hand {
    pub(super) task: TaskAt,
    /// When it was taken.
    pub(super) since: f64,
    pub(super) serial: u64,
}

/// A slot of a node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) node: u32,
    pub(super) slot: u32,
}

/// How many nodes are in which phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) starting: u32,
    pub(super) working: u32,
    pub(super) draining: u32,
}

impl Fleet {
    pub(super) fn new(slots: u32) -> Self {
        Self {
            slots,
            nodes: BTreeMap::new(),
            free: BTreeSet::new(),
            next_node: 0,
            next_serial: 0,
            gone_seconds: 0.0,
        }
    }

    /// A node begins to start.
    pub(super) fn start(&mut self, now: f64) -> u32 {
        let node = self.next_node;
        self.next_node += 1;
        let begun = Node { began: now, phase: Phase::Starting, hands: BTreeMap::new() };
        self.nodes.insert(node, begun);
        node
    }

    /// A node has started. Nothing happens if it was taken away meanwhile.
    pub(super) fn ready(&mut self, node: u32) {
        let Some(found) = self.nodes.get_mut(&node) else { return };
        found.phase = Phase::Working;
        self.free.extend((0..self.slots).map(|slot| (node, slot)));
    }

    /// Whether a slot is free.
    pub(super) fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// Puts a task into a free slot.
    pub(super) fn take(&mut self, task: TaskAt, now: f64) -> Option<(Place, u64)> {
        let (node, slot) = self.free.pop_first()?;
        let serial = self.next_serial;
        self.next_serial += 1;
        self.nodes.get_mut(&node)?.hands.insert(slot, Hand { task, since: now, serial });
        Some((Place { node, slot }, serial))
    }

    /// A slot has finished. `None` if its node was lost or has handed the task back.
    pub(super) fn finish(&mut self, place: Place, serial: u64, now: f64) -> Option<Hand> {
        let Place { node, slot } = place;
        let found = self.nodes.get_mut(&node)?;
        let hand = found.hands.get(&slot).copied().filter(|hand| hand.serial == serial)?;
        found.hands.remove(&slot);
        match found.phase {
            Phase::Starting | Phase::Working => {
                self.free.insert((node, slot));
            }
            Phase::Draining if found.hands.is_empty() => self.remove(node, now),
            Phase::Draining => {}
        }
        Some(hand)
    }

    /// Takes nodes away by a drain: first those that still start, then those with the fewest tasks, of these the newest. Returns the nodes
    /// that have tasks to finish.
    pub(super) fn drain(&mut self, count: u32, now: f64) -> Vec<u32> {
        let mut candidates: Vec<(bool, usize, u32)> = self
            .nodes
            .iter()
            .filter(|(_, node)| node.phase != Phase::Draining)
            .map(|(id, node)| (node.phase == Phase::Working, node.hands.len(), u32::MAX - *id))
            .collect();
        candidates.sort_unstable();
        let mut busy = Vec::new();
        for (_, hands, from_end) in candidates.into_iter().take(count as usize) {
            let node = u32::MAX - from_end;
            self.free.retain(|(of, _)| *of != node);
            if hands == 0 {
                self.remove(node, now);
            } else if let Some(found) = self.nodes.get_mut(&node) {
                found.phase = Phase::Draining;
                busy.push(node);
            }
        }
        busy
    }

    /// A node ends, whatever it has in hand. Returns the tasks.
    pub(super) fn end(&mut self, node: u32, now: f64) -> Vec<Hand> {
        let hands = self.nodes.get(&node).map(|node| node.hands.values().copied().collect());
        self.remove(node, now);
        hands.unwrap_or_default()
    }

    /// Ids of the nodes that exist and are not draining.
    pub(super) fn alive(&self) -> Vec<u32> {
        let alive = self.nodes.iter().filter(|(_, node)| node.phase != Phase::Draining);
        alive.map(|(id, _)| *id).collect()
    }

    fn remove(&mut self, node: u32, now: f64) {
        if let Some(gone) = self.nodes.remove(&node) {
            self.gone_seconds += now - gone.began;
            self.free.retain(|(of, _)| *of != node);
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let of = |phase| self.nodes.values().filter(|node| node.phase == phase).count() as u32;
        Counts {
            starting: of(Phase::Starting),
            working: of(Phase::Working),
            draining: of(Phase::Draining),
        }
    }

    /// Slots with a task.
    pub(super) fn busy(&self) -> u32 {
        self.nodes.values().map(|node| node.hands.len() as u32).sum()
    }

    /// Time for which all nodes existed, from the beginning of their start to their end.
    pub(super) fn node_seconds(&self, now: f64) -> f64 {
        self.gone_seconds + self.nodes.values().map(|node| now - node.began).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draining_node_takes_nothing_and_ends_with_its_last_task() {
        let mut fleet = Fleet::new(2);
        let (old, new) = (fleet.start(0.0), fleet.start(0.0));
        [old, new].into_iter().for_each(|node| fleet.ready(node));
        let (first, serial) = fleet.take((0, 0), 1.0).unwrap();
        assert_eq!(first.node, old);
        assert!(fleet.drain(1, 2.0).is_empty(), "the idle one goes at once");
        assert_eq!(fleet.drain(1, 3.0), [old]);
        assert!(!fleet.has_room());
        assert_eq!(fleet.counts(), Counts { starting: 0, working: 0, draining: 1 });
        assert_eq!(fleet.finish(first, serial, 10.0).map(|hand| hand.task), Some((0, 0)));
        assert!(fleet.finish(first, serial, 10.0).is_none());
        assert_eq!(fleet.node_seconds(99.0), 2.0 + 10.0);
    }

    #[test]
    fn a_lost_node_gives_its_tasks_and_its_late_results_count_no_more() {
        let mut fleet = Fleet::new(1);
        let node = fleet.start(0.0);
        fleet.ready(node);
        let (place, serial) = fleet.take((4, 2), 0.0).unwrap();
        let hands = fleet.end(node, 5.0);
        assert_eq!(hands.iter().map(|hand| hand.task).collect::<Vec<_>>(), [(4, 2)]);
        assert!(fleet.finish(place, serial, 6.0).is_none());
        fleet.ready(node);
        assert!(!fleet.has_room());
    }
}
