//! Work that no live node can do now: it waits for a node with a label, or for hours.
//!
//! The reports of the nodes tell, so all that show it say the same. Each node is judged by its own report, as it judges itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::delivery::dispatch::TaskQueue;
use crate::delivery::eligibility::Closed;
use crate::delivery::label::{self, Label};
use crate::id::Group;
use crate::order::line::{Phase, Row};
use crate::upkeep::presence::Presence;

/// What a queue waits for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wait {
    /// For a node with these labels: no live node has them all. Empty: no live node encodes.
    Node(BTreeSet<Label>),
    /// For hours.
    Hours {
        closed: Closed,
        /// When a node takes tasks of the queue again, in seconds since the Unix epoch. `None`: not within some weeks.
        until: Option<i64>,
        /// The same for people, in the time zone of the hours.
        spelled: String,
    },
}

impl Wait {
    /// Whether nothing but another node ends it.
    #[must_use]
    pub fn is_unservable(&self) -> bool {
        matches!(self, Self::Node(_) | Self::Hours { until: None, .. })
    }

    /// A sentence about these groups of a lane.
    #[must_use]
    pub fn sentence(&self, groups: &BTreeSet<Group>, lane: &str) -> String {
        let names: Vec<&str> = groups.iter().map(|group| group.as_str()).collect();
        let word = if names.len() == 1 { "group" } else { "groups" };
        let tasks = format!("Tasks of the {word} {}", names.join(", "));
        match self {
            Self::Node(labels) if labels.is_empty() => {
                format!("{tasks} wait for a node that encodes.")
            }
            Self::Node(labels) => {
                format!("{tasks} wait for a node with {}.", label::listed(labels))
            }
            Self::Hours { until: None, .. } => {
                format!("{tasks} wait: the hours of lane, group and nodes have no time in common.")
            }
            Self::Hours { closed, spelled, .. } => {
                let whose = match closed {
                    Closed::Lane => format!("the lane {lane}"),
                    Closed::Group => format!("the {word}"),
                    Closed::Node => "the nodes".to_owned(),
                };
                format!("{tasks} wait for the hours of {whose}, until {spelled}.")
            }
        }
    }
}

/// What tasks of a queue wait for. `None` if a node takes them, or no node is known at all.
pub fn wait<'a>(
    nodes: impl Iterator<Item = &'a Presence> + Clone,
    queue: TaskQueue,
    now: i64,
) -> Option<Wait> {
    nodes.clone().next()?;
    let workers = nodes.clone().filter(|node| node.encodes() && node.is_settled());
    let able = workers.clone().filter(|node| node.rules.is_able(&node.offer, queue.group));
    if able.clone().any(|node| takes(node, queue, now)) {
        return None;
    }
    let opens = |node: &Presence| node.rules.opens(&node.offer, queue, now).unwrap_or(i64::MAX);
    let Some(next) = able.min_by_key(|node| opens(node)) else {
        let needs = |node: &'a Presence| node.rules.needs(queue.group).cloned();
        let labels = if workers.clone().next().is_some() {
            workers.flat_map(needs).collect()
        } else {
            nodes.flat_map(needs).collect()
        };
        return Some(Wait::Node(labels));
    };
    let (closed, hours) = next.rules.closed(&next.offer, queue, now)?;
    let until = Some(opens(next)).filter(|at| *at < i64::MAX);
    let spelled = until.map(|at| hours.spell(at)).unwrap_or_default();
    Some(Wait::Hours { closed, until, spelled })
}

fn takes(node: &Presence, queue: TaskQueue, now: i64) -> bool {
    node.rules.takes(&node.offer, queue, now)
}

/// Queues of which tasks wait for a node or for hours.
pub fn waits<'a>(
    nodes: impl Iterator<Item = &'a Presence> + Clone,
    now: i64,
) -> BTreeMap<TaskQueue, Wait> {
    let of = |queue| Some((queue, wait(nodes.clone(), queue, now)?));
    TaskQueue::all().filter_map(of).collect()
}

/// Groups of the same lane that wait for the same, each with its wait.
#[must_use]
pub fn by_wait(
    waits: impl IntoIterator<Item = (TaskQueue, Wait)>,
) -> BTreeMap<Wait, BTreeSet<Group>> {
    let mut found = BTreeMap::<Wait, BTreeSet<Group>>::new();
    for (queue, wait) in waits {
        found.entry(wait).or_default().insert(queue.group);
    }
    found
}

/// Queues from which less than half of all slots take tasks now. Their tasks may wait while most slots are idle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scarce(BTreeSet<TaskQueue>);

impl Scarce {
    /// The scarce queues of these nodes.
    pub fn of<'a>(nodes: impl Iterator<Item = &'a Presence> + Clone, now: i64) -> Self {
        let slots = |nodes: &mut dyn Iterator<Item = &'a Presence>| {
            nodes.map(Presence::slots_counted).fold(0, usize::saturating_add)
        };
        let all = slots(&mut nodes.clone());
        let of = |queue| slots(&mut nodes.clone().filter(|node| takes(node, queue, now)));
        Self(TaskQueue::all().filter(|queue| of(*queue).saturating_mul(2) < all).collect())
    }

    /// Tasks of a row that wait for a slot, as far as they show that the row has enough released. Tasks of a scarce queue do not: they would
    /// hide that most slots have nothing to do. Where the queue of most tasks is scarce itself, all count, for the row is as fast as that one
    /// and a longer queue would only take its tasks out of the turns of owners and orders.
    #[must_use]
    pub fn waiting(&self, row: Row, waiting: &BTreeMap<TaskQueue, u64>) -> usize {
        let most = match row.phase {
            Phase::First => Group::First,
            Phase::Bulk => Group::Main,
        };
        let is_slow = self.0.contains(&TaskQueue::new(row.lane, most));
        let counts = |queue: &TaskQueue| {
            let phase = if queue.group.is_first() { Phase::First } else { Phase::Bulk };
            let is_in = (queue.lane, phase) == (row.lane, row.phase);
            is_in && (is_slow || !self.0.contains(queue))
        };
        let of = waiting.iter().filter(|(queue, _)| counts(queue));
        usize::try_from(of.map(|(_, count)| *count).sum::<u64>()).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::eligibility::{LaneHours, Offer, Rules};
    use crate::delivery::hours::Hours;
    use crate::order::lane::Lane;
    use crate::words::sentence;

    /// Monday, 2026-11-30, at noon in UTC.
    const NOON: i64 = 1_795_996_800 + 12 * 3600;
    const MAIN: TaskQueue = TaskQueue::new(Lane::Normal, Group::Main);

    fn hours(window: &str) -> Hours {
        Hours::parse(&[window.to_owned()], "UTC".parse().unwrap()).unwrap().unwrap()
    }

    fn labels(words: &[&str]) -> BTreeSet<Label> {
        words.iter().map(|word| word.parse().unwrap()).collect()
    }

    fn node(roles: &str, words: &[&str], needs: &[&str], slots: usize) -> Presence {
        let needs =
            if needs.is_empty() { BTreeMap::new() } else { [(Group::Main, labels(needs))].into() };
        Presence {
            node: "one".to_owned(),
            roles: [roles.to_owned()].into(),
            slots,
            offer: Offer { labels: labels(words), hours: None },
            rules: Rules { needs, ..Rules::default() },
            ..Presence::default()
        }
    }

    fn told(nodes: &[Presence], queue: TaskQueue) -> Option<String> {
        let text =
            wait(nodes.iter(), queue, NOON)?.sentence(&[queue.group].into(), queue.lane.as_str());
        assert_eq!(sentence::check(&text), Ok(()));
        Some(text)
    }

    #[test]
    fn work_that_no_live_node_can_do_waits_for_a_node_with_the_labels() {
        let plain = node("encode", &["ssd"], &["big-memory", "gpu"], 1);
        let able = node("encode", &["gpu", "big-memory"], &["big-memory", "gpu"], 1);
        let gateway = node("gateway", &["gpu", "big-memory"], &["big-memory", "gpu"], 0);
        let waits = told(&[plain.clone(), gateway.clone()], MAIN);
        let text = "Tasks of the group main wait for a node with big-memory and gpu.";
        assert_eq!(waits.as_deref(), Some(text));
        assert_eq!(
            told(&[plain.clone(), gateway.clone()], TaskQueue::new(Lane::Low, Group::Top)),
            None
        );
        assert_eq!(told(&[plain.clone(), able.clone()], MAIN), None);
        let arriving = Presence { arriving: true, ..able };
        assert_eq!(told(&[plain, arriving], MAIN).as_deref(), Some(text));
        let alone = told(&[node("gateway", &[], &[], 0)], MAIN);
        assert_eq!(alone.as_deref(), Some("Tasks of the group main wait for a node that encodes."));
        assert_eq!(told(&[], MAIN), None, "nothing is known");
    }

    #[test]
    fn a_node_is_judged_by_its_own_settings() {
        let old = node("encode", &[], &[], 1);
        let new = node("encode", &[], &["gpu"], 1);
        assert_eq!(told(&[old, new.clone()], MAIN), None, "the first one takes them");
        assert!(told(&[new], MAIN).unwrap().contains("gpu"));
    }

    #[test]
    fn hours_are_told_with_their_end() {
        let mut closed = node("encode", &[], &[], 1);
        let lane = LaneHours { hours: hours("20:00-06:00"), first_seconds_always: false };
        closed.rules.lanes = [(Lane::Normal, lane)].into();
        let text = told(&[closed.clone()], MAIN).unwrap();
        let end = "wait for the hours of the lane normal, until Mon 2026-11-30 20:00 (UTC).";
        assert!(text.ends_with(end), "{text}");
        assert_eq!(told(&[closed.clone()], TaskQueue::new(Lane::High, Group::Main)), None);
        let found = waits([&closed].into_iter(), NOON);
        assert_eq!(found.len(), Group::ALL.len());
        assert!(found.values().all(|wait| !wait.is_unservable()));
        let groups = by_wait(found);
        assert_eq!(
            groups.values().next().map(BTreeSet::len),
            Some(Group::ALL.len()),
            "one sentence"
        );

        // The earlier one of two nodes counts.
        let with = |window| Presence {
            offer: Offer { hours: Some(hours(window)), ..Offer::default() },
            ..node("encode", &[], &[], 1)
        };
        let text = told(&[with("18:00-19:00"), with("15:00-16:00")], MAIN).unwrap();
        assert!(text.contains("the nodes, until Mon 2026-11-30 15:00"), "{text}");
        let mut never = with("15:00-16:00");
        never.rules.groups = [(Group::Main, hours("16:00-17:00"))].into();
        assert!(told(&[never.clone()], MAIN).unwrap().contains("no time in common"));
        assert!(wait([&never].into_iter(), MAIN, NOON).unwrap().is_unservable());
    }

    const TOP: TaskQueue = TaskQueue::new(Lane::Normal, Group::Top);
    const BULK: Row = Row { lane: Lane::Normal, phase: Phase::Bulk };

    /// Nine nodes without a GPU and `with` nodes with one, which the group `main` needs.
    fn cluster(with: usize) -> Vec<Presence> {
        let mut nodes = vec![node("encode", &[], &["gpu"], 8); 9];
        nodes.extend(vec![node("encode", &["gpu"], &["gpu"], 8); with]);
        nodes
    }

    /// The same for the group `top`.
    fn cluster_for_top(with: usize) -> Vec<Presence> {
        let mut nodes = cluster(with);
        for node in &mut nodes {
            let needs = node.rules.needs.remove(&Group::Main);
            node.rules.needs.extend(needs.map(|needs| (Group::Top, needs)));
        }
        nodes
    }

    #[test]
    fn tasks_for_few_nodes_do_not_hide_that_most_slots_are_idle() {
        let waiting = [(MAIN, 3), (TOP, 100)].into();
        let count = |nodes: &[Presence]| Scarce::of(nodes.iter(), NOON).waiting(BULK, &waiting);
        assert_eq!((count(&cluster_for_top(0)), count(&cluster_for_top(1))), (3, 3));
        assert_eq!(count(&cluster_for_top(9)), 103, "half of all slots take them");
        assert_eq!((count(&cluster(0)), count(&cluster(1))), (103, 103), "most tasks are for few");
        let first = Row { phase: Phase::First, ..BULK };
        assert_eq!(Scarce::of(cluster(1).iter(), NOON).waiting(first, &waiting), 0);
        assert_eq!(Scarce::of([].into_iter(), NOON), Scarce::default(), "nothing is known");
    }

    #[test]
    fn where_a_lane_is_closed_its_tasks_count() {
        let mut closed = node("encode", &[], &[], 8);
        let lane = LaneHours { hours: hours("20:00-06:00"), first_seconds_always: false };
        closed.rules.lanes = [(Lane::Normal, lane)].into();
        let scarce = Scarce::of([&closed].into_iter(), NOON);
        assert_eq!(scarce.waiting(BULK, &[(MAIN, 7)].into()), 7);
    }
}
