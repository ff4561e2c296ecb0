//! `jetreel node`: runs the roles that the settings name, with a broker that is already running.

use std::time::Duration;

use super::exit::Exit;
use super::{notice, output, signals::Signals};
use crate::bus::topology;
use crate::node::{self, Services};
use crate::settings::Settings;

/// Creates missing streams that may be created, and fails if others are missing.
async fn must_be_complete(settings: &Settings, services: &Services) -> anyhow::Result<()> {
    let (bus, wanted) = (&services.bus, node::streams(settings)?);
    if settings.nats.recreate {
        let made = topology::mend(bus, &wanted).await?;
        if !made.is_empty() {
            tracing::warn!(
                made = topology::told(&made),
                "the broker lacked declared streams; they were created"
            );
        }
    }
    let missing = topology::missing(bus, &wanted).await?;
    anyhow::ensure!(
        missing.is_empty(),
        "the broker lacks {}; {} first",
        topology::told(&missing),
        topology::advice(&missing)
    );
    Ok(())
}

/// Runs until a signal stops it.
pub(super) async fn run(settings: Settings) -> anyhow::Result<Exit> {
    let Some(url) = settings.nats.url.clone() else {
        anyhow::bail!("nats.url is not set; give the broker's address, or use `jetreel dev`");
    };
    let mut signals = Signals::listen();
    let services = Services::connect(&settings, &url).await?;
    must_be_complete(&settings, &services).await?;
    let mut running = node::start(&settings, services).await?;
    match running.gateway {
        Some(address) => output::note(&format!("listening on http://{address}/")),
        None => output::note("the node runs without a gateway"),
    }
    let failed = tokio::select! {
        () = signals.next() => false,
        () = notice::given(&settings.node) => false,
        () = running.ended() => true,
    };
    let grace = Duration::from_secs(settings.node.drain_seconds);
    running.shutdown(grace, signals.next()).await;
    anyhow::ensure!(!failed, "a stage failed too often; see the log above");
    Ok(Exit::Done)
}
