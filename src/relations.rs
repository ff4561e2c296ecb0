//! Relations between settings, streams and server, for every caller that checks them.

use std::time::Duration;

use jetreel_domain::upkeep::presence;
use jetreel_domain::upkeep::relations::{Consumer, Facts, LEASE, doubts, violations};
use jetreel_domain::words::failure::Failure;

use crate::bus::Bus;
use crate::bus::topology::{self, PulledConsumer, Topology};
use crate::settings::Settings;

/// Violations between settings and declared streams. With `bus`, also those of the connected server's limits.
#[must_use]
pub fn of_declared(settings: &Settings, topology: &Topology, bus: Option<&Bus>) -> Vec<String> {
    let (consumers, nodes_max_age) = (topology.pulled(), topology.nodes_max_age());
    let max_payload = bus.map(Bus::max_payload);
    violations(&facts(settings, consumers, nodes_max_age, max_payload))
}

/// Violations between settings and the streams on the server.
///
/// # Errors
/// The server cannot be reached.
pub async fn of_server(settings: &Settings, bus: &Bus) -> Result<Vec<String>, Failure> {
    let consumers = topology::pulled(bus).await?;
    let nodes_max_age = topology::nodes_max_age(bus).await?;
    Ok(violations(&facts(settings, consumers, nodes_max_age, Some(bus.max_payload()))))
}

/// Relations that do not work for every video.
#[must_use]
pub fn doubts_of(settings: &Settings, bus: &Bus) -> Vec<String> {
    doubts(&facts(settings, Vec::new(), Duration::ZERO, Some(bus.max_payload())))
}

/// Fails with all violations if there are any.
///
/// # Errors
/// There is a violation.
pub fn must_hold(violations: &[String]) -> anyhow::Result<()> {
    anyhow::ensure!(violations.is_empty(), "{}", violations.join(" "));
    Ok(())
}

fn facts(
    settings: &Settings,
    consumers: Vec<PulledConsumer>,
    nodes_max_age: Duration,
    max_payload: Option<u64>,
) -> Facts {
    let consumer = |pulled: PulledConsumer| Consumer {
        name: format!("{}/{}", pulled.stream, pulled.name),
        ack_wait: pulled.ack_wait,
    };
    let policy = &settings.reconciler;
    Facts {
        lease: LEASE,
        consumers: consumers.into_iter().map(consumer).collect(),
        nodes_max_age,
        presence_interval: presence::interval(policy.build_seconds),
        leadership: Duration::from_secs(u64::try_from(policy.lease_seconds).unwrap_or_default()),
        part_bytes: settings.http.part_bytes as u64,
        upload_bytes_max: settings.limits.upload_bytes_max,
        max_payload,
    }
}
