//! Checks that nodes agree on lanes and groups, and that some live node takes the tasks of every queue.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use jetreel_actors::ports::Nodes as _;
use jetreel_domain::delivery::dispatch::TaskQueue;
use jetreel_domain::delivery::eligibility::Rules;
use jetreel_domain::delivery::label;
use jetreel_domain::id::Group;
use jetreel_domain::order::lane::Lane;
use jetreel_domain::upkeep::presence::{self, Presence};
use jetreel_domain::upkeep::waits::{Wait, by_wait, waits};

use super::Finding;
use crate::bus::Bus;

const RULES: &str = "rules";
const LABELS: &str = "labels";
const HOURS: &str = "hours";

/// Heartbeats of a node that may be missed before it counts as gone.
const MISSED_MAX: i64 = 3;

/// Runs the checks. No finding if no node is alive: another check tells that.
pub(super) async fn examine(bus: &Bus, build_seconds: u64) -> Vec<Finding> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let interval = i64::try_from(presence::interval(build_seconds).as_secs().max(1)).unwrap_or(1);
    let Ok(said) = bus.said(0, usize::MAX).await else { return Vec::new() };
    let since = now - MISSED_MAX * interval;
    let live = said.words.into_iter().filter(|word| word.at >= since).map(|word| word.presence);
    of_nodes(&live.collect::<Vec<_>>(), now)
}

fn of_nodes(live: &[Presence], now: i64) -> Vec<Finding> {
    let dissent = dissent(live);
    let mut findings: Vec<Finding> = dissent.into_iter().collect();
    if live.iter().any(Presence::encodes) {
        let mut by_lane = BTreeMap::<Lane, Vec<(TaskQueue, Wait)>>::new();
        for (queue, wait) in waits(live.iter(), now) {
            by_lane.entry(queue.lane).or_default().push((queue, wait));
        }
        findings.extend(unservable(by_lane.values().flatten()));
        findings.extend(closed(by_lane));
    }
    findings
}

/// Nodes whose rules differ. Each decides by its own, so a task may run where it should not.
fn dissent(live: &[Presence]) -> Option<Finding> {
    let mut kinds: Vec<(&Rules, BTreeSet<&str>)> = Vec::new();
    for node in live.iter().filter(|node| node.encodes()) {
        match kinds.iter_mut().find(|(rules, _)| **rules == node.rules) {
            Some((_, names)) => _ = names.insert(&node.node),
            None => kinds.push((&node.rules, [node.node.as_str()].into())),
        }
    }
    if kinds.len() < 2 {
        return None;
    }
    let kinds: Vec<String> = kinds.iter().map(|(rules, names)| kind(rules, names)).collect();
    let found = format!("nodes have different settings of lanes or groups: {}", kinds.join("; "));
    let advice = "set the same [lanes], [groups] and hours.time-zone on every node: each takes tasks by its own";
    Some(Finding::fail(RULES, found, advice))
}

fn kind(rules: &Rules, names: &BTreeSet<&str>) -> String {
    let names: Vec<&str> = names.iter().copied().collect();
    let needs = rules
        .needs
        .iter()
        .map(|(group, labels)| format!("groups.{group}.needs = {}", label::listed(labels)));
    let lanes = rules.lanes.iter().map(|(lane, of)| format!("lanes.{lane}.hours = {}", of.hours));
    let groups =
        rules.groups.iter().map(|(group, hours)| format!("groups.{group}.hours = {hours}"));
    let all: Vec<String> = needs.chain(lanes).chain(groups).collect();
    let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    format!("{} have {all}", names.join(", "))
}

/// Groups whose tasks wait for a node with labels, whatever their lane.
fn unservable<'a>(waits: impl Iterator<Item = &'a (TaskQueue, Wait)>) -> Vec<Finding> {
    let mut by_labels = BTreeMap::<_, BTreeSet<Group>>::new();
    for (queue, wait) in waits {
        if let Wait::Node(labels) = wait {
            by_labels.entry(labels).or_default().insert(queue.group);
        }
    }
    let told = by_labels.into_iter().map(|(labels, groups)| {
        let names: Vec<&str> = groups.iter().map(|group| group.as_str()).collect();
        let found = format!(
            "no running node has {}, which tasks of the groups {} need: they wait",
            label::listed(labels),
            names.join(", ")
        );
        let words: Vec<String> = labels.iter().map(|label| format!("\"{label}\"")).collect();
        let advice = format!(
            "set node.labels = [{}] on a node that has it, or take it out of groups.<group>.needs on every node",
            words.join(", ")
        );
        Finding::warn(LABELS, found, &advice)
    });
    told.collect()
}

/// Queues that wait for their hours. That is as set, unless they never come.
fn closed(by_lane: BTreeMap<Lane, Vec<(TaskQueue, Wait)>>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (lane, waits) in by_lane {
        for (wait, groups) in by_wait(waits) {
            let found = format!("lane {lane}: {}", wait.sentence(&groups, lane.as_str()));
            match wait {
                Wait::Node(_) => {}
                Wait::Hours { until: Some(_), .. } => findings.push(Finding::ok(HOURS, found)),
                Wait::Hours { until: None, .. } => {
                    let advice = "let the hours of the lane, the group and of a node overlap";
                    findings.push(Finding::warn(HOURS, found, advice));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use jetreel_domain::delivery::eligibility::{LaneHours, Offer};
    use jetreel_domain::delivery::hours::Hours;

    use super::super::Verdict;
    use super::*;

    /// Monday, 2026-11-30, at noon in UTC.
    const NOON: i64 = 1_795_996_800 + 12 * 3600;

    fn hours(window: &str) -> Hours {
        Hours::parse(&[window.to_owned()], "UTC".parse().unwrap()).unwrap().unwrap()
    }

    fn node(name: &str, labels: &[&str], needs: &[&str]) -> Presence {
        let words = |words: &[&str]| words.iter().map(|word| word.parse().unwrap()).collect();
        let mut rules = Rules::default();
        if !needs.is_empty() {
            rules.needs.insert(Group::Main, words(needs));
        }
        Presence {
            node: name.to_owned(),
            roles: ["encode".to_owned()].into(),
            slots: 1,
            offer: Offer { labels: words(labels), hours: None },
            rules,
            ..Presence::default()
        }
    }

    #[test]
    fn a_label_that_no_node_has_is_told_with_its_group_and_what_to_set() {
        let found = of_nodes(&[node("a", &["ssd"], &["big-memory"])], NOON);
        let [Finding { check: LABELS, verdict: Verdict::Warn, found, advice }] = &found[..] else {
            panic!("{found:?}")
        };
        assert!(
            found.contains("no running node has big-memory") && found.contains("groups main"),
            "{found}"
        );
        assert!(advice.contains("node.labels = [\"big-memory\"]"), "{advice}");
        let able = node("b", &["big-memory"], &["big-memory"]);
        assert_eq!(of_nodes(&[node("a", &["ssd"], &["big-memory"]), able], NOON), []);
        assert_eq!(of_nodes(&[], NOON), []);
    }

    #[test]
    fn nodes_that_disagree_are_told_with_what_they_have() {
        let found = of_nodes(&[node("a", &["gpu"], &["gpu"]), node("b", &[], &[])], NOON);
        let [Finding { check: RULES, verdict: Verdict::Fail, found, .. }] = &found[..] else {
            panic!("{found:?}")
        };
        assert!(found.contains("a have groups.main.needs = gpu; b have none"), "{found}");
    }

    #[test]
    fn a_closed_lane_is_told_with_its_next_opening() {
        let mut closed = node("a", &[], &[]);
        let lane = LaneHours { hours: hours("20:00-06:00"), first_seconds_always: true };
        closed.rules.lanes.insert(Lane::Low, lane);
        let found = of_nodes(&[closed.clone()], NOON);
        let [Finding { check: HOURS, verdict: Verdict::Ok, found, .. }] = &found[..] else {
            panic!("{found:?}")
        };
        assert!(found.contains("the lane low, until Mon 2026-11-30 20:00 (UTC)"), "{found}");
        assert!(!found.contains("first"), "{found}");
        closed.offer.hours = Some(hours("07:00-08:00"));
        closed.rules.lanes.get_mut(&Lane::Low).unwrap().first_seconds_always = false;
        let found = of_nodes(&[closed], NOON);
        assert!(found.iter().any(|finding| finding.verdict == Verdict::Warn), "{found:?}");
    }
}
