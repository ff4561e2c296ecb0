//! Summary of a plan's work by group. A state holds it, so that a backlog is known without reading plans.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{Group, TaskId};
use crate::plan::{Plan, Work};

/// Most encode seconds of a group that are believed: 30 years.
const SECONDS_MAX: f64 = 1e9;

/// Work of one group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Share {
    pub tasks: u32,
    /// Encode seconds of these tasks.
    pub seconds: f64,
}

/// Work of a plan by group. Empty in states of older versions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, Share>")]
pub struct Shares(BTreeMap<Group, Share>);

impl Shares {
    /// Work of `plan`.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let mut shares = BTreeMap::<Group, Share>::new();
        for planned in &plan.tasks {
            let share = shares.entry(planned.task.group).or_default();
            share.tasks += 1;
            share.seconds += planned.cost;
        }
        for share in shares.values_mut() {
            share.seconds = (share.seconds * 1000.0).round() / 1000.0;
        }
        Self(shares)
    }

    /// Work that is all of one group.
    #[must_use]
    pub fn one(group: Group, share: Share) -> Self {
        Self([(group, share)].into())
    }

    /// Whether the plan has no work, or its work is not known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Work of a group.
    #[must_use]
    pub fn get(&self, group: Group) -> Share {
        self.0.get(&group).copied().unwrap_or_default()
    }

    /// Encode seconds of all groups.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.0.values().map(|share| share.seconds).sum()
    }
}

/// Tiers whose pictures a task encodes, with the seconds of each.
#[must_use]
pub fn pictures(plan: &Plan, task: TaskId) -> Vec<(String, f64)> {
    let Some(Work::Video { chunks, tiers, .. }) = plan.task(task).map(|planned| &planned.work)
    else {
        return Vec::new();
    };
    let seconds = chunks.iter().map(|chunk| plan.chunk_seconds(*chunk)).sum();
    let names = tiers.iter().filter_map(|tier| plan.tiers.get(*tier));
    names.map(|tier| (tier.name.clone(), seconds)).collect()
}

/// A group of a newer version is left out. Numbers out of range are clamped.
impl From<BTreeMap<String, Share>> for Shares {
    fn from(read: BTreeMap<String, Share>) -> Self {
        let known = read.into_iter().filter_map(|(word, share)| {
            let seconds = share.seconds.clamp(0.0, SECONDS_MAX);
            Some((word.parse().ok()?, Share { seconds, ..share }))
        });
        Self(known.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_a_newer_version_hides_no_other() {
        let text = r#"{"main":{"tasks":3,"seconds":1.5},"later":{"tasks":1,"seconds":1}}"#;
        let read: Shares = serde_json::from_str(text).unwrap();
        assert_eq!(read, Shares::one(Group::Main, Share { tasks: 3, seconds: 1.5 }));
        let forged: Shares = serde_json::from_str(r#"{"top":{"tasks":1,"seconds":-3}}"#).unwrap();
        assert_eq!(forged.seconds(), 0.0);
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"{"main":{"tasks":3,"seconds":1.5}}"#);
    }
}
