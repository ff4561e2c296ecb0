//! The composition root: the only module that names every adapter. It connects, wires, starts and drains a node.

mod belonging;
mod config;
mod scaling;

pub use belonging::new_store_id;
pub use config::config;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jetreel_actors::config::{Context, Roles as Branches};
use jetreel_actors::load::Measures;
use jetreel_actors::ports::{Hook, Ports, Store};
use jetreel_actors::releases;
use jetreel_actors::supervisor;
use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::words::failure::Failure;
use ractor::{Actor, ActorRef};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::bus::service::RunningService;
use crate::bus::topology::{DEFAULT, Topology};
use crate::bus::{Bus, BusOptions};
use crate::counting;
use crate::descriptors::{self, Budget};
use crate::durability::DurabilityWatch;
use crate::environment::SystemEnvironment;
use crate::hook::{HttpHook, LETTER_TIMEOUT};
use crate::http::{self, Gateway, GatewayOptions, Hooks, Hosts, Pace, Patience, Warning};
use crate::measuring;
use crate::metrics::Metrics;
use crate::relations;
use crate::sandbox::CodecProcesses;
use crate::settings::{Role, Roles, Settings};
use crate::sifting::Sifting;
use crate::store::{OpenDalStore, StoreOptions};
use crate::upkeep::Upkeep;

/// Rest of the grace in which work in hand is handed back to the broker.
const PUT_DOWN_WAIT: Duration = Duration::from_secs(5);
/// Time that a node waits for the codec's greeting in its first job before it starts a process only to ask.
const FIRST_JOB_WAIT: Duration = Duration::from_millis(500);

/// The connected adapters.
#[derive(Clone)]
pub struct Services {
    pub ports: Ports,
    pub bus: Arc<Bus>,
    pub codec: Arc<CodecProcesses>,
    pub metrics: Arc<Metrics>,
}

/// The adapters that need no broker.
pub struct Offline {
    store: Arc<dyn Store>,
    pub codec: Arc<CodecProcesses>,
}

impl Offline {
    /// Opens the store and finds the codec.
    ///
    /// # Errors
    /// One of them cannot be opened. The message names it and says what to do.
    pub fn open(settings: &Settings) -> anyhow::Result<Self> {
        let store: Arc<dyn Store> =
            Arc::new(OpenDalStore::open(&StoreOptions::from(&settings.store))?);
        let codec = codec(settings, store.clone())?.patient(FIRST_JOB_WAIT);
        Ok(Self { store, codec: Arc::new(codec) })
    }
}

impl Services {
    /// Connects to the broker at `url` and opens the store.
    ///
    /// # Errors
    /// One of them cannot be opened. The message names it and says what to do.
    pub async fn connect(settings: &Settings, url: &str) -> anyhow::Result<Self> {
        Self::connect_with(Offline::open(settings)?, settings, url).await
    }

    /// Connects to the broker at `url`.
    ///
    /// # Errors
    /// The broker cannot be reached. The message says what to do.
    pub async fn connect_with(
        offline: Offline,
        settings: &Settings,
        url: &str,
    ) -> anyhow::Result<Self> {
        let mut options = BusOptions::new(url, settings.node.name_here());
        options.credentials.clone_from(&settings.nats.credentials);
        let bus = Bus::connect(&options).await?;
        let Offline { store, codec } = offline;
        let metrics = Arc::new(Metrics::new()?);
        metrics.prices(&settings.cost);
        let environment = Arc::new(SystemEnvironment::new(metrics.clone()));
        let (broker, letters) = (bus.clone(), bus.clone());
        let ports = Ports { broker, letters, store, codec: codec.clone(), environment };
        Ok(Self { ports, bus, codec, metrics })
    }
}

/// Codec processes as configured. They read from `store`.
///
/// # Errors
/// There is no codec program.
pub fn codec(settings: &Settings, store: Arc<dyn Store>) -> anyhow::Result<CodecProcesses> {
    let processes = CodecProcesses::new(codec_binary(settings)?, store);
    Ok(processes.demand(settings.codec.confinement))
}

/// Path of the codec program.
///
/// # Errors
/// There is no codec program. The message says what to do.
pub fn codec_binary(settings: &Settings) -> anyhow::Result<PathBuf> {
    let path = match &settings.codec.path {
        Some(path) => path.clone(),
        None => CodecProcesses::beside_this_executable()?,
    };
    anyhow::ensure!(
        path.is_file(),
        "there is no codec program at {}; build it with `cargo build -p jetreel-codec` or set codec.path",
        path.display()
    );
    Ok(path)
}

/// A running node.
pub struct RunningNode {
    pub services: Services,
    /// Address of the gateway; `None` if this node runs none.
    pub gateway: Option<std::net::SocketAddr>,
    context: Context,
    root: ActorRef<supervisor::Message>,
    tree: JoinHandle<()>,
    http: Option<Http>,
    admin: Option<RunningService>,
    _durability: DurabilityWatch,
    _upkeep: (Upkeep, Sifting),
}

/// Starts the roles that the settings name.
///
/// # Errors
/// The store is not bound to the broker, settings and server do not fit together, an address cannot be bound, or the supervision tree does
/// not start.
pub async fn start(settings: &Settings, services: Services) -> anyhow::Result<RunningNode> {
    relations::must_hold(&relations::of_server(settings, &services.bus).await?)?;
    for doubt in relations::doubts_of(settings, &services.bus) {
        tracing::warn!("{doubt}");
    }
    let (bound, arrived) = belonging::must_be(settings, &services).await?;
    let context = Context::new(config(settings)?, services.ports.clone());
    let durability = DurabilityWatch::start(settings, services.metrics.clone()).await;
    let upkeep = Upkeep::start(settings, services.bus.clone(), streams(settings)?);
    let sifting = Sifting::start(services.bus.clone(), services.ports.environment.clone());
    let codec = codec_warnings(settings, &services.codec);
    let shared = belonging::warnings(&context.gate);
    let warnings = [durability.warnings(), upkeep.warnings(), codec, shared];
    let (gateway, http) = gateway(settings, &services, &context, warnings)?;
    let roles = &settings.node.roles;
    let branches = Branches {
        stages: Stage::ALL.into_iter().filter(|stage| roles.works_for(*stage)).collect(),
        deadletter: roles.has(Role::Deadletter),
        reconcile: roles.has(Role::Reconciler),
        gateway: roles.has(Role::Gateway),
    };
    if needs_codec(roles) {
        tokio::spawn(tell_confinement(services.clone()));
    }
    let (survey, nodes) = (services.bus.clone(), services.bus.clone());
    let demand = watch::Sender::new(None);
    let scaling = scaling::args(settings, &services, demand.clone())?;
    let measures = || Measures { sources: measuring::sources(&services.bus), demand };
    let args = supervisor::Args {
        context: context.clone(),
        roles: branches,
        survey,
        nodes,
        leases: services.bus.clone(),
        gauge: roles.has(Role::Scaler).then(measures),
        bound,
        binding: services.bus.clone(),
        arrived,
        hook: hook(settings)?,
        scaling: Some(scaling),
    };
    let (root, tree) = supervisor::Node::spawn(None, supervisor::Node, args)
        .await
        .context("the supervision tree did not start")?;
    let admin = admin(settings, &services).await?;
    let (_durability, _upkeep) = (durability, (upkeep, sifting));
    Ok(RunningNode { services, gateway, context, root, tree, http, admin, _durability, _upkeep })
}

fn hook(settings: &Settings) -> anyhow::Result<Option<Arc<dyn Hook>>> {
    let wanted = settings.hook.url.clone().filter(|_| settings.node.roles.has(Role::Deadletter));
    let Some(url) = wanted else { return Ok(None) };
    let authorization = settings.hook.authorization.as_deref();
    let hook = HttpHook::new(url, authorization, LETTER_TIMEOUT);
    Ok(Some(Arc::new(hook.context("the dead-letter hook cannot be called: see [hook]")?)))
}

async fn admin(settings: &Settings, services: &Services) -> anyhow::Result<Option<RunningService>> {
    if !settings.node.roles.has(Role::Deadletter) {
        return Ok(None);
    }
    Ok(Some(admin::start(&services.bus, &services.ports).await?))
}

/// Logs and counts the confinement of codec processes on this node. Each job is checked by itself.
async fn tell_confinement(services: Services) {
    match services.codec.confinement().await {
        Ok(tier) => {
            tracing::info!(tier, "codec processes are confined");
            services.metrics.codec_confinement(&tier);
        }
        Err(failure) => {
            tracing::warn!(%failure, detail = failure.detail, "the codec sent no greeting");
        }
    }
}

type Http = (Arc<Gateway>, CancellationToken, Vec<JoinHandle<()>>);

/// Most connections to the address for health and metrics.
const ADMIN_CONNECTIONS: usize = 16;

fn gateway(
    settings: &Settings,
    services: &Services,
    context: &Context,
    warnings: [Warnings; 4],
) -> anyhow::Result<(Option<std::net::SocketAddr>, Option<Http>)> {
    let public = settings.node.roles.has(Role::Gateway);
    if !public && settings.http.admin_listen.is_none() {
        return Ok((None, None));
    }
    let budget = budget(settings);
    let hooks = hooks(&services.metrics, warnings);
    let seen = hooks.seen.clone();
    let gateway = Gateway::new(GatewayOptions {
        ports: services.ports.clone(),
        part_bytes: settings.http.part_bytes as u64,
        upload_bytes_max: settings.limits.upload_bytes_max,
        public_metrics: settings.http.admin_listen.is_none(),
        hooks,
        budget,
        pace: Pace {
            idle: Duration::from_secs(settings.http.body_idle_seconds),
            bytes_per_second: settings.http.body_rate_min,
        },
        hosts: Hosts::new(
            settings.http.public_names.0.iter().map(String::as_str),
            [crate::settings::host_name().as_str()],
        ),
        prices: settings.cost.clone(),
        standing: standing(context),
        waits: {
            let context = context.clone();
            Arc::new(move || releases::waits(&context))
        },
    });
    let stop = CancellationToken::new();
    let (mut address, mut servers) = (None, Vec::new());
    let serve = |listener, router, connections| {
        let bounds = http::Bounds { connections, patience: patience(&settings.http) };
        tokio::spawn(http::serve(listener, router, bounds, seen.clone(), stop.clone()))
    };
    if public {
        let listener = bind(settings.http.listen, "http.listen")?;
        address = Some(listener.local_addr()?);
        let router = http::router(Arc::clone(&gateway));
        servers.push(serve(listener, router, budget.connections));
        let keeping_up = stop.clone().run_until_cancelled_owned(Arc::clone(&gateway).keep_up());
        servers.push(tokio::spawn(async move { _ = keeping_up.await }));
    }
    if let Some(admin) = settings.http.admin_listen {
        let listener = bind(admin, "http.admin-listen")?;
        tracing::info!(address = %listener.local_addr()?, "metrics and health checks are served");
        let router = http::admin_router(Arc::clone(&gateway));
        servers.push(serve(listener, router, ADMIN_CONNECTIONS));
    }
    Ok((address, Some((gateway, stop, servers))))
}

fn standing(context: &Context) -> http::StandingOf {
    let context = context.clone();
    Arc::new(move |order| context.standing(order))
}

/// The gateway's descriptors, besides those of the node's tasks.
fn budget(settings: &Settings) -> Budget {
    let slots = settings.node.slots_here();
    let tasks = slots + slots.div_ceil(2);
    let budget = Budget::new(descriptors::limit(), tasks, settings.http.connections_max);
    let Budget { connections, uploads, reads } = budget;
    if connections < settings.http.connections_max {
        tracing::warn!(
            connections,
            "http.connections-max does not fit into the limit of open files"
        );
    }
    if settings.node.roles.has(Role::Gateway) {
        tracing::info!(connections, uploads, reads, "the gateway has its share of descriptors");
    }
    budget
}

fn patience(http: &crate::settings::Http) -> Patience {
    Patience {
        head: Duration::from_secs(http.head_seconds),
        idle: Duration::from_secs(http.keep_alive_seconds),
        write: Duration::from_secs(http.write_stall_seconds),
    }
}

fn bind(address: std::net::SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    http::listen(address)
        .with_context(|| format!("cannot listen on {address}: choose another {key}"))
}

/// Returns the current warnings for the readiness check.
type Warnings = Arc<dyn Fn() -> Vec<Warning> + Send + Sync>;

fn needs_codec(roles: &Roles) -> bool {
    [Stage::Ingest, Stage::Encode].into_iter().any(|stage| roles.works_for(stage))
}

/// Warnings about the codec, if the node needs one.
fn codec_warnings(settings: &Settings, codec: &Arc<CodecProcesses>) -> Warnings {
    let roles = &settings.node.roles;
    let codec = Some(Arc::clone(codec)).filter(|_| needs_codec(roles));
    Arc::new(move || {
        let trouble = codec.as_ref().and_then(|codec| codec.trouble());
        trouble.map(codec_warning).into_iter().collect()
    })
}

fn codec_warning(Failure { code, message, .. }: Failure) -> Warning {
    let known = ["codec-missing", "sandbox-weak"].into_iter().find(|known| *known == code);
    Warning { code: known.unwrap_or("codec-unusable"), detail: message.into(), refuses: true }
}

fn hooks(metrics: &Arc<Metrics>, warnings: [Warnings; 4]) -> Hooks {
    let render = Arc::clone(metrics);
    Hooks {
        render: Arc::new(move || render.render()),
        seen: counting::seen(metrics),
        warnings: Arc::new(move || warnings.iter().flat_map(|said| said()).collect()),
    }
}

impl RunningNode {
    /// Returns when the supervision tree has ended by itself because a branch failed too often.
    pub async fn ended(&mut self) {
        if let Err(error) = (&mut self.tree).await {
            tracing::error!(%error, "the supervision tree had ended already");
        }
    }

    /// Shuts down. The node is not ready and pulls nothing more at once. Tasks in hand are finished; those unfinished shortly before the
    /// end of `grace`, or when `hurry` completes, are handed back uncharged. Requests continue until then.
    pub async fn shutdown(mut self, grace: Duration, hurry: impl Future<Output = ()>) {
        let end = Instant::now() + grace;
        tracing::info!(seconds = grace.as_secs(), "the drain begins: the node pulls nothing more");
        self.context.drain.cancel();
        if let Some((gateway, ..)) = &self.http {
            gateway.drain();
        }
        let put_down_at = end - PUT_DOWN_WAIT.min(grace / 2);
        let end = tokio::select! {
            () = self.tree_ended() => end,
            () = tokio::time::sleep_until(put_down_at) => end,
            () = hurry => end.min(Instant::now() + PUT_DOWN_WAIT),
        };
        self.context.put_down.cancel();
        if let Some((_, stop, _)) = &self.http {
            stop.cancel();
        }
        let drained = tokio::time::timeout_at(end, async {
            if let Some(admin) = self.admin.take() {
                admin.stop().await;
            }
            self.tree_ended().await;
            for server in self.http.take().into_iter().flat_map(|(_, _, servers)| servers) {
                if let Err(error) = server.await {
                    tracing::warn!(%error, "the gateway ended with an error");
                }
            }
        });
        if drained.await.is_err() {
            tracing::warn!(
                "not all work ended within the grace; its messages are delivered again later"
            );
            self.root.kill();
        }
        self.services.bus.close().await;
    }

    async fn tree_ended(&mut self) {
        if !self.tree.is_finished() {
            self.ended().await;
        }
    }
}

/// The declared streams, from the operator's file or the built-in one.
///
/// # Errors
/// `nats.streams` names a file that cannot be read or parsed.
pub fn streams(settings: &Settings) -> anyhow::Result<Topology> {
    let text = streams_text(settings)?;
    let parsed = Topology::parse(&text);
    let named = |path: &PathBuf| format!("nats.streams: {} cannot be used", path.display());
    let topology = match &settings.nats.streams {
        None => parsed?,
        Some(path) => parsed.with_context(|| named(path))?,
    };
    Ok(topology.with_replicas(settings.nats.replicas))
}

/// Text of the streams file in use.
///
/// # Errors
/// `nats.streams` names a file that cannot be read.
pub fn streams_text(settings: &Settings) -> anyhow::Result<String> {
    match &settings.nats.streams {
        None => Ok(DEFAULT.to_owned()),
        Some(path) => std::fs::read_to_string(path)
            .with_context(|| format!("nats.streams: cannot read {}", path.display())),
    }
}

/// Folder of the store; `None` if the store is a bucket.
#[must_use]
pub fn store_folder(settings: &Settings) -> Option<&Path> {
    match settings.store.scheme {
        crate::settings::Scheme::Fs => Some(Path::new(&settings.store.root)),
        crate::settings::Scheme::S3 => None,
    }
}
