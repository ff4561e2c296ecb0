//! The operator's rules for the number of nodes.

use serde::{Deserialize, Serialize};

/// The rules. [`super::scaler`] says how they combine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    /// Fewest nodes.
    pub nodes_min: u32,
    /// Most nodes. It holds against every other rule.
    pub nodes_max: u32,
    /// Time from an upload within which its work should be done. 0: no target; the step rules alone decide.
    pub target_drain_seconds: f64,
    /// Relative change of the need that changes nothing: 0.1 ignores 10 % more or less.
    pub hysteresis: f64,
    /// Time for which the need must have been lower before nodes are taken away.
    pub stable_seconds: f64,
    /// Shortest time from any change to taking nodes away.
    pub cooldown_seconds: f64,
    /// At least `nodes` while more than `tasks` are unfinished.
    #[serde(default)]
    pub above: Vec<Step>,
    /// At most `nodes` while fewer than `tasks` are unfinished.
    #[serde(default)]
    pub below: Vec<Step>,
}

/// A step rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Step {
    /// Unfinished tasks, released or not.
    pub tasks: u64,
    pub nodes: u32,
}

/// A value of a policy that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct PolicyError {
    /// Name of the key.
    pub key: &'static str,
    /// What is wrong and what is right.
    pub problem: &'static str,
}

impl Policy {
    /// Checks every value.
    ///
    /// # Errors
    /// Names the first wrong key and the allowed values.
    pub fn check(&self) -> Result<(), PolicyError> {
        let ensure = |holds: bool, key: &'static str, problem: &'static str| {
            if holds { Ok(()) } else { Err(PolicyError { key, problem }) }
        };
        ensure(self.nodes_max >= 1, "nodes-max", "1 is the least")?;
        ensure(self.nodes_min <= self.nodes_max, "nodes-min", "it must not be above nodes-max")?;
        let seconds = |value: f64| value.is_finite() && value >= 0.0;
        ensure(seconds(self.target_drain_seconds), "target-drain-seconds", "0 is the least")?;
        ensure(seconds(self.stable_seconds), "stable-seconds", "0 is the least")?;
        ensure(seconds(self.cooldown_seconds), "cooldown-seconds", "0 is the least")?;
        let share = (0.0..1.0).contains(&self.hysteresis);
        ensure(share, "hysteresis", "it is a share, from 0 to below 1")?;
        let some =
            self.target_drain_seconds > 0.0 || !(self.above.is_empty() && self.below.is_empty());
        ensure(some, "target-drain-seconds", "without a target there must be step rules")
    }

    /// Fewest nodes for this many unfinished tasks, by `nodes-min` and the rules `above`.
    #[must_use]
    pub fn floor(&self, tasks: u64) -> u32 {
        let holding = self.above.iter().filter(|step| tasks > step.tasks);
        let most = holding.map(|step| step.nodes).max().unwrap_or(0);
        most.max(self.nodes_min).min(self.nodes_max)
    }

    /// Most nodes for this many unfinished tasks, by `nodes-max` and the rules `below`. Never below the floor.
    #[must_use]
    pub fn ceiling(&self, tasks: u64) -> u32 {
        let holding = self.below.iter().filter(|step| tasks < step.tasks);
        let fewest = holding.map(|step| step.nodes).min().unwrap_or(u32::MAX);
        fewest.min(self.nodes_max).max(self.floor(tasks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy {
            nodes_min: 1,
            nodes_max: 100,
            target_drain_seconds: 1800.0,
            hysteresis: 0.1,
            stable_seconds: 300.0,
            cooldown_seconds: 300.0,
            above: vec![Step { tasks: 5000, nodes: 50 }],
            below: vec![Step { tasks: 1000, nodes: 10 }],
        }
    }

    #[test]
    fn steps_bound_the_nodes_above_and_below_their_thresholds_and_say_nothing_between() {
        let bounds = |tasks| (policy().floor(tasks), policy().ceiling(tasks));
        assert_eq!(bounds(0), (1, 10));
        assert_eq!(bounds(999), (1, 10));
        assert_eq!(bounds(1000), (1, 100));
        assert_eq!(bounds(5000), (1, 100));
        assert_eq!(bounds(5001), (50, 100));
    }

    #[test]
    fn a_rule_that_wants_more_wins_over_one_that_wants_fewer_and_the_most_over_all() {
        let mut policy = policy();
        policy.below = vec![Step { tasks: 100_000, nodes: 3 }];
        assert_eq!(policy.ceiling(6000), 50);
        policy.nodes_max = 20;
        assert_eq!((policy.floor(6000), policy.ceiling(6000)), (20, 20));
    }

    #[test]
    fn a_wrong_value_is_named_by_its_key() {
        type Wrong = fn(&mut Policy);
        let cases: [(&str, Wrong); 6] = [
            ("nodes-max", |policy| policy.nodes_max = 0),
            ("nodes-min", |policy| policy.nodes_min = 101),
            ("hysteresis", |policy| policy.hysteresis = 1.0),
            ("stable-seconds", |policy| policy.stable_seconds = f64::NAN),
            ("cooldown-seconds", |policy| policy.cooldown_seconds = -1.0),
            ("target-drain-seconds", |policy| {
                policy.target_drain_seconds = 0.0;
                (policy.above, policy.below) = (Vec::new(), Vec::new());
            }),
        ];
        for (key, wrong) in cases {
            let mut policy = policy();
            assert_eq!(policy.check(), Ok(()));
            wrong(&mut policy);
            assert_eq!(policy.check().unwrap_err().key, key);
        }
    }
}
