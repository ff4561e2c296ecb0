//! The world of a scenario: brokers, a store, nodes, and clients that upload.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, PoisonError};

use anyhow::Context as _;
use bytes::Bytes;
use jetreel::bus::{Bus, BusOptions};
use jetreel_domain::id::VideoId;

use super::broker::{self, Server};
use super::bucket::Bucket;
use super::cgroup::{self, Group};
use super::clock::Clock;
use super::disk::{self, Disk};
use super::net::{self, Place};
use super::node::{self, Node, Setup};
use super::proxy::Proxy;
use super::tools;
use super::uploads::{Gateways, Uploads};
use super::watch::Watch;

/// Tiny renditions of a tiny clip, so that encoding costs next to nothing.
const SETTINGS: &str = include_str!("settings.toml");
/// Room for streams, and for objects, where a disk of their own holds them.
const DISK_MEGABYTES: u64 = 256;
const SMALL_MEGABYTES: u64 = 24;

/// Settings with which the reconciler and the sweep act soon.
pub(super) const SWEEP_SOON: [(&str, &str); 7] = [
    ("JETREEL__RECONCILER__PASS_SECONDS", "1"),
    ("JETREEL__RECONCILER__LEASE_SECONDS", "5"),
    ("JETREEL__RECONCILER__PATIENCE_SECONDS", "3"),
    ("JETREEL__RECONCILER__RECEIVING_SECONDS_MAX", "5"),
    ("JETREEL__RECONCILER__CANCELLED_SECONDS", "2"),
    ("JETREEL__RECONCILER__ORPHAN_SECONDS", "5"),
    ("JETREEL__RECONCILER__SWEEP_SECONDS", "2"),
];

/// Place of the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreIn {
    /// In a folder.
    Folder,
    /// On its own disk.
    Disk,
    /// On a disk that is soon full.
    SmallDisk,
    /// In an S3 bucket.
    Bucket,
}

/// Place of the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamsIn {
    /// In a folder.
    Folder,
    /// On a disk of each server's own.
    Disk,
    /// On a disk that is soon full.
    SmallDisk,
}

/// Requirements of a scenario.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    /// Servers: one, or three as a cluster.
    pub(crate) servers: usize,
    /// Nodes.
    pub(crate) nodes: usize,
    /// Slots of each node.
    pub(crate) slots: usize,
    /// Place of the objects.
    pub(crate) store: StoreIn,
    /// Place of the streams.
    pub(crate) streams: StreamsIn,
    /// A proxy stands between nodes and broker.
    pub(crate) proxy: bool,
    /// Servers and nodes each have a network place of their own.
    pub(crate) places: bool,
    /// Nodes have a clock that can be set.
    pub(crate) clock: bool,
    /// Controllers of control groups that are needed.
    pub(crate) groups: &'static [&'static str],
    /// Environment of the nodes.
    pub(crate) environment: &'static [(&'static str, &'static str)],
}

/// One broker, one node, everything in folders.
pub(crate) const PLAIN: Spec = Spec {
    servers: 1,
    nodes: 1,
    slots: 2,
    store: StoreIn::Folder,
    streams: StreamsIn::Folder,
    proxy: false,
    places: false,
    clock: false,
    groups: &[],
    environment: &[],
};

impl Spec {
    /// Whether this machine can do it; else why not.
    pub(crate) fn available(&self) -> Result<(), String> {
        let own_disks = matches!(self.store, StoreIn::Disk | StoreIn::SmallDisk)
            || matches!(self.streams, StreamsIn::Disk | StreamsIn::SmallDisk);
        if own_disks {
            disk::available()?;
        }
        if self.places {
            net::available()?;
        }
        if self.clock {
            Clock::available()?;
        }
        self.groups.iter().try_for_each(|controller| cgroup::available(controller))
    }
}

/// Everything that runs; dropped, it ends. The order matters: processes end before the disks they use.
pub(crate) struct World {
    /// Looks at state and ledger.
    pub(crate) bus: Arc<Bus>,
    /// Observes messages at the broker.
    pub(crate) watch: Watch,
    /// Clients.
    pub(crate) uploads: Arc<Uploads>,
    /// `jetreel node` processes.
    pub(crate) nodes: Vec<Node>,
    /// nats-server processes.
    pub(crate) servers: Vec<Server>,
    /// Between nodes and broker.
    pub(crate) proxy: Option<Proxy>,
    /// Of objects.
    pub(crate) bucket: Option<Bucket>,
    /// Of nodes.
    pub(crate) clock: Option<Clock>,
    /// Videos with forged states or messages.
    pub(crate) rubbish: BTreeSet<VideoId>,
    /// Control groups made on the way.
    pub(crate) groups: Vec<Group>,
    /// Of objects.
    pub(crate) store_disk: Option<Disk>,
    /// Of streams, one a server.
    pub(crate) stream_disks: Vec<Disk>,
    store_root: PathBuf,
    gateways: Gateways,
    folder: tempfile::TempDir,
}

impl World {
    /// Builds it, and starts everything but the nodes.
    pub(crate) async fn new(spec: &Spec, clip: Bytes) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("jetreel-chaos-").tempdir()?;
        let config = folder.path().join("settings.toml");
        std::fs::write(&config, SETTINGS)?;
        let stream_disks = stream_disks(spec, folder.path())?;
        let mut servers = broker::servers(homes(spec, folder.path(), &stream_disks)?)?;
        for server in &mut servers {
            server.start().await?;
        }
        let urls = broker::urls(&servers);
        apply_streams(&config, &urls, spec.servers).await?;
        let proxy = match (spec.proxy, servers.first()) {
            (true, Some(server)) => Some(Proxy::start(server.address()).await?),
            (true, None) | (false, _) => None,
        };
        let store_disk = store_disk(spec, folder.path())?;
        let bucket = match spec.store {
            StoreIn::Bucket => Some(Bucket::start(&folder.path().join("s3")).await?),
            StoreIn::Folder | StoreIn::Disk | StoreIn::SmallDisk => None,
        };
        let store_root = match (&bucket, &store_disk) {
            (Some(bucket), _) => bucket.root(),
            (None, Some(disk)) => disk.place().join("media"),
            (None, None) => folder.path().join("media"),
        };
        let clock = match spec.clock {
            true => Some(Clock::new(folder.path())?),
            false => None,
        };
        let gateways = Gateways::default();
        let bus = Bus::connect(&BusOptions::new(urls.as_str(), "checker")).await?;
        let mut world = Self {
            bus,
            watch: Watch::start(&urls).await?,
            uploads: Arc::new(Uploads::new(clip, gateways.clone())?),
            nodes: Vec::new(),
            servers,
            proxy,
            bucket,
            clock,
            rubbish: BTreeSet::new(),
            groups: Vec::new(),
            store_disk,
            stream_disks,
            store_root,
            gateways,
            folder,
        };
        for index in 0..spec.nodes {
            let setup = world.setup(spec, index, &config, &urls)?;
            world.nodes.push(Node::new(setup));
        }
        Ok(world)
    }

    /// Builds it, and starts everything.
    pub(crate) async fn start(spec: &Spec, clip: Bytes) -> anyhow::Result<Self> {
        let mut world = Self::new(spec, clip).await?;
        for index in 0..spec.nodes {
            world.start_node(index, &[]).await?;
        }
        Ok(world)
    }

    /// Starts a node, again perhaps, and lets clients know.
    pub(crate) async fn start_node(
        &mut self,
        index: usize,
        more: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        let node = self.nodes.get_mut(index).context("no such node")?;
        node.start_with(more).await?;
        self.open_gateway(index);
        Ok(())
    }

    /// Kills a node; clients keep away from it as a load balancer would see to it.
    pub(crate) fn kill_node(&mut self, index: usize) {
        self.close_gateway(index);
        if let Some(node) = self.nodes.get_mut(index) {
            node.kill();
        }
    }

    /// Clients do not go to this node.
    pub(crate) fn close_gateway(&self, index: usize) {
        self.gateways.lock().unwrap_or_else(PoisonError::into_inner).remove(&index);
    }

    /// Clients may go to this node.
    pub(crate) fn open_gateway(&self, index: usize) {
        let Some(address) = self.nodes.get(index).and_then(Node::address) else { return };
        let mut gateways = self.gateways.lock().unwrap_or_else(PoisonError::into_inner);
        gateways.insert(index, address.to_owned());
    }

    /// Starts the nodes again so that they mend and sweep at once: there is no work in hand any more that they could disturb.
    pub(crate) async fn sweep_soon(&mut self) -> anyhow::Result<()> {
        for index in 0..self.nodes.len() {
            self.kill_node(index);
            self.start_node(index, &SWEEP_SOON).await?;
        }
        Ok(())
    }

    /// A place for what a scenario needs; goes with the world.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Folder of the objects.
    pub(crate) fn store_root(&self) -> &Path {
        &self.store_root
    }

    /// Names of nodes that ended unexpectedly.
    pub(crate) fn died(&mut self) -> Vec<String> {
        let died = |node: &mut Node| {
            let status = node.has_died()?;
            Some(format!("node {} ended with {status}:\n{}", node.name(), node.log_tail()))
        };
        self.nodes.iter_mut().filter_map(died).collect()
    }

    fn setup(&self, spec: &Spec, index: usize, config: &Path, urls: &str) -> anyhow::Result<Setup> {
        let place = if spec.places { Some(Arc::new(Place::new()?)) } else { None };
        let listen = match &place {
            Some(place) => format!("{}:0", place.address()),
            None => "127.0.0.1:0".to_owned(),
        };
        let url = match &self.proxy {
            Some(proxy) => format!("nats://{}", proxy.address()),
            None => urls.to_owned(),
        };
        let name = format!("node-{index}");
        let setting = |key: &str, value: &str| (format!("JETREEL__{key}"), value.to_owned());
        let mut environment = vec![
            setting("NATS__URL", &url),
            setting("HTTP__LISTEN", &listen),
            setting("NODE__NAME", &name),
            setting("NODE__SLOTS", &spec.slots.to_string()),
        ];
        match &self.bucket {
            Some(bucket) => environment.extend(bucket.settings()),
            None => {
                let root = self.store_root.to_string_lossy();
                environment.push(setting("STORE__SCHEME", "fs"));
                environment.push(setting("STORE__ROOT", &root));
            }
        }
        if let Some(clock) = &self.clock {
            environment.extend(clock.environment());
        }
        let own = spec.environment.iter();
        environment.extend(own.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let folder = config.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Setup { name, folder, config: config.to_owned(), environment, place })
    }
}

fn homes(spec: &Spec, folder: &Path, disks: &[Disk]) -> anyhow::Result<Vec<broker::Home>> {
    let mut homes = Vec::new();
    for index in 0..spec.servers {
        let mut home = broker::plain_home(folder, index);
        if let Some(disk) = disks.get(index) {
            home.store = disk.place().join("streams");
        }
        if spec.places {
            home.place = Some(Arc::new(Place::new()?));
        }
        homes.push(home);
    }
    Ok(homes)
}

fn stream_disks(spec: &Spec, folder: &Path) -> anyhow::Result<Vec<Disk>> {
    let megabytes = match spec.streams {
        StreamsIn::Folder => return Ok(Vec::new()),
        StreamsIn::Disk => DISK_MEGABYTES,
        StreamsIn::SmallDisk => SMALL_MEGABYTES,
    };
    (0..spec.servers).map(|index| Disk::new(folder, &format!("nats-{index}"), megabytes)).collect()
}

fn store_disk(spec: &Spec, folder: &Path) -> anyhow::Result<Option<Disk>> {
    match spec.store {
        StoreIn::Folder | StoreIn::Bucket => Ok(None),
        StoreIn::Disk => Disk::new(folder, "objects", DISK_MEGABYTES).map(Some),
        StoreIn::SmallDisk => Disk::new(folder, "objects", SMALL_MEGABYTES).map(Some),
    }
}

/// Creates the streams as an operator does. A cluster answers once it has elected a leader.
async fn apply_streams(config: &Path, urls: &str, servers: usize) -> anyhow::Result<()> {
    const TRIES: u32 = 20;
    for left in (0..TRIES).rev() {
        let mut command = Command::new(node::program());
        command.arg("--config").arg(config).args(["streams", "apply"]);
        command.env("JETREEL__NATS__URL", urls);
        command.env("JETREEL__NATS__REPLICAS", servers.to_string());
        match tokio::task::block_in_place(|| tools::run_command(command)) {
            Ok(_) => return Ok(()),
            Err(error) if left == 0 => return Err(error),
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(500)).await,
        }
    }
    Ok(())
}
