//! A trace: rules, nodes, uploads, and what goes wrong.

use serde::{Deserialize, Serialize};

use super::clip::Clip;
use crate::order::lane::Lane;
use crate::scale::policy::{Policy, PolicyError};

/// Most uploads of a trace.
const UPLOADS_MAX: u64 = 1_000_000;

/// The document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Trace {
    /// What it shows, in a sentence.
    pub about: String,
    /// Seed of all random numbers.
    pub seed: u64,
    pub scaler: Policy,
    pub nodes: Nodes,
    pub uploads: Vec<Uploads>,
    #[serde(default)]
    pub lose_nodes: Vec<LoseNodes>,
    #[serde(default)]
    pub slow_storage: Vec<SlowStorage>,
}

/// The nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Nodes {
    /// Nodes that work at the beginning.
    pub first: u32,
    /// Slots of a node.
    pub slots: u32,
    /// vCPUs of a node, for its price.
    pub vcpus: u32,
    /// Encode seconds that a slot does in a second, if the storage is not slow.
    pub speed: f64,
    /// Share by which the time of a task varies, up and down.
    pub spread: f64,
    /// Time from the wish for a node until it takes tasks.
    pub start_seconds: f64,
    /// Grace of a node that drains: it hands back what is not finished by then.
    pub drain_seconds: f64,
    /// Time until the tasks of a lost node are delivered again.
    pub lost_seconds: f64,
    /// Share of a task's time in which it waits for the storage.
    pub storage_share: f64,
}

/// Uploads of a kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Uploads {
    /// Time of the first.
    #[serde(default)]
    pub at_seconds: f64,
    #[serde(default = "one")]
    pub count: u64,
    /// Mean time from one to the next; they come by chance (exponential). 0: all at once.
    #[serde(default)]
    pub every_seconds: f64,
    /// Length.
    pub seconds: f64,
    /// Longest length: lengths lie between it and `seconds` by chance. `None`: all are `seconds` long.
    #[serde(default)]
    pub seconds_max: Option<f64>,
    pub width: u32,
    pub height: u32,
    pub frame_rate: f64,
    /// Names of the tiers to make. Empty: those of the setting `plan.tiers`.
    #[serde(default)]
    pub tiers: Vec<String>,
    #[serde(default)]
    pub lane: Lane,
    /// Whose uploads they are. The waits are also told by owner if there are several.
    #[serde(default)]
    pub owner: String,
}

/// A share of the nodes is lost without a warning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LoseNodes {
    pub at_seconds: f64,
    /// From 0 to 1.
    pub share: f64,
}

/// Reads and writes of the store take longer. It holds for tasks that begin in this time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SlowStorage {
    pub at_seconds: f64,
    pub for_seconds: f64,
    /// How many times as long.
    pub factor: f64,
}

/// A trace that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// A rule of the scaler is wrong.
    #[error("scaler.{0}")]
    Scaler(#[from] PolicyError),
    /// Another value is wrong.
    #[error("{key}: {problem}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is right.
        problem: &'static str,
    },
}

fn one() -> u64 {
    1
}

fn ensure(holds: bool, key: &'static str, problem: &'static str) -> Result<(), TraceError> {
    if holds { Ok(()) } else { Err(TraceError::Value { key, problem }) }
}

impl Trace {
    /// Checks every value.
    ///
    /// # Errors
    /// Names the first wrong key and the allowed values.
    pub fn check(&self) -> Result<(), TraceError> {
        self.scaler.check()?;
        self.nodes.check()?;
        ensure(!self.uploads.is_empty(), "uploads", "there is none")?;
        self.uploads.iter().try_for_each(Uploads::check)?;
        let all = self.uploads.iter().fold(0_u64, |all, group| all.saturating_add(group.count));
        ensure(all <= UPLOADS_MAX, "uploads.count", "a million uploads are the most")?;
        for lost in &self.lose_nodes {
            ensure(is_time(lost.at_seconds), "lose-nodes.at-seconds", "0 is the least")?;
            let share = (0.0..=1.0).contains(&lost.share);
            ensure(share, "lose-nodes.share", "it is a share, from 0 to 1")?;
        }
        for slow in &self.slow_storage {
            ensure(is_time(slow.at_seconds), "slow-storage.at-seconds", "0 is the least")?;
            ensure(is_time(slow.for_seconds), "slow-storage.for-seconds", "0 is the least")?;
            let slower = slow.factor.is_finite() && slow.factor >= 1.0;
            ensure(slower, "slow-storage.factor", "1 is the least")?;
        }
        Ok(())
    }
}

impl Nodes {
    fn check(&self) -> Result<(), TraceError> {
        ensure((1..=1024).contains(&self.slots), "nodes.slots", "it must be within 1 and 1024")?;
        ensure((1..=4096).contains(&self.vcpus), "nodes.vcpus", "it must be within 1 and 4096")?;
        let speed = self.speed.is_finite() && self.speed >= 0.01;
        ensure(speed, "nodes.speed", "0.01 is the least")?;
        ensure((0.0..1.0).contains(&self.spread), "nodes.spread", "it is a share below 1")?;
        let share = (0.0..=1.0).contains(&self.storage_share);
        ensure(share, "nodes.storage-share", "it is a share, from 0 to 1")?;
        for (key, seconds) in [
            ("nodes.start-seconds", self.start_seconds),
            ("nodes.drain-seconds", self.drain_seconds),
            ("nodes.lost-seconds", self.lost_seconds),
        ] {
            ensure(is_time(seconds), key, "0 is the least")?;
        }
        Ok(())
    }
}

impl Uploads {
    fn check(&self) -> Result<(), TraceError> {
        ensure(is_time(self.at_seconds), "uploads.at-seconds", "0 is the least")?;
        ensure(is_time(self.every_seconds), "uploads.every-seconds", "0 is the least")?;
        let length = self.seconds.is_finite() && self.seconds > 0.0;
        ensure(length, "uploads.seconds", "it must be above 0")?;
        let longest = self.seconds_max.is_none_or(|max| max.is_finite() && max >= self.seconds);
        ensure(longest, "uploads.seconds-max", "it must not be below seconds")?;
        let rate = self.frame_rate.is_finite() && self.frame_rate >= 1.0;
        ensure(rate, "uploads.frame-rate", "1 is the least")?;
        ensure(self.width >= 2 && self.height >= 2, "uploads.width", "2x2 is the least")
    }

    /// One of these uploads. `share` of the way from the shortest to the longest.
    pub(super) fn clip(&self, share: f64) -> Clip {
        let longest = self.seconds_max.unwrap_or(self.seconds);
        // Whole seconds, so that many uploads share a plan.
        let seconds = match self.seconds_max {
            Some(_) => (self.seconds + share * (longest - self.seconds)).round().max(1.0),
            None => self.seconds,
        };
        let Self { width, height, frame_rate, .. } = *self;
        Clip { seconds, width, height, frame_rate }
    }
}

fn is_time(seconds: f64) -> bool {
    seconds.is_finite() && seconds >= 0.0
}
