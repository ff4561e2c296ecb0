//! A private broker and the adapters, for commands that need no server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::exit::{Exit, told};
use crate::bus::names;
use crate::bus::private::{self, PrivateBroker, PrivateOptions};
use crate::bus::topology::{self, Action, Asset, Change};
use crate::bus::{Bus, BusOptions};
use crate::node::{Offline, Services};
pub(super) use crate::node::{streams, streams_text};
use crate::relations;
use crate::settings::Settings;

/// Timeout of a private broker on this machine.
const PRIVATE_WAIT: Duration = Duration::from_secs(2);

/// Place of broker and store.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Place {
    /// Folder of a running `jetreel dev`, as given to it [default: the setting nats.url, else nats.data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Place {
    /// The settings with that folder.
    pub(super) fn applied_to(self, mut settings: Settings) -> Settings {
        if let Some(data) = self.data {
            settings.nats.url = None;
            use_folder(&mut settings, &data);
        }
        settings
    }
}

/// The adapters, with their private broker if there is one.
pub(super) struct Local {
    pub(super) services: Services,
    broker: Option<PrivateBroker>,
}

/// Lifetime of the stored data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lasting {
    /// The data outlive this command.
    Kept,
    /// The data serve one job, which starts at once and whose result is copied out. A crash of the machine loses the job in any case, so
    /// nothing is synced.
    OneJob,
}

impl Local {
    /// Monitoring address of the private broker; `None` if the broker is not private.
    pub(super) fn monitor(&self) -> Option<String> {
        self.broker.as_ref().map(|broker| broker.monitor_url.clone())
    }

    /// Address of the private broker; `None` if the broker is not private.
    pub(super) fn url(&self) -> Option<String> {
        self.broker.as_ref().map(|broker| broker.url.clone())
    }

    /// Connects to the broker of the settings, or starts a private one. Creates the streams.
    pub(super) async fn start(settings: &Settings, lasting: Lasting) -> anyhow::Result<Self> {
        let offline = Offline::open(settings)?;
        let (url, broker) = match &settings.nats.url {
            Some(url) => (url.clone(), None),
            None => {
                let mut options = PrivateOptions::new(settings.nats.data.clone());
                options.server.clone_from(&settings.nats.server);
                options.kept = lasting == Lasting::Kept;
                if lasting == Lasting::OneJob {
                    offline.codec.prepare();
                }
                let broker = PrivateBroker::start(&options).await?;
                (broker.url.clone(), Some(broker))
            }
        };
        let services = Services::connect_with(offline, settings, &url).await?;
        let wanted = streams(settings)?;
        let declared = relations::of_declared(settings, &wanted, Some(&services.bus));
        relations::must_hold(&declared)?;
        let changes = topology::apply(&services.bus, &wanted, false).await?;
        let made =
            |change: &Change| (change.action == Action::Create).then(|| change.asset.clone());
        let lost: Vec<Asset> = changes.iter().filter_map(made).collect();
        // On a new broker this stream is missing too.
        let new = lost.contains(&Asset::Stream(names::UPLOADS.to_owned()));
        if !new && lost.iter().any(|asset| !asset.may_be_made()) {
            let lost = topology::told(&lost);
            tracing::error!(
                lost,
                "the broker lacked buckets whose content is nowhere else; they are empty now"
            );
        }
        Ok(Self { services, broker })
    }

    /// Returns the reason when the private broker has ended for good. Never returns without a private broker.
    pub(super) async fn lost(broker: Option<&PrivateBroker>) -> anyhow::Error {
        match broker {
            Some(broker) => anyhow::Error::msg(broker.lost().await.message),
            None => std::future::pending().await,
        }
    }

    /// Stops the private broker. The node that used it must have ended.
    pub(super) async fn stop(broker: Option<PrivateBroker>) {
        if let Some(broker) = broker {
            broker.stop().await;
        }
    }

    /// The adapters for a node, and the private broker to stop afterwards.
    pub(super) fn split(self) -> (Services, Option<PrivateBroker>) {
        (self.services, self.broker)
    }
}

/// The broker of the settings, or the private broker of a `jetreel dev` that runs with the same settings.
pub(super) async fn connect(settings: &Settings) -> anyhow::Result<Arc<Bus>> {
    let bus = match &settings.nats.url {
        Some(url) => Some(Bus::connect(&bus_options(settings, url)).await?),
        None => running(settings).await,
    };
    bus.ok_or_else(|| {
        told(
            Exit::Unreachable,
            format!(
                "nats.url is not set, and no `jetreel dev` runs in {}; name its folder with --data, or another broker as in --set nats.url=nats://host:4222",
                settings.nats.data.display()
            ),
        )
    })
}

/// The private broker of a `jetreel dev` that runs in the folder of the settings.
pub(super) async fn running(settings: &Settings) -> Option<Arc<Bus>> {
    let url = private::running_in(&settings.nats.data)?;
    let options = BusOptions { connect_wait: PRIVATE_WAIT, ..bus_options(settings, &url) };
    match Bus::connect(&options).await {
        Ok(bus) => Some(bus),
        Err(failure) => {
            // A killed `dev` leaves its address file.
            tracing::debug!(%failure, "no private broker answers");
            None
        }
    }
}

fn bus_options(settings: &Settings, url: &str) -> BusOptions {
    let mut options = BusOptions::new(url, settings.node.name_here());
    options.credentials.clone_from(&settings.nats.credentials);
    options
}

/// Puts streams and videos into one folder, as `jetreel dev --data` does.
pub(super) fn use_folder(settings: &mut Settings, folder: &Path) {
    settings.nats.data = folder.join("nats");
    settings.store.root = folder.join("media").to_string_lossy().into_owned();
}

/// The absolute path of a file that the user named.
pub(super) fn input(file: &Path) -> anyhow::Result<PathBuf> {
    let path = std::fs::canonicalize(file)
        .with_context(|| format!("cannot read {}; check the path", file.display()))?;
    anyhow::ensure!(!path.is_dir(), "the path {} is a folder; name a video file", file.display());
    anyhow::ensure!(path.is_file(), "the path {} is not a file; name a video file", file.display());
    std::fs::File::open(&path)
        .with_context(|| format!("cannot read {}; check its permissions", file.display()))?;
    Ok(path)
}
