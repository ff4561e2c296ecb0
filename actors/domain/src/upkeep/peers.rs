//! The nodes of the cluster as one node knows them: their slots, and when their processes last reported.
//!
//! Invariant: times of a node are compared only with each other, never with those of another node's clock.

use std::collections::{BTreeMap, BTreeSet};

use crate::delivery::eligibility::Rules;
use crate::upkeep::presence::Presence;

/// Heartbeats of a node that may be missed before its slots stop counting.
const MISSED_MAX: i64 = 3;
/// Time after its last heartbeat for which a process counts as evidence, in seconds. The bucket remembers it as long.
const REMEMBERED: i64 = 3600;

/// Known processes by id. Times are in seconds on a clock of this node that never goes back.
#[derive(Debug, Clone, Default)]
pub struct Peers {
    heard: BTreeMap<String, (i64, Presence)>,
    /// Processes that removed their reports.
    left: BTreeSet<String>,
    now: i64,
    listened: bool,
}

impl Peers {
    /// Records the reports written since the last call, each with its age in seconds. `said` is empty if they could not be read.
    pub fn hear(&mut self, now: i64, said: impl IntoIterator<Item = (String, i64, Presence)>) {
        (self.now, self.listened) = (now, true);
        for (id, age, presence) in said {
            self.left.remove(&id);
            self.heard.insert(id, (now.saturating_sub(age), presence));
        }
        self.heard.retain(|_, (at, _)| now.saturating_sub(*at) < REMEMBERED);
        self.left.retain(|id| self.heard.contains_key(id));
    }

    /// Whether this node has tried to read the reports at least once.
    #[must_use]
    pub fn listened(&self) -> bool {
        self.listened
    }

    /// Tasks that all nodes with a recent heartbeat encode at once. `interval` is the time between two heartbeats in seconds.
    #[must_use]
    pub fn slots(&self, interval: i64) -> usize {
        let lately = self.lately(interval);
        lately.map(|(_, said)| said.slots_counted()).fold(0, usize::saturating_add)
    }

    /// Reports of the processes with a recent heartbeat.
    pub fn live(&self, interval: i64) -> impl Iterator<Item = &Presence> + Clone {
        self.lately(interval).map(|(_, said)| said)
    }

    /// Names of encoding nodes with a recent heartbeat whose rules are others. Nodes must agree on them.
    #[must_use]
    pub fn dissenting(&self, interval: i64, rules: &Rules) -> BTreeSet<String> {
        let others = self.live(interval).filter(|said| said.encodes() && said.rules != *rules);
        others.map(|said| said.node.clone()).collect()
    }

    /// Processes with a recent heartbeat that release what has its turn.
    pub fn publishers(&self, interval: i64) -> impl Iterator<Item = &str> {
        self.lately(interval).filter(|(_, said)| said.releases).map(|(id, _)| id)
    }

    /// Processes with a recent heartbeat that have slots to encode with: those outside their hours have none.
    #[must_use]
    pub fn encoders(&self, interval: i64) -> usize {
        self.lately(interval)
            .filter(|(_, said)| said.encodes() && said.is_settled() && said.slots > 0)
            .count()
    }

    fn lately(&self, interval: i64) -> impl Iterator<Item = (&str, &Presence)> + Clone {
        let recent = move |at: i64| self.now.saturating_sub(at) <= interval.max(1) * MISSED_MAX;
        let here = self.heard.iter().filter(|(id, _)| !self.left.contains(*id));
        let lately = here.filter(move |(_, (at, _))| recent(*at));
        lately.map(|(id, (_, presence))| (id.as_str(), presence))
    }

    /// Records the processes that removed their reports.
    pub fn leave(&mut self, left: impl IntoIterator<Item = String>) {
        self.left.extend(left.into_iter().filter(|id| self.heard.contains_key(id)));
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

    fn process(node: &str, since: i64, at: i64) -> (String, i64, Presence) {
        let (node, slots) = (node.to_owned(), 4);
        let presence = Presence { v: 1, node, slots, since, at, ..Presence::default() };
        (format!("{}-{since}", presence.node), 0, presence)
    }

    #[test]
    fn the_slots_of_nodes_that_spoke_lately_add_up() {
        let mut peers = Peers::default();
        assert!(!peers.listened());
        peers.hear(0, [process("a", 0, 0), process("b", 0, 0)]);
        assert_eq!((peers.slots(30), peers.listened()), (8, true));
        peers.hear(91, [process("a", 0, 91)]);
        assert_eq!(peers.slots(30), 4, "b is silent");
        let (forged, _, presence) = process("c", 0, 91);
        let forged = |id: &str| {
            (format!("{forged}{id}"), 0, Presence { slots: usize::MAX, ..presence.clone() })
        };
        peers.hear(91, [forged("1"), forged("2")]);
        assert_eq!(peers.slots(30), 4 + 2 * 4096, "no report counts without end");
    }

    #[test]
    fn nodes_with_other_rules_are_named() {
        let mut peers = Peers::default();
        let (id, age, mut other) = process("a", 0, 0);
        other.roles.insert("encode".to_owned());
        peers.hear(0, [(id.clone(), age, other.clone()), process("gateway", 0, 0)]);
        assert!(peers.dissenting(30, &Rules::default()).is_empty());
        other.rules.needs.insert(crate::id::Group::Main, ["gpu".parse().unwrap()].into());
        peers.hear(10, [(id, age, other.clone())]);
        assert_eq!(peers.dissenting(30, &Rules::default()), ["a".to_owned()].into());
        assert!(peers.dissenting(30, &other.rules).is_empty());
        peers.hear(200, []);
        assert_eq!(peers.live(30).count(), 0);
    }

    #[test]
    fn the_reports_of_namesakes_are_kept_apart() {
        let mut peers = Peers::default();
        peers.hear(0, [process("node", 50, 103), process("node", 90, 200)]);
        assert_eq!(peers.last_report("node-50"), Some(103));
        assert_eq!(peers.last_report("node"), None);
        assert_eq!(peers.last_report(""), None, "an older program made the attempt");
    }

    #[test]
    fn a_node_that_left_counts_no_more_and_its_reports_are_remembered() {
        let mut peers = Peers::default();
        let publishes = |(id, age, presence): (String, i64, Presence)| {
            (id, age, Presence { releases: true, ..presence })
        };
        peers.hear(0, [publishes(process("a", 0, 7)), process("b", 0, 7)]);
        assert_eq!(peers.publishers(30).collect::<Vec<_>>(), ["a-0"]);
        assert_eq!(peers.encoders(30), 0, "none has the role");
        let encodes = |(id, age, mut presence): (String, i64, Presence), slots| {
            presence.roles.insert("encode".to_owned());
            (id, age, Presence { slots, ..presence })
        };
        peers.hear(0, [encodes(process("c", 0, 7), 4), encodes(process("d", 0, 7), 0)]);
        assert_eq!(peers.encoders(30), 1, "d is outside its hours");
        peers.leave(["c-0".to_owned(), "d-0".to_owned()]);
        peers.leave(["a-0".to_owned(), "unknown".to_owned()]);
        assert_eq!((peers.slots(30), peers.publishers(30).count()), (4, 0));
        assert_eq!(peers.last_report("a-0"), Some(7));
        peers.hear(1, [publishes(process("a", 0, 8))]);
        assert_eq!((peers.slots(30), peers.publishers(30).count()), (8, 1));
    }

    #[test]
    fn a_node_that_starts_does_not_count_those_that_died_before() {
        let mut peers = Peers::default();
        let (id, _, presence) = process("former", 0, 0);
        peers.hear(1, [(id, 100, presence), process("own", 90, 100)]);
        assert_eq!(peers.slots(30), 4);
        assert_eq!(peers.last_report("former-0"), Some(0), "its attempts are remembered");
    }
}
