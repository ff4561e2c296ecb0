//! The wanted configurations, in the JSON of the JetStream API.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::declared::{BadTopology, Bucket, Consumer, Declared, Stream};
use crate::bus::names;

/// Declared streams, consumers and buckets.
#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    streams: Vec<WantedStream>,
}

/// A declared stream.
#[derive(Debug, Clone, PartialEq)]
pub struct WantedStream {
    pub name: String,
    /// Name of the bucket that it holds; `None` for a plain stream.
    pub bucket: Option<String>,
    /// The keys of its configuration that Jetreel sets.
    pub config: Map<String, Value>,
    /// Durable consumers by name.
    pub consumers: BTreeMap<String, Map<String, Value>>,
}

impl Topology {
    /// Reads a topology file.
    ///
    /// # Errors
    /// The text does not have the form of `streams.toml`, declares a stream that would lose work, or lacks something that stages need.
    pub fn parse(text: &str) -> Result<Self, BadTopology> {
        let declared = Declared::parse(text)?;
        let replicas = declared.replicas;
        let streams = declared.stream.iter().map(|stream| of_stream(stream, replicas));
        let buckets = declared.bucket.iter().map(|bucket| of_bucket(bucket, replicas));
        let topology = Self { streams: streams.chain(buckets).collect() };
        match topology.lacks() {
            lacks if lacks.is_empty() => Ok(topology),
            lacks => Err(BadTopology::Lacks(lacks)),
        }
    }

    /// Streams, consumers and buckets that stages need and the file does not declare.
    fn lacks(&self) -> Vec<String> {
        let stream = |name: &str| self.streams.iter().find(|stream| stream.name == name);
        let streams = names::required_streams().into_iter().filter(|name| stream(name).is_none());
        let mut lacks: Vec<String> = streams.map(|name| format!("stream {name}")).collect();
        for (of, name) in names::required_consumers() {
            if stream(of).is_some_and(|stream| !stream.consumers.contains_key(&name)) {
                lacks.push(format!("consumer {of}/{name}"));
            }
        }
        let absent = |bucket: &&str| stream(&names::bucket_stream(bucket)).is_none();
        let buckets = names::REQUIRED_BUCKETS.into_iter().filter(absent);
        lacks.extend(buckets.map(|bucket| format!("bucket {bucket}")));
        lacks
    }

    /// The same topology with another number of replicas.
    #[must_use]
    pub fn with_replicas(mut self, replicas: u32) -> Self {
        for stream in &mut self.streams {
            stream.config.insert("num_replicas".to_owned(), replicas.into());
        }
        self
    }

    /// The streams, buckets last.
    #[must_use]
    pub fn streams(&self) -> &[WantedStream] {
        &self.streams
    }
}

/// Configurations for `nats stream add --config` and `nats consumer add --config`, by name. A bucket is a stream `KV_<bucket>`.
#[must_use]
pub fn export_json(topology: &Topology) -> Value {
    let (mut streams, mut consumers, mut buckets) = (Map::new(), Map::new(), Map::new());
    for stream in topology.streams() {
        let config = Value::Object(stream.config.clone());
        match &stream.bucket {
            Some(bucket) => buckets.insert(bucket.clone(), config),
            None => streams.insert(stream.name.clone(), config),
        };
        if !stream.consumers.is_empty() {
            consumers.insert(stream.name.clone(), json!(stream.consumers));
        }
    }
    json!({ "streams": streams, "consumers": consumers, "buckets": buckets })
}

fn of_stream(stream: &Stream, replicas: u32) -> WantedStream {
    let mut config = object(json!({
        "name": stream.name,
        "description": stream.description,
        "subjects": stream.subjects,
        "retention": stream.retention,
        "discard": stream.discard,
        "discard_new_per_subject": stream.discard_new_per_subject,
        "allow_direct": stream.allow_direct,
        "max_msgs": stream.max_msgs,
        "max_bytes": stream.max_bytes,
        "max_age": nanos(stream.max_age),
        "max_msgs_per_subject": stream.max_msgs_per_subject,
        "storage": "file",
        "num_replicas": replicas,
    }));
    if let Some(window) = stream.duplicate_window {
        config.insert("duplicate_window".to_owned(), nanos(window));
    }
    let consumers = stream.consumer.iter().map(|c| (c.durable_name.clone(), of_consumer(c)));
    WantedStream { name: stream.name.clone(), bucket: None, config, consumers: consumers.collect() }
}

fn of_consumer(consumer: &Consumer) -> Map<String, Value> {
    let mut config = object(json!({
        "name": consumer.durable_name,
        "durable_name": consumer.durable_name,
        "description": consumer.description,
        "filter_subject": consumer.filter_subject,
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "replay_policy": "instant",
        "ack_wait": nanos(consumer.ack_wait),
        "max_deliver": consumer.max_deliver,
        "max_ack_pending": consumer.max_ack_pending,
    }));
    if let Some(waiting) = consumer.max_waiting {
        config.insert("max_waiting".to_owned(), waiting.into());
    }
    config
}

/// The stream that NATS clients use as a key-value bucket.
fn of_bucket(bucket: &Bucket, replicas: u32) -> WantedStream {
    let name = names::bucket_stream(&bucket.name);
    let config = object(json!({
        "name": name,
        "description": bucket.description,
        "subjects": [names::bucket_subject(&bucket.name, ">")],
        "retention": "limits",
        "discard": "new",
        "max_msgs": -1,
        "max_bytes": bucket.max_bytes,
        "max_age": nanos(bucket.max_age),
        "max_msgs_per_subject": bucket.history,
        "allow_rollup_hdrs": true,
        "deny_delete": true,
        "allow_direct": true,
        "storage": "file",
        "num_replicas": replicas,
    }));
    WantedStream { name, bucket: Some(bucket.name.clone()), config, consumers: BTreeMap::new() }
}

fn nanos(duration: Duration) -> Value {
    Value::from(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use jetreel_domain::delivery::subject;
    use jetreel_domain::id::Group;
    use jetreel_domain::order::lane::Lane;

    use super::super::DEFAULT;
    use super::*;

    fn shipped() -> Topology {
        Topology::parse(DEFAULT).unwrap()
    }

    #[test]
    fn every_subject_is_bound_to_exactly_one_stream() {
        let topology = shipped();
        let bound: Vec<&str> = topology
            .streams()
            .iter()
            .flat_map(|stream| stream.config["subjects"].as_array().unwrap())
            .map(|subject| subject.as_str().unwrap())
            .collect();
        for root in subject::roots() {
            let covers = |bound: &str| root.starts_with(bound.trim_end_matches('>'));
            assert_eq!(bound.iter().filter(|b| covers(b)).count(), 1, "{root}");
        }
    }

    #[test]
    fn every_consumer_and_bucket_in_use_is_declared() {
        let topology = shipped();
        let stream = |name: &str| topology.streams().iter().find(|s| s.name == name);
        for (name, consumer) in names::required_consumers() {
            assert!(stream(name).unwrap().consumers.contains_key(&consumer), "{name} {consumer}");
        }
        for name in [names::PROGRESS, names::DLQ, names::DELIVERIES, names::REDO] {
            assert!(stream(name).is_some(), "{name}");
        }
    }

    #[test]
    fn what_stages_need_must_be_declared() {
        let lacks = |text: &str| Topology::parse(text).unwrap_err().to_string();
        let empty = lacks("");
        for name in ["stream UPLOADS", "stream DLQ", "bucket videos", "bucket store"] {
            assert!(empty.contains(name), "{empty}");
        }
        let renamed =
            lacks(&DEFAULT.replace("durable_name = \"evaluate\"", "durable_name = \"x\""));
        assert!(renamed.contains("consumer PUBLISH/evaluate is missing"), "{renamed}");
    }

    #[test]
    fn a_consumer_reads_what_its_lane_and_group_are_sent() {
        let topology = shipped();
        let encode = topology.streams().iter().find(|s| s.name == names::ENCODE).unwrap();
        assert_eq!(encode.consumers.len(), Lane::ALL.len() * Group::ALL.len());
        for (lane, group) in Lane::ALL.into_iter().flat_map(|l| Group::ALL.map(|g| (l, g))) {
            let consumer = &encode.consumers[&names::encode_consumer(lane, group)];
            assert_eq!(consumer["filter_subject"], subject::encode_filter(lane, group).as_str());
            assert_eq!(consumer["ack_wait"], 25_000_000_000_u64);
        }
    }

    #[test]
    fn copies_are_one_setting() {
        let exported = export_json(&shipped().with_replicas(3));
        assert_eq!(exported["streams"]["ENCODE"]["num_replicas"], 3);
        assert_eq!(exported["buckets"]["videos"]["num_replicas"], 3);
        assert_eq!(exported["streams"]["ENCODE"]["retention"], "workqueue");
        assert!(exported["consumers"]["LEDGER"]["publish"]["num_replicas"].is_null());
    }
}
