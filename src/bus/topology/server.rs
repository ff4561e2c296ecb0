//! Reads the topology of the server and applies changes to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jetreel_domain::words::failure::Failure;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::diff::{Action, Asset, Change, Found, FoundStream, create, diff};
use super::missing::{self, There};
use super::wanted::{Topology, WantedStream};
use crate::bus::connection::Bus;
use crate::bus::request::{READ_BUDGET, WRITE_BUDGET, persist};
use crate::bus::severity::Fault;

/// Server error: a stream of that name has another configuration.
const STREAM_EXISTS: u64 = 10058;
/// Server error: a consumer of that name has another configuration.
const CONSUMER_EXISTS: u64 = 10148;

#[derive(Deserialize)]
struct StreamInfo {
    config: Map<String, Value>,
}

#[derive(Deserialize)]
struct ConsumerPage {
    #[serde(default)]
    total: usize,
    #[serde(default)]
    consumers: Option<Vec<ConsumerInfo>>,
    /// Consumers whose leader did not answer. They exist, and no list contains them until it answers.
    #[serde(default)]
    missing: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct NamePage {
    #[serde(default)]
    total: usize,
    #[serde(default)]
    consumers: Option<Vec<String>>,
    #[serde(default)]
    streams: Option<Vec<String>>,
}

/// How far a consumer has delivered.
#[derive(Default, Deserialize)]
pub(in crate::bus) struct Delivered {
    #[serde(default)]
    pub(in crate::bus) stream_seq: u64,
}

/// State of a consumer.
#[derive(Deserialize)]
pub(in crate::bus) struct ConsumerInfo {
    pub(in crate::bus) name: String,
    pub(in crate::bus) config: Map<String, Value>,
    #[serde(default)]
    pub(in crate::bus) num_pending: u64,
    #[serde(default)]
    pub(in crate::bus) num_ack_pending: u64,
    #[serde(default)]
    pub(in crate::bus) num_redelivered: u64,
    #[serde(default)]
    pub(in crate::bus) delivered: Delivered,
    #[serde(default)]
    pub(in crate::bus) paused: bool,
    /// Rest of the pause in nanoseconds.
    #[serde(default)]
    pub(in crate::bus) pause_remaining: u64,
    /// The server's time, RFC 3339.
    #[serde(default)]
    pub(in crate::bus) ts: String,
}

/// Changes that would make the server match the topology.
///
/// # Errors
/// The server cannot be reached.
pub async fn plan(bus: &Bus, topology: &Topology) -> Result<Vec<Change>, Failure> {
    let found = find(bus, topology).await.map_err(|f| f.failure("read the topology"))?;
    Ok(diff(topology, &found))
}

/// Makes the server match the topology and returns the changes made. Repeating it changes nothing.
///
/// # Errors
/// A change is destructive and not allowed: then nothing was changed. Or the server refuses a change.
pub async fn apply(
    bus: &Bus,
    topology: &Topology,
    allow_destructive: bool,
) -> Result<Vec<Change>, Failure> {
    let found = find(bus, topology).await.map_err(|f| f.failure("read the topology"))?;
    let among = if found.is_empty() { Among::Nothing } else { Among::Others };
    let changes = diff(topology, &found);
    let destructive: Vec<String> =
        changes.iter().filter(|c| c.destructive.is_some()).map(ToString::to_string).collect();
    if !allow_destructive && !destructive.is_empty() {
        let text = "The declared streams differ from the server's in a way that loses messages. `jetreel streams apply --allow-destructive` makes \
                    the change all the same.";
        return Err(
            Failure::permanent("streams-destructive", text).with_detail(destructive.join("; "))
        );
    }
    for change in &changes {
        carry_out(bus, topology, change, among)
            .await
            .map_err(|f| f.failure(&change.to_string()))?;
    }
    Ok(changes)
}

/// Declared assets that the server lacks, each stream before its consumers.
///
/// # Errors
/// The server cannot be reached.
pub async fn missing(bus: &Bus, topology: &Topology) -> Result<Vec<Asset>, Failure> {
    let there = there(bus, topology).await.map_err(|f| f.failure("read the topology"))?;
    Ok(missing::missing(topology, &there))
}

/// Creates missing assets as far as that hides no loss ([`Asset::may_be_made`]), and returns them. On a server with none of the declared
/// assets it creates nothing, because the server may be another cluster's.
///
/// # Errors
/// The server cannot be reached, or refuses. Assets created so far stay.
pub async fn mend(bus: &Bus, topology: &Topology) -> Result<Vec<Asset>, Failure> {
    let there = there(bus, topology).await.map_err(|f| f.failure("read the topology"))?;
    let missing = missing::missing(topology, &there);
    let mut made = Vec::new();
    for asset in missing.into_iter().filter(|asset| !there.is_empty() && asset.may_be_made()) {
        let change = create(asset);
        let done = carry_out(bus, topology, &change, Among::Others).await;
        done.or_else(made_by_another).map_err(|f| f.failure(&change.to_string()))?;
        made.push(change.asset);
    }
    Ok(made)
}

/// Treats the server's error as success if another node created the asset.
fn made_by_another(fault: Fault) -> Result<(), Fault> {
    let exists = matches!(fault, Fault::Refused { code: STREAM_EXISTS | CONSUMER_EXISTS, .. });
    if exists { Ok(()) } else { Err(fault) }
}

async fn there(bus: &Bus, topology: &Topology) -> Result<There, Fault> {
    let names = stream_names(bus).await?;
    let mut there = There::new();
    for wanted in topology.streams().iter().filter(|stream| names.contains(&stream.name)) {
        let consumers = if wanted.consumers.is_empty() {
            Ok(BTreeSet::new())
        } else {
            consumer_names(bus, &wanted.name).await
        };
        match consumers {
            Ok(consumers) => drop(there.insert(wanted.name.clone(), consumers)),
            // The stream was deleted since its name was listed.
            Err(fault) if fault.is_absent() => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(there)
}

async fn find(bus: &Bus, topology: &Topology) -> Result<Found, Fault> {
    let mut found = Found::new();
    for wanted in topology.streams() {
        let config = match stream_config(bus, &wanted.name).await {
            Ok(config) => config,
            Err(fault) if fault.is_absent() => continue,
            Err(fault) => return Err(fault),
        };
        let consumers = consumers(bus, &wanted.name).await?;
        found.insert(wanted.name.clone(), FoundStream { config, consumers });
    }
    Ok(found)
}

pub(super) async fn stream_config(bus: &Bus, stream: &str) -> Result<Map<String, Value>, Fault> {
    let path = format!("STREAM.INFO.{stream}");
    let info: StreamInfo = persist(READ_BUDGET, || bus.api(path.clone(), &())).await?;
    Ok(info.config)
}

/// Durable consumers. Ephemeral ones belong to their readers.
pub(super) async fn consumers(
    bus: &Bus,
    stream: &str,
) -> Result<BTreeMap<String, Map<String, Value>>, Fault> {
    // During an election it retries as long as a write.
    let infos = consumer_infos(bus, stream, WRITE_BUDGET).await?;
    let durable = infos.into_iter().filter(|info| info.config.contains_key("durable_name"));
    Ok(durable.map(|info| (info.name, info.config)).collect())
}

/// All consumers of a stream.
pub(in crate::bus) async fn consumer_infos(
    bus: &Bus,
    stream: &str,
    budget: Duration,
) -> Result<Vec<ConsumerInfo>, Fault> {
    let mut found = Vec::new();
    loop {
        let page = persist(budget, || consumer_page(bus, stream, found.len())).await?;
        let infos = page.consumers.unwrap_or_default();
        let is_last = infos.is_empty() || found.len() + infos.len() >= page.total;
        found.extend(infos);
        if is_last {
            return Ok(found);
        }
    }
}

/// One page of consumers, including those without a leader.
async fn consumer_page(bus: &Bus, stream: &str, offset: usize) -> Result<ConsumerPage, Fault> {
    let path = format!("CONSUMER.LIST.{stream}");
    let page: ConsumerPage = bus.api(path, &json!({ "offset": offset })).await?;
    match page.missing.as_deref().unwrap_or_default() {
        [] => Ok(page),
        leaderless => {
            let description = format!("no leader yet: {}", leaderless.join(", "));
            Err(Fault::Refused { status: 503, code: 0, description })
        }
    }
}

/// Names of all consumers, including those without a leader.
async fn consumer_names(bus: &Bus, stream: &str) -> Result<BTreeSet<String>, Fault> {
    names(bus, format!("CONSUMER.NAMES.{stream}")).await
}

/// Names of all streams, including those without a leader.
async fn stream_names(bus: &Bus) -> Result<BTreeSet<String>, Fault> {
    names(bus, "STREAM.NAMES".to_owned()).await
}

async fn names(bus: &Bus, path: String) -> Result<BTreeSet<String>, Fault> {
    let (mut found, mut offset) = (BTreeSet::new(), 0);
    loop {
        let wanted = json!({ "offset": offset });
        let page: NamePage = persist(READ_BUDGET, || bus.api(path.clone(), &wanted)).await?;
        let names = page.consumers.or(page.streams).unwrap_or_default();
        offset += names.len();
        let is_last = names.is_empty() || offset >= page.total;
        found.extend(names);
        if is_last {
            return Ok(found);
        }
    }
}

/// Whether the server has other streams of Jetreel. If so, it may have had this one too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Among {
    /// The server has none.
    Nothing,
    /// The server has some.
    Others,
}

async fn carry_out(
    bus: &Bus,
    topology: &Topology,
    change: &Change,
    among: Among,
) -> Result<(), Fault> {
    match &change.asset {
        Asset::Stream(name) => {
            let Some(wanted) = topology.streams().iter().find(|s| s.name == *name) else {
                return Ok(());
            };
            change_stream(bus, wanted, change.action, among).await
        }
        Asset::Consumer { stream, name } => {
            let wanted = topology.streams().iter().find(|s| s.name == *stream);
            let config = wanted.and_then(|stream| stream.consumers.get(name));
            change_consumer(bus, stream, name, config, change.action).await
        }
    }
}

async fn change_stream(
    bus: &Bus,
    wanted: &WantedStream,
    action: Action,
    among: Among,
) -> Result<(), Fault> {
    let name = &wanted.name;
    match action {
        Action::Create => make_stream(bus, wanted, among).await,
        Action::Update => {
            let config = laid_over(stream_config(bus, name).await?, &wanted.config);
            send(bus, format!("STREAM.UPDATE.{name}"), &json!(config)).await
        }
        Action::Recreate => {
            remove(bus, format!("STREAM.DELETE.{name}")).await?;
            make_stream(bus, wanted, Among::Others).await
        }
        Action::Delete => remove(bus, format!("STREAM.DELETE.{name}")).await,
    }
}

/// Creates a stream. Claims, deaths and readers keep sequences forever, so a stream that is created anew continues above every sequence it
/// ever assigned. Fewer than one a microsecond were assigned.
async fn make_stream(bus: &Bus, wanted: &WantedStream, among: Among) -> Result<(), Fault> {
    let mut config = wanted.config.clone();
    if among == Among::Others {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let first = u64::try_from(since.as_micros()).unwrap_or(1);
        config.insert("first_seq".to_owned(), first.into());
    }
    send(bus, format!("STREAM.CREATE.{}", wanted.name), &json!(config)).await
}

async fn change_consumer(
    bus: &Bus,
    stream: &str,
    name: &str,
    wanted: Option<&Map<String, Value>>,
    action: Action,
) -> Result<(), Fault> {
    if matches!(action, Action::Recreate | Action::Delete) {
        remove(bus, format!("CONSUMER.DELETE.{stream}.{name}")).await?;
    }
    let Some(wanted) = wanted else { return Ok(()) };
    let found = match action {
        Action::Update => consumers(bus, stream).await?.remove(name).unwrap_or_default(),
        Action::Create | Action::Recreate | Action::Delete => Map::new(),
    };
    let config = laid_over(found, wanted);
    let action = if action == Action::Update { "update" } else { "create" };
    let body = json!({ "stream_name": stream, "config": config, "action": action });
    let filter = wanted.get("filter_subject").and_then(Value::as_str).unwrap_or(">");
    send(bus, format!("CONSUMER.CREATE.{stream}.{name}.{filter}"), &body).await
}

async fn send(bus: &Bus, path: String, body: &Value) -> Result<(), Fault> {
    persist(WRITE_BUDGET, || bus.api::<Value>(path.clone(), body)).await.map(drop)
}

/// A repeat after a lost answer finds nothing left to remove.
async fn remove(bus: &Bus, path: String) -> Result<(), Fault> {
    match send(bus, path, &json!({})).await {
        Err(fault) if fault.is_absent() => Ok(()),
        done => done,
    }
}

/// The found configuration with the keys that Jetreel sets. Other keys stay as an operator set them.
fn laid_over(mut found: Map<String, Value>, wanted: &Map<String, Value>) -> Map<String, Value> {
    found.extend(wanted.clone());
    found
}
