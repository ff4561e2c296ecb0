//! The nodes of the cluster as one node knows them: their slots, and when their processes last reported.
//!
//! Invariant: times of a node are compared only with each other, never with those of another node's clock.

use std::collections::BTreeMap;

use crate::upkeep::presence::Presence;

/// Heartbeats of a node that may be missed before its slots stop counting.
const MISSED_MAX: u64 = 3;
/// Time after its last heartbeat for which a process counts as evidence, in seconds. The bucket remembers it as long.
const REMEMBERED: u64 = 3600;

/// Known processes by id. Times are in seconds since any fixed moment of this node.
#[derive(Debug, Clone, Default)]
pub struct Peers {
    heard: BTreeMap<String, (u64, Presence)>,
    now: u64,
    listened: bool,
}

impl Peers {
    /// Records the reports written since the last call. `said` is empty if they could not be read.
    pub fn hear(&mut self, now: u64, said: impl IntoIterator<Item = (String, Presence)>) {
        (self.now, self.listened) = (now, true);
        self.heard.extend(said.into_iter().map(|(id, presence)| (id, (now, presence))));
        self.heard.retain(|_, (at, _)| now.saturating_sub(*at) < REMEMBERED);
    }

    /// Whether this node has tried to read the reports at least once.
    #[must_use]
    pub fn listened(&self) -> bool {
        self.listened
    }

    /// Tasks that all nodes with a recent heartbeat encode at once. `interval` is the time between two heartbeats in seconds.
    #[must_use]
    pub fn slots(&self, interval: u64) -> usize {
        let lately = |at: u64| self.now.saturating_sub(at) <= interval.max(1) * MISSED_MAX;
        self.heard.values().filter(|(at, _)| lately(*at)).map(|(_, presence)| presence.slots).sum()
    }

    /// When this start of a node last reported itself, by its own clock.
    #[must_use]
    pub fn last_report(&self, start: &str) -> Option<i64> {
        self.heard.get(start).map(|(_, process)| process.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(node: &str, since: i64, at: i64) -> (String, Presence) {
        let (node, slots) = (node.to_owned(), 4);
        let presence = Presence { v: 1, node, slots, since, at, ..Presence::default() };
        (format!("{}-{since}", presence.node), presence)
    }

    #[test]
    fn the_slots_of_nodes_that_spoke_lately_add_up() {
        let mut peers = Peers::default();
        assert!(!peers.listened());
        peers.hear(0, [process("a", 0, 0), process("b", 0, 0)]);
        assert_eq!((peers.slots(30), peers.listened()), (8, true));
        peers.hear(91, [process("a", 0, 91)]);
        assert_eq!(peers.slots(30), 4, "b is silent");
    }

    #[test]
    fn the_reports_of_namesakes_are_kept_apart() {
        let mut peers = Peers::default();
        peers.hear(0, [process("node", 50, 103), process("node", 90, 200)]);
        assert_eq!(peers.last_report("node-50"), Some(103));
        assert_eq!(peers.last_report("node"), None);
        assert_eq!(peers.last_report(""), None, "an older program made the attempt");
    }
}
