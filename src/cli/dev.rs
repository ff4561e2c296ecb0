//! `jetreel dev`: everything in one process, with a private nats-server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::exit::Exit;
use super::local::{self, Lasting, Local};
use super::{notice, output, signals::Signals};
use crate::node;
use crate::settings::{Roles, Settings, listen_address};

/// Grace of the node when the broker is lost.
const LOST_WAIT: Duration = Duration::from_secs(2);

/// Arguments of `dev`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where to listen; a port alone means this machine alone [default: the setting http.listen]
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = listen_address)]
    listen: Option<SocketAddr>,
    /// Folder for streams and videos [default: the settings nats.data and store.root]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Runs until a signal stops it.
pub(super) async fn run(arguments: Arguments, mut settings: Settings) -> anyhow::Result<Exit> {
    if let Some(listen) = arguments.listen {
        settings.http.listen = listen;
    }
    if let Some(data) = &arguments.data {
        local::use_folder(&mut settings, data);
    }
    settings.node.roles = Roles::all();
    let mut signals = Signals::listen();
    let local = Local::start(&settings, Lasting::Kept).await?;
    settings.nats.monitor = local.monitor().or(settings.nats.monitor);
    settings.nats.url = local.url().or(settings.nats.url);
    let (services, broker) = local.split();
    let mut running = node::start(&settings, services).await?;
    if let Some(address) = running.gateway {
        output::note(
            "jetreel is running, to try it out: it has no login, and this machine does all the work",
        );
        output::note(&format!(
            "  try:      jetreel submit video.mp4 --wait --url http://{address}"
        ));
        output::note(&format!("  metrics:  http://{address}/metrics"));
        output::data(&format!("http://{address}/"));
    }
    let mut grace = Duration::from_secs(settings.node.drain_seconds);
    let ended = tokio::select! {
        () = signals.next() => Ok(Exit::Done),
        () = notice::given(&settings.node) => Ok(Exit::Done),
        () = running.ended() => Err(anyhow::anyhow!("a stage failed too often; see the log above")),
        lost = Local::lost(broker.as_ref()) => {
            // Without a broker no work can be handed back.
            grace = LOST_WAIT;
            Err(lost)
        }
    };
    output::note("stopping: tasks in hand are finished first; press Ctrl-C again to stop at once");
    running.shutdown(grace, signals.next()).await;
    Local::stop(broker).await;
    ended
}
