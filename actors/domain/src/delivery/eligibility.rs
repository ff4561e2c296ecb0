//! Which queues a node may take tasks from: labels that groups need, and hours of lanes, groups and nodes.
//!
//! Invariant: a node decides by its own settings alone. So a task that needs a label never runs on a node without it, whatever other nodes
//! say. All nodes should have the same [`Rules`]; where they differ, `doctor` and the log tell.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::dispatch::TaskQueue;
use super::hours::Hours;
use super::label::Label;
use crate::id::Group;
use crate::order::lane::Lane;

/// Most rounds in which an opening is searched that several hours have in common.
const ROUNDS_MAX: usize = 64;

/// What groups need, and when lanes and groups are taken. The same on all nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Labels that a node needs for tasks of a group. A group without an entry needs none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub needs: BTreeMap<Group, BTreeSet<Label>>,
    /// A lane without an entry is always taken.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lanes: BTreeMap<Lane, LaneHours>,
    /// A group without an entry is always taken.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<Group, Hours>,
}

/// Hours of a lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneHours {
    pub hours: Hours,
    /// Whether what playback needs first is taken at every time.
    #[serde(default)]
    pub first_seconds_always: bool,
}

/// What a node offers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<Label>,
    /// When the node takes tasks. `None`: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
}

/// Whose hours close a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Closed {
    Lane,
    Group,
    Node,
}

impl Offer {
    /// Whether the node takes tasks at this time.
    #[must_use]
    pub fn is_open(&self, now: i64) -> bool {
        self.hours.as_ref().is_none_or(|hours| hours.is_open(now))
    }
}

impl Rules {
    /// Labels that a group needs.
    pub fn needs(&self, group: Group) -> impl Iterator<Item = &Label> {
        self.needs.get(&group).into_iter().flatten()
    }

    /// Whether a node with this offer has all labels that a group needs.
    #[must_use]
    pub fn is_able(&self, offer: &Offer, group: Group) -> bool {
        self.needs(group).all(|label| offer.labels.contains(label))
    }

    /// Queues from which a node with this offer takes tasks now.
    #[must_use]
    pub fn taken(&self, offer: &Offer, now: i64) -> BTreeSet<TaskQueue> {
        TaskQueue::all().filter(|queue| self.takes(offer, *queue, now)).collect()
    }

    /// Whether a node with this offer takes tasks from a queue now.
    #[must_use]
    pub fn takes(&self, offer: &Offer, queue: TaskQueue, now: i64) -> bool {
        self.is_able(offer, queue.group) && self.closed(offer, queue, now).is_none()
    }

    /// When [`Self::taken`] may have another answer. `None`: never.
    #[must_use]
    pub fn changes(&self, offer: &Offer, now: i64) -> Option<i64> {
        let lanes = self.lanes.values().map(|lane| &lane.hours);
        let all = lanes.chain(self.groups.values()).chain(&offer.hours);
        all.filter_map(|hours| hours.changes(now)).min()
    }

    /// Whose hours close a queue now, with these hours. `None`: it is open, as far as hours go.
    #[must_use]
    pub fn closed<'a>(
        &'a self,
        offer: &'a Offer,
        queue: TaskQueue,
        now: i64,
    ) -> Option<(Closed, &'a Hours)> {
        self.hours(offer, queue).find(|(_, hours)| !hours.is_open(now))
    }

    /// When no hours close a queue any more; `now` if none does. `None`: not within some weeks.
    #[must_use]
    pub fn opens(&self, offer: &Offer, queue: TaskQueue, now: i64) -> Option<i64> {
        let mut at = now;
        for _ in 0..ROUNDS_MAX {
            let mut latest = at;
            for (_, hours) in self.hours(offer, queue) {
                latest = latest.max(hours.opens(at)?);
            }
            if latest == at {
                return Some(at);
            }
            at = latest;
        }
        None
    }

    fn hours<'a>(
        &'a self,
        offer: &'a Offer,
        queue: TaskQueue,
    ) -> impl Iterator<Item = (Closed, &'a Hours)> {
        let lane = self.lanes.get(&queue.lane);
        let lane = lane.filter(|lane| !(lane.first_seconds_always && queue.group.is_first()));
        let lane = lane.map(|lane| (Closed::Lane, &lane.hours));
        let group = self.groups.get(&queue.group).map(|hours| (Closed::Group, hours));
        let node = offer.hours.as_ref().map(|hours| (Closed::Node, hours));
        [lane, group, node].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hours(window: &str) -> Hours {
        Hours::parse(&[window.to_owned()], "UTC".parse().unwrap()).unwrap().unwrap()
    }

    /// A time of Monday, 2026-11-30, in UTC.
    fn monday(hour: i64) -> i64 {
        1_795_996_800 + hour * 3600
    }

    fn labels(words: &[&str]) -> BTreeSet<Label> {
        words.iter().map(|word| word.parse().unwrap()).collect()
    }

    fn night() -> Rules {
        let lane = LaneHours { hours: hours("20:00-06:00"), first_seconds_always: true };
        Rules { lanes: [(Lane::Low, lane)].into(), ..Rules::default() }
    }

    const LOW_MAIN: TaskQueue = TaskQueue::new(Lane::Low, Group::Main);

    #[test]
    fn a_node_takes_only_groups_whose_labels_it_has() {
        let needs = [(Group::Main, labels(&["big-memory", "gpu"]))].into();
        let rules = Rules { needs, ..Rules::default() };
        let takes = |words: &[&str], group| {
            let offer = Offer { labels: labels(words), hours: None };
            rules.takes(&offer, TaskQueue::new(Lane::Normal, group), 0)
        };
        assert!(takes(&["gpu", "big-memory", "ssd"], Group::Main));
        assert!(!takes(&["gpu"], Group::Main) && !takes(&[], Group::Main));
        assert!(takes(&[], Group::Top) && takes(&["ssd"], Group::First));
        assert_eq!(Rules::default().taken(&Offer::default(), 0).len(), TaskQueue::all().count());
    }

    #[test]
    fn a_lane_is_taken_in_its_hours_and_first_seconds_always_if_so_set() {
        let (rules, offer) = (night(), Offer::default());
        let low = |group| TaskQueue::new(Lane::Low, group);
        for group in Group::ALL {
            assert!(rules.takes(&offer, low(group), monday(21)), "{group}");
            assert_eq!(rules.takes(&offer, low(group), monday(12)), group.is_first(), "{group}");
            assert!(rules.takes(&offer, TaskQueue::new(Lane::High, group), monday(12)), "{group}");
        }
        let mut strict = night();
        strict.lanes.get_mut(&Lane::Low).unwrap().first_seconds_always = false;
        assert!(!strict.takes(&offer, low(Group::First), monday(12)));
        assert_eq!(rules.changes(&offer, monday(12)), Some(monday(20)));
        assert_eq!(
            rules.closed(&offer, LOW_MAIN, monday(12)).map(|(who, _)| who),
            Some(Closed::Lane)
        );
    }

    #[test]
    fn hours_of_lane_group_and_node_hold_together() {
        let groups = [(Group::Main, hours("22:00-23:00"))].into();
        let rules = Rules { groups, ..night() };
        let offer = Offer { hours: Some(hours("tue-wed 00:00-24:00")), ..Offer::default() };
        assert!(!rules.takes(&offer, LOW_MAIN, monday(22)), "it is Monday");
        assert_eq!(rules.opens(&offer, LOW_MAIN, monday(12)), Some(monday(24 + 22)));
        assert_eq!(rules.opens(&offer, LOW_MAIN, monday(24 + 22)), Some(monday(24 + 22)));
        assert_eq!(rules.changes(&offer, monday(21)), Some(monday(22)));
        assert!(!offer.is_open(monday(22)));
        let never = Offer { hours: Some(hours("12:00-13:00")), ..Offer::default() };
        assert_eq!(rules.opens(&never, LOW_MAIN, monday(12)), None);
    }

    #[test]
    fn a_document_without_rules_is_one_of_no_rules() {
        assert_eq!(serde_json::from_str::<Rules>("{}").unwrap(), Rules::default());
        assert_eq!(serde_json::from_str::<Offer>("{}").unwrap(), Offer::default());
        let rules = Rules { needs: [(Group::Top, labels(&["gpu"]))].into(), ..night() };
        let text = serde_json::to_string(&rules).unwrap();
        assert_eq!(serde_json::from_str::<Rules>(&text).unwrap(), rules, "{text}");
    }

    /// Windows that begin and end at whole hours.
    fn window() -> impl Strategy<Value = Hours> {
        (0..24u32, 1..24u32).prop_map(|(from, length)| {
            hours(&format!("{from:02}:00-{:02}:00", (from + length) % 24))
        })
    }

    proptest! {
        #[test]
        fn a_queue_opens_when_all_its_hours_are_open_and_not_before(
            lane in window(),
            group in window(),
            node in prop::option::of(window()),
            now in 0..24i64,
        ) {
            let lane = LaneHours { hours: lane, first_seconds_always: false };
            let rules = Rules {
                lanes: [(Lane::Low, lane)].into(),
                groups: [(Group::Main, group)].into(),
                ..Rules::default()
            };
            let offer = Offer { hours: node, ..Offer::default() };
            let now = monday(now);
            let opens = rules.opens(&offer, LOW_MAIN, now);
            let end = opens.unwrap_or(now + 48 * 3600);
            for hour in (now..end).step_by(3600) {
                prop_assert!(!rules.takes(&offer, LOW_MAIN, hour), "{}", hour);
            }
            prop_assert!(opens.is_none_or(|at| rules.takes(&offer, LOW_MAIN, at)));

            let (taken, change) = (rules.taken(&offer, now), rules.changes(&offer, now).unwrap());
            for hour in (now..change).step_by(3600) {
                prop_assert_eq!(&rules.taken(&offer, hour), &taken);
            }
        }
    }
}
