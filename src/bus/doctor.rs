//! Checks of the broker before it is trusted with work.

use std::time::Duration;

use jetreel_domain::words::failure::Failure;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::connection::Bus;
use super::severity::Fault;
use super::topology::{Change, Topology, plan};

const MONITOR_TIMEOUT: Duration = Duration::from_secs(3);

/// What happens to a confirmed write on a power failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The write was synced before it was confirmed.
    Synced,
    /// The write was not synced, but has replicas.
    Copied,
    /// The write may be lost.
    AtRisk,
    /// The server was not asked, or did not tell.
    Unknown,
}

/// Judges by the server's setting and the replicas of every stream. Three replicas protect only if their servers do not fail together.
#[must_use]
pub fn durability(sync_always: Option<bool>, replicas: u32) -> Durability {
    match (sync_always, replicas) {
        (Some(true), _) => Durability::Synced,
        (Some(false) | None, 3..) => Durability::Copied,
        (Some(false), _) => Durability::AtRisk,
        (None, _) => Durability::Unknown,
    }
}

/// Findings about the broker.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BusFacts {
    pub server_version: String,
    /// Whether JetStream is enabled for this user.
    pub jetstream: bool,
    /// Whether every write is synced before it is confirmed. `None` without a monitoring address.
    pub sync_always: Option<bool>,
    /// Differences between the server and `streams.toml`.
    pub drift: Vec<Change>,
}

#[derive(Deserialize)]
struct Varz {
    #[serde(default)]
    jetstream: VarzJetStream,
}

#[derive(Default, Deserialize)]
struct VarzJetStream {
    #[serde(default)]
    config: Option<VarzConfig>,
}

#[derive(Deserialize)]
struct VarzConfig {
    #[serde(default)]
    sync_always: bool,
}

/// Examines the broker.
///
/// # Errors
/// The broker cannot be reached.
pub async fn examine(
    bus: &Bus,
    topology: &Topology,
    monitor_url: Option<&str>,
) -> Result<BusFacts, Failure> {
    let jetstream = match bus.api::<Value>("INFO".to_owned(), &json!({})).await {
        Ok(_) => true,
        Err(Fault::NoResponders | Fault::Refused { .. }) => false,
        Err(fault) => return Err(fault.failure("ask for JetStream")),
    };
    let drift = if jetstream { plan(bus, topology).await? } else { Vec::new() };
    let sync_always = match monitor_url {
        None => None,
        Some(url) => sync_always(url).await,
    };
    Ok(BusFacts { server_version: bus.server_version(), jetstream, sync_always, drift })
}

/// Whether the server syncs every write; `None` if its monitoring port does not tell.
pub async fn sync_always(monitor_url: &str) -> Option<bool> {
    let client = reqwest::Client::builder().timeout(MONITOR_TIMEOUT).build().ok()?;
    let url = format!("{}/varz", monitor_url.trim_end_matches('/'));
    let answer = async { client.get(&url).send().await?.json::<Varz>().await }.await;
    match answer {
        Ok(varz) => varz.jetstream.config.map(|config| config.sync_always),
        Err(error) => {
            tracing::warn!(url, %error, "the monitoring port of the broker does not answer");
            None
        }
    }
}
