//! Computes the changes for the server. Pure: both sides are values.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use humantime_serde::re::humantime;
use serde::Serialize;
use serde_json::{Map, Value};

use super::wanted::{Topology, WantedStream};

/// The server refuses to change these keys: the stream must be created anew.
const FIXED_IN_STREAM: [&str; 3] = ["retention", "storage", "deny_delete"];
/// The server refuses to change these keys: the consumer must be created anew.
const FIXED_IN_CONSUMER: [&str; 3] = ["deliver_policy", "ack_policy", "replay_policy"];
/// Lowering one of these removes stored messages.
const LIMITS: [&str; 4] = ["max_msgs", "max_bytes", "max_age", "max_msgs_per_subject"];

/// Keys whose values are times in nanoseconds.
const TIMES: [&str; 3] = ["max_age", "ack_wait", "duplicate_window"];

/// Streams on the server that are declared, by name.
pub type Found = BTreeMap<String, FoundStream>;

/// A stream on the server.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FoundStream {
    /// Its whole configuration.
    pub config: Map<String, Value>,
    /// Durable consumers by name.
    pub consumers: BTreeMap<String, Map<String, Value>>,
}

/// A stream or consumer on the server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Asset {
    /// A stream, which may hold a bucket.
    Stream(String),
    /// A durable consumer.
    Consumer { stream: String, name: String },
}

/// Kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The asset is missing.
    Create,
    /// Its configuration differs.
    Update,
    /// It differs in a key that cannot be changed.
    Recreate,
    /// It exists and is not declared.
    Delete,
}

/// A key that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Key in the configuration.
    pub key: String,
    pub found: Value,
    pub wanted: Value,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    pub asset: Asset,
    /// What is done.
    pub action: Action,
    pub differences: Vec<Difference>,
    /// Why the change needs permission; `None` if it needs none.
    pub destructive: Option<String>,
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(name) => write!(f, "stream {name}"),
            Self::Consumer { stream, name } => write!(f, "consumer {stream}/{name}"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, found, wanted } = self;
        write!(f, "{key} {} → {}", shown(key, found), shown(key, wanted))
    }
}

/// A value in the notation of `streams.toml`. Times of the API are in nanoseconds.
fn shown(key: &str, value: &Value) -> String {
    match value.as_u64() {
        Some(nanos) if TIMES.contains(&key) => {
            humantime::format_duration(Duration::from_nanos(nanos)).to_string()
        }
        Some(_) | None => value.to_string(),
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = match self.action {
            Action::Create => "create",
            Action::Update => "update",
            Action::Recreate => "recreate",
            Action::Delete => "delete",
        };
        write!(f, "{action} {}", self.asset)?;
        for (i, difference) in self.differences.iter().enumerate() {
            write!(f, "{} {difference}", if i == 0 { ":" } else { "," })?;
        }
        self.destructive.as_ref().map_or(Ok(()), |why| write!(f, " (destructive: {why})"))
    }
}

/// All changes, in the order in which they are made.
#[must_use]
pub fn diff(wanted: &Topology, found: &Found) -> Vec<Change> {
    wanted
        .streams()
        .iter()
        .flat_map(|stream| stream_diff(stream, found.get(&stream.name)))
        .collect()
}

fn stream_diff(wanted: &WantedStream, found: Option<&FoundStream>) -> Vec<Change> {
    let asset = Asset::Stream(wanted.name.clone());
    let own = match found {
        None => Some(create(asset)),
        Some(found) => changed(asset, differences(&wanted.config, &found.config), &FIXED_IN_STREAM),
    };
    let fresh = own.as_ref().is_some_and(|change| change.action != Action::Update);
    let none = BTreeMap::new();
    let there = found.filter(|_| !fresh).map_or(&none, |found| &found.consumers);
    let is_queue = wanted.config.get("retention").is_some_and(|retention| retention == "workqueue");
    let strangers = there.keys().filter(|name| is_queue && !wanted.consumers.contains_key(*name));
    let asset = |name: &String| Asset::Consumer { stream: wanted.name.clone(), name: name.clone() };
    let strangers = strangers.map(|name| delete(asset(name)));
    let consumers = wanted.consumers.iter().filter_map(|(name, config)| match there.get(name) {
        None => Some(create(asset(name))),
        Some(found) => changed(asset(name), differences(config, found), &FIXED_IN_CONSUMER),
    });
    // Undeclared consumers are deleted first: a work queue allows one consumer per subject.
    own.into_iter().chain(strangers).chain(consumers).collect()
}

/// The change that creates a missing asset.
pub(super) fn create(asset: Asset) -> Change {
    Change { asset, action: Action::Create, differences: Vec::new(), destructive: None }
}

fn delete(asset: Asset) -> Change {
    let destructive = Some("nothing declares it, and it takes work off the queue".to_owned());
    Change { asset, action: Action::Delete, differences: Vec::new(), destructive }
}

fn changed(asset: Asset, differences: Vec<Difference>, fixed: &[&str]) -> Option<Change> {
    if differences.is_empty() {
        return None;
    }
    let fixed_key = differences.iter().find(|difference| fixed.contains(&difference.key.as_str()));
    if let Some(difference) = fixed_key {
        let lost = match asset {
            Asset::Stream(_) => "its messages are lost",
            Asset::Consumer { .. } => "its progress is lost",
        };
        let why =
            format!("{} cannot be changed: deleted and created again, {lost}", difference.key);
        return Some(Change {
            asset,
            action: Action::Recreate,
            differences,
            destructive: Some(why),
        });
    }
    let destructive = differences.iter().find_map(loss);
    Some(Change { asset, action: Action::Update, differences, destructive })
}

/// What the change of one key would lose; `None` if nothing.
fn loss(difference: &Difference) -> Option<String> {
    let Difference { key, found, wanted } = difference;
    if LIMITS.contains(&key.as_str()) && is_lower(wanted, found) {
        return Some(format!("{key} becomes lower, which removes messages"));
    }
    if key == "subjects" {
        let kept = |subject: &Value| wanted.as_array().is_some_and(|all| all.contains(subject));
        let dropped = found.as_array().and_then(|all| all.iter().find(|subject| !kept(subject)));
        return dropped.map(|subject| format!("{subject} would be stored no longer"));
    }
    (key == "discard" && wanted == "old").then(|| "a full stream would drop messages".to_owned())
}

fn is_lower(wanted: &Value, found: &Value) -> bool {
    let limit = |value: &Value| value.as_i64().filter(|limit| *limit > 0).unwrap_or(i64::MAX);
    limit(wanted) < limit(found)
}

/// Declared keys whose found values differ. Keys that are not declared are the operator's.
fn differences(wanted: &Map<String, Value>, found: &Map<String, Value>) -> Vec<Difference> {
    let differs = |(key, wanted): (&String, &Value)| {
        let found = found.get(key).unwrap_or(&Value::Null);
        let same = found == wanted || (is_empty(found) && is_empty(wanted));
        (!same).then(|| Difference {
            key: key.clone(),
            found: found.clone(),
            wanted: wanted.clone(),
        })
    };
    wanted.iter().filter_map(differs).collect()
}

/// The server omits zero, false and empty values.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_i64() == Some(0),
        Value::String(value) => value.is_empty(),
        Value::Array(value) => value.is_empty(),
        Value::Object(value) => value.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::DEFAULT;
    use super::*;

    fn wanted() -> Topology {
        Topology::parse(DEFAULT).unwrap()
    }

    fn as_wanted() -> Found {
        let found = |stream: &WantedStream| FoundStream {
            config: stream.config.clone(),
            consumers: stream.consumers.clone(),
        };
        wanted().streams().iter().map(|stream| (stream.name.clone(), found(stream))).collect()
    }

    fn after(edit: impl FnOnce(&mut Found)) -> Vec<Change> {
        let mut found = as_wanted();
        edit(&mut found);
        diff(&wanted(), &found)
    }

    fn set(found: &mut Found, stream: &str, key: &str, value: Value) {
        found.get_mut(stream).unwrap().config.insert(key.to_owned(), value);
    }

    #[test]
    fn nothing_changes_where_all_is_as_declared() {
        assert_eq!(after(|_| ()), []);
        let sparse = after(|found| {
            found.get_mut("UPLOADS").unwrap().config.remove("discard_new_per_subject");
            set(found, "UPLOADS", "metadata", json!({"_nats.ver": "2.15.1"}));
        });
        assert_eq!(sparse, [], "what the server leaves out or adds is no difference");
    }

    #[test]
    fn what_is_missing_is_created_with_its_consumers() {
        let changes = after(|found| drop(found.remove("ENCODE")));
        assert_eq!(changes.len(), 1 + 18);
        assert_eq!(changes[0].to_string(), "create stream ENCODE");
        assert!(changes.iter().all(|c| c.action == Action::Create && c.destructive.is_none()));
    }

    #[test]
    fn raising_a_limit_is_an_update_and_lowering_one_is_destructive() {
        for (found, is_destructive) in [(1024, false), (1_i64 << 40, true), (-1, true)] {
            let changes = after(|server| set(server, "DLQ", "max_bytes", found.into()));
            assert_eq!(changes[0].action, Action::Update);
            assert_eq!(changes[0].destructive.is_some(), is_destructive, "{}", changes[0]);
        }
        let aged = after(|server| set(server, "UPLOADS", "max_age", 0.into()));
        assert!(aged[0].destructive.is_some(), "no age to seven days removes messages");
    }

    #[test]
    fn what_loses_messages_is_destructive() {
        let retention = after(|found| set(found, "ENCODE", "retention", "limits".into()));
        assert_eq!((retention[0].action, retention.len()), (Action::Recreate, 1 + 18));
        assert!(retention[0].destructive.is_some());
        let subjects = json!(["video.uploads.raw.>", "video.old.>"]);
        let subject = after(|found| set(found, "UPLOADS", "subjects", subjects));
        assert!(subject[0].destructive.as_ref().unwrap().contains("video.old.>"));
        let discard = after(|found| set(found, "ADVISORY", "discard", "new".into()));
        assert!(discard[0].destructive.is_some());
    }

    #[test]
    fn a_stranger_on_a_queue_is_deleted_and_a_subscriber_is_left_alone() {
        let add = |found: &mut Found, stream: &str| {
            found.get_mut(stream).unwrap().consumers.insert("mine".into(), Map::new());
        };
        let changes =
            after(|found| ["ENCODE", "PROGRESS"].map(|s| add(found, s)).into_iter().collect());
        let [change] = changes.as_slice() else { panic!("{changes:?}") };
        assert_eq!((change.action, change.destructive.is_some()), (Action::Delete, true));
        assert_eq!(change.asset.to_string(), "consumer ENCODE/mine");
    }

    #[test]
    fn a_consumer_is_updated_in_place_and_says_what_differs() {
        let changes = after(|found| {
            let ingest = found.get_mut("UPLOADS").unwrap().consumers.get_mut("ingest").unwrap();
            ingest.insert("max_deliver".to_owned(), 5.into());
        });
        assert_eq!(changes[0].to_string(), "update consumer UPLOADS/ingest: max_deliver 5 → 50");
        let times = after(|found| {
            let ingest = found.get_mut("UPLOADS").unwrap().consumers.get_mut("ingest").unwrap();
            ingest.insert("ack_wait".to_owned(), 2_000_000_000_u64.into());
            set(found, "UPLOADS", "max_age", 0.into());
        });
        assert!(times[0].to_string().contains("max_age 0s → 7days"), "{}", times[0]);
        assert_eq!(times[1].to_string(), "update consumer UPLOADS/ingest: ack_wait 2s → 25s");
    }
}
