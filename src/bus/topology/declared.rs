//! The form of `streams.toml`. Unknown keys are errors, and so are settings that silently lose work.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The file as shipped.
pub const DEFAULT: &str = include_str!("../../../streams.toml");

/// Faults of a topology file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTopology {
    /// The file has another form.
    #[error("streams.toml: {0}")]
    Form(String),
    /// A name is declared twice.
    #[error("streams.toml: {0} is declared twice")]
    Twice(String),
    /// A work queue with `max_age` or `discard = "old"` drops work silently.
    #[error("streams.toml: work queue {0} needs discard = \"new\" and no max_age")]
    LosesWork(String),
    /// A stream with one message per subject needs the limit for it.
    #[error(
        "streams.toml: {0} needs max_msgs_per_subject and discard = \"new\" for discard_new_per_subject"
    )]
    PerSubject(String),
    /// A stage needs these, and they are not declared.
    #[error("streams.toml: {} missing; begin with what `jetreel streams export` prints", list(.0))]
    Lacks(Vec<String>),
    /// A placeholder has no values.
    #[error("streams.toml: {0} has a placeholder that `expand` does not fill")]
    Placeholder(String),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Declared {
    #[serde(default = "one")]
    pub(super) replicas: u32,
    #[serde(default)]
    pub(super) stream: Vec<Stream>,
    #[serde(default)]
    pub(super) bucket: Vec<Bucket>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stream {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    pub(super) subjects: Vec<String>,
    pub(super) retention: Retention,
    pub(super) discard: Discard,
    #[serde(default = "unlimited")]
    pub(super) max_msgs: i64,
    #[serde(default = "unlimited")]
    pub(super) max_bytes: i64,
    #[serde(default, with = "humantime_serde")]
    pub(super) max_age: Duration,
    #[serde(default = "unlimited")]
    pub(super) max_msgs_per_subject: i64,
    #[serde(default)]
    pub(super) discard_new_per_subject: bool,
    #[serde(default)]
    pub(super) allow_direct: bool,
    #[serde(default, with = "humantime_serde")]
    pub(super) duplicate_window: Option<Duration>,
    #[serde(default)]
    pub(super) consumer: Vec<Consumer>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Consumer {
    pub(super) durable_name: String,
    #[serde(default)]
    pub(super) description: String,
    pub(super) filter_subject: String,
    #[serde(with = "humantime_serde")]
    pub(super) ack_wait: Duration,
    pub(super) max_deliver: i64,
    pub(super) max_ack_pending: i64,
    #[serde(default)]
    pub(super) max_waiting: Option<i64>,
    /// Values of `{placeholders}`: one consumer for each combination.
    #[serde(default)]
    pub(super) expand: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bucket {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default = "one_version")]
    pub(super) history: i64,
    #[serde(default, with = "humantime_serde")]
    pub(super) max_age: Duration,
    #[serde(default = "unlimited")]
    pub(super) max_bytes: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Retention {
    Limits,
    Interest,
    WorkQueue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Discard {
    Old,
    New,
}

fn list(names: &[String]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(", "))
}

fn one() -> u32 {
    1
}

fn one_version() -> i64 {
    1
}

fn unlimited() -> i64 {
    -1
}

impl Declared {
    pub(super) fn parse(text: &str) -> Result<Self, BadTopology> {
        let mut declared: Self =
            toml::from_str(text).map_err(|error| BadTopology::Form(error.to_string()))?;
        for stream in &mut declared.stream {
            stream.check()?;
            let consumers = std::mem::take(&mut stream.consumer);
            for consumer in consumers {
                stream.consumer.extend(consumer.expanded()?);
            }
            no_twins(
                stream.consumer.iter().map(|c| format!("{} {}", stream.name, c.durable_name)),
            )?;
        }
        no_twins(declared.stream.iter().map(|stream| stream.name.clone()))?;
        no_twins(declared.bucket.iter().map(|bucket| format!("bucket {}", bucket.name)))?;
        Ok(declared)
    }
}

impl Stream {
    fn check(&self) -> Result<(), BadTopology> {
        let forgets = self.discard == Discard::Old || !self.max_age.is_zero();
        if self.retention == Retention::WorkQueue && forgets {
            return Err(BadTopology::LosesWork(self.name.clone()));
        }
        let bounded = self.max_msgs_per_subject > 0 && self.discard == Discard::New;
        if self.discard_new_per_subject && !bounded {
            return Err(BadTopology::PerSubject(self.name.clone()));
        }
        Ok(())
    }
}

impl Consumer {
    fn expanded(self) -> Result<Vec<Self>, BadTopology> {
        let mut all = vec![self];
        let expand = std::mem::take(&mut all[0].expand);
        for (placeholder, values) in &expand {
            let filled = |consumer: &Self, value: &String| Self {
                durable_name: fill(&consumer.durable_name, placeholder, value),
                filter_subject: fill(&consumer.filter_subject, placeholder, value),
                ..consumer.clone()
            };
            all = all.iter().flat_map(|c| values.iter().map(|v| filled(c, v))).collect();
        }
        match all.iter().find(|consumer| consumer.has_placeholder()) {
            Some(consumer) => Err(BadTopology::Placeholder(consumer.durable_name.clone())),
            None => Ok(all),
        }
    }

    fn has_placeholder(&self) -> bool {
        self.durable_name.contains('{') || self.filter_subject.contains('{')
    }
}

fn fill(text: &str, placeholder: &str, value: &str) -> String {
    text.replace(&format!("{{{placeholder}}}"), value)
}

fn no_twins(names: impl Iterator<Item = String>) -> Result<(), BadTopology> {
    let mut seen = BTreeSet::new();
    for name in names {
        if let Some(twin) = seen.replace(name) {
            return Err(BadTopology::Twice(twin));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = r#"
        [[stream]]
        name = "Q"
        subjects = ["q.>"]
        retention = "workqueue"
        discard = "new"
    "#;

    fn parsed(more: &str) -> Result<Declared, BadTopology> {
        Declared::parse(&format!("{QUEUE}\n{more}"))
    }

    #[test]
    fn a_key_that_nobody_knows_is_an_error() {
        let unknown = parsed("backoff = [\"1s\"]").unwrap_err();
        assert!(unknown.to_string().contains("backoff"), "{unknown}");
    }

    #[test]
    fn what_drops_work_in_silence_is_an_error() {
        assert_eq!(parsed("max_age = \"1d\"").unwrap_err(), BadTopology::LosesWork("Q".into()));
        let old = QUEUE.replace("\"new\"", "\"old\"");
        assert_eq!(Declared::parse(&old).unwrap_err(), BadTopology::LosesWork("Q".into()));
        let unbounded = parsed("discard_new_per_subject = true").unwrap_err();
        assert_eq!(unbounded, BadTopology::PerSubject("Q".into()));
    }

    #[test]
    fn a_name_stands_once_and_placeholders_are_filled() {
        assert_eq!(parsed(QUEUE).unwrap_err(), BadTopology::Twice("Q".into()));
        let open = r#"
            [[stream.consumer]]
            durable_name = "c-{lane}"
            filter_subject = "q.{lane}"
            ack_wait = "1s"
            max_deliver = 1
            max_ack_pending = -1
        "#;
        assert_eq!(parsed(open).unwrap_err(), BadTopology::Placeholder("c-{lane}".into()));
        let filled = parsed(&format!("{open}\nexpand = {{ lane = [\"a\", \"b\"] }}")).unwrap();
        let names: Vec<_> = filled.stream[0].consumer.iter().map(|c| &c.filter_subject).collect();
        assert_eq!(names, ["q.a", "q.b"]);
    }
}
