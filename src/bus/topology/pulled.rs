//! The consumers that stages pull from, as declared and as the server has them. Leases depend on their settings.

use std::collections::BTreeMap;
use std::time::Duration;

use jetreel_domain::words::failure::Failure;
use serde_json::{Map, Value};

use super::server::{consumers, stream_config};
use super::wanted::Topology;
use crate::bus::connection::Bus;
use crate::bus::names;

/// A consumer that a stage pulls from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledConsumer {
    pub stream: String,
    pub name: String,
    /// How long the server waits for an acknowledgement or a renewal.
    pub ack_wait: Duration,
}

/// Consumer configurations by stream and name.
type Configs = BTreeMap<String, BTreeMap<String, Map<String, Value>>>;

/// The consumers on the server.
///
/// # Errors
/// The server cannot be reached.
pub async fn pulled(bus: &Bus) -> Result<Vec<PulledConsumer>, Failure> {
    let mut configs = Configs::new();
    for (stream, _) in names::required_consumers() {
        if !configs.contains_key(stream) {
            let found = consumers(bus, stream).await;
            let found = found.map_err(|fault| fault.failure("read the topology"))?;
            configs.insert(stream.to_owned(), found);
        }
    }
    Ok(of_configs(&configs))
}

/// Age at which the server's bucket `nodes` removes a key. Zero: never.
///
/// # Errors
/// The server cannot be reached.
pub async fn nodes_max_age(bus: &Bus) -> Result<Duration, Failure> {
    let config = stream_config(bus, &names::bucket_stream(names::NODES_BUCKET)).await;
    let config = config.map_err(|fault| fault.failure("read the topology"))?;
    Ok(duration(&config, "max_age"))
}

impl Topology {
    /// The declared consumers.
    #[must_use]
    pub fn pulled(&self) -> Vec<PulledConsumer> {
        let configs = self.streams().iter().map(|s| (s.name.clone(), s.consumers.clone()));
        of_configs(&configs.collect())
    }

    /// Age at which the declared bucket `nodes` removes a key. Zero: never.
    #[must_use]
    pub fn nodes_max_age(&self) -> Duration {
        let bucket = names::bucket_stream(names::NODES_BUCKET);
        let found = self.streams().iter().find(|stream| stream.name == bucket);
        found.map_or(Duration::ZERO, |stream| duration(&stream.config, "max_age"))
    }
}

fn of_configs(configs: &Configs) -> Vec<PulledConsumer> {
    let pulled = names::required_consumers().into_iter().filter_map(|(stream, name)| {
        let config = configs.get(stream)?.get(&name)?;
        Some(PulledConsumer {
            stream: stream.to_owned(),
            ack_wait: duration(config, "ack_wait"),
            name,
        })
    });
    pulled.collect()
}

/// A duration in the JetStream API, in nanoseconds.
fn duration(config: &Map<String, Value>, key: &str) -> Duration {
    Duration::from_nanos(config.get(key).and_then(Value::as_u64).unwrap_or_default())
}
