//! nats-servers as processes: one, or three as a cluster. Every write is synced before it is answered.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::net::Place;
use super::node::TAIL_LINES;
use super::signals;
use super::stage::LOOK;

const CLIENTS: u16 = 4222;
const ROUTES: u16 = 6222;
/// More than the streams reserve, however small the disk is that they are on.
const STREAMS_MAX: &str = "64GB";
const START_WAIT: Duration = Duration::from_secs(30);

/// Place of a server and its streams.
pub(crate) struct Home {
    /// Of configuration and log.
    pub(crate) folder: PathBuf,
    /// Of streams.
    pub(crate) store: PathBuf,
    /// A network place; `None` is the loopback.
    pub(crate) place: Option<Arc<Place>>,
}

/// A server; ended when dropped.
pub(crate) struct Server {
    /// As the cluster knows it.
    pub(crate) name: String,
    home: Home,
    address: SocketAddr,
    config: PathBuf,
    process: Option<Child>,
}

/// Servers that know each other; they are not started yet.
pub(crate) fn servers(homes: Vec<Home>) -> anyhow::Result<Vec<Server>> {
    let cluster = homes.len() > 1;
    let mut ports = free_ports(2 * homes.len())?.into_iter();
    let mut addresses = Vec::new();
    for home in &homes {
        let (ip, own) = match &home.place {
            Some(place) => (place.address(), Some((CLIENTS, ROUTES))),
            None => (Ipv4Addr::LOCALHOST, ports.next().zip(ports.next())),
        };
        let (clients, routes) = own.context("no ports")?;
        addresses.push((SocketAddr::from((ip, clients)), SocketAddr::from((ip, routes))));
    }
    let routes: Vec<String> =
        addresses.iter().map(|(_, routes)| format!("\"nats://{routes}\"")).collect();
    let mut servers = Vec::new();
    for (index, (home, (address, route))) in homes.into_iter().zip(&addresses).enumerate() {
        let name = format!("n{index}");
        let mut text = format!(
            "server_name: {name}\nlisten: \"{address}\"\n\
             jetstream {{ store_dir: {:?}, sync_interval: always, max_file_store: {STREAMS_MAX} }}\n",
            home.store
        );
        if cluster {
            let known = routes.join(", ");
            text += &format!("cluster {{ name: chaos, listen: \"{route}\", routes: [{known}] }}\n");
        }
        std::fs::create_dir_all(&home.store)?;
        let config = home.folder.join(format!("{name}.conf"));
        std::fs::write(&config, text)?;
        servers.push(Server { name, home, address: *address, config, process: None });
    }
    Ok(servers)
}

impl Server {
    /// Address for clients.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its network place.
    pub(crate) fn place(&self) -> Option<&Arc<Place>> {
        self.home.place.as_ref()
    }

    /// Its process, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Starts it, again perhaps, and waits until it takes connections.
    pub(crate) async fn start(&mut self) -> anyhow::Result<()> {
        let log = self.log_file();
        let log = std::fs::File::options().create(true).append(true).open(log)?;
        let mut command = match &self.home.place {
            Some(place) => place.command("nats-server"),
            None => Command::new("nats-server"),
        };
        command.arg("--config").arg(&self.config).stdin(Stdio::null()).stdout(Stdio::null());
        self.process = Some(command.stderr(log).spawn().context("nats-server is not on PATH")?);
        let listens = async {
            while tokio::net::TcpStream::connect(self.address).await.is_err() {
                // An opening port cannot be awaited as an event.
                tokio::time::sleep(LOOK).await;
            }
        };
        let started = tokio::time::timeout(START_WAIT, listens).await;
        started.with_context(|| format!("{} does not start:\n{}", self.name, self.log_tail()))
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.kill());
            drop(process.wait());
        }
    }

    /// Lets it stand still, or go on.
    pub(crate) fn freeze(&self, frozen: bool) {
        if let Some(pid) = self.pid() {
            signals::freeze(pid, frozen);
        }
    }

    fn log_file(&self) -> PathBuf {
        self.home.folder.join(format!("{}.log", self.name))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The addresses of servers as one setting.
pub(crate) fn urls(servers: &[Server]) -> String {
    let urls: Vec<String> = servers.iter().map(|s| format!("nats://{}", s.address())).collect();
    urls.join(",")
}

/// A home on the loopback, with everything in one folder.
pub(crate) fn plain_home(folder: &Path, index: usize) -> Home {
    let store = folder.join(format!("streams-{index}"));
    Home { folder: folder.to_owned(), store, place: None }
}

/// Ports that were free a moment ago, all different.
fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let bound: Result<Vec<_>, _> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect();
    bound?.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
