//! A gateway on a real socket for tests, with a real folder as store and a broker that only keeps states of videos.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jetreel_actors::event::Event;
use jetreel_actors::ports::{
    Codec, CodecSession, Environment, PortFuture, Ports, ProcessBudget, Readable,
};
use jetreel_domain::codec::wire::Job;
use jetreel_domain::order::state::Video;
use jetreel_domain::output::price::Prices;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::counted::Counted;
use super::{
    Bounds, Closing, Gateway, GatewayOptions, Hooks, Hosts, OnSeen, Pace, Patience, Seen, listen,
    router, serve,
};
use crate::descriptors::Budget;
use crate::store::{OpenDalStore, StoreOptions};

mod broker;

pub(super) use broker::Videos;
use broker::away;

/// Size of a part in tests: small, so that small bodies have several parts.
pub(super) const PART_BYTES: u64 = 1000;
/// Largest upload in tests, in bytes.
pub(super) const UPLOAD_BYTES_MAX: u64 = 10_000;

/// Most objects that are read at the same time in tests.
pub(super) const READS: usize = 4;

struct NoCodec;

impl Codec for NoCodec {
    fn start(
        &self,
        _: Job,
        _: Vec<Readable>,
        _: ProcessBudget,
    ) -> PortFuture<'_, Box<dyn CodecSession>> {
        away()
    }
    fn build(&self) -> PortFuture<'_, String> {
        away()
    }
}

struct Noon;

impl Environment for Noon {
    fn now(&self) -> i64 {
        43_200
    }
    fn uuid(&self) -> String {
        uuid::Uuid::now_v7().to_string()
    }
    fn chance(&self) -> f64 {
        0.5
    }
    fn emit(&self, _: Event) {}
}

/// A gateway that serves at `address` until it is dropped.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    pub(super) videos: Arc<Videos>,
    pub(super) gateway: Arc<Gateway>,
    pub(super) folder: TempDir,
    pub(super) store: Arc<Counted>,
    /// Open connections.
    pub(super) open: Arc<AtomicUsize>,
    /// Why connections ended.
    pub(super) ended: Arc<Mutex<Vec<Option<Closing>>>>,
    pub(super) stop: CancellationToken,
    pub(super) server: tokio::task::JoinHandle<()>,
}

/// Timeouts in tests: short, and far longer than a busy machine needs for requests that must succeed.
const PATIENCE: Patience = Patience {
    head: Duration::from_secs(2),
    idle: Duration::from_secs(4),
    write: Duration::from_secs(2),
};

/// Serves a gateway on a free port.
pub(super) async fn served() -> Served {
    served_to(100).await
}

/// Serves a gateway with few connections.
pub(super) async fn served_to(connections: usize) -> Served {
    served_with(connections, PATIENCE).await
}

/// Serves a gateway with few connections and its own deadlines.
pub(super) async fn served_with(connections: usize, patience: Patience) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let opened = OpenDalStore::open(&StoreOptions::fs(folder.path().to_string_lossy())).unwrap();
    let (sizes, reads) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let store = Arc::new(Counted { folder: Arc::new(opened), sizes, reads });
    let videos = Arc::new(Videos::default());
    let ports = Ports {
        broker: videos.clone(),
        letters: videos.clone(),
        store: store.clone(),
        codec: Arc::new(NoCodec),
        environment: Arc::new(Noon),
    };
    let hooks = Hooks {
        render: Arc::new(|| "numbers 1\n".to_owned()),
        seen: Arc::new(|_| ()),
        warnings: Arc::new(Vec::new),
    };
    let gateway = Gateway::new(GatewayOptions {
        ports,
        part_bytes: PART_BYTES,
        upload_bytes_max: UPLOAD_BYTES_MAX,
        public_metrics: true,
        hooks,
        budget: Budget { connections, uploads: 10, reads: READS },
        pace: Pace { idle: Duration::from_secs(2), bytes_per_second: 500 },
        hosts: Hosts::new(["videos.example.com"], []),
        standing: Arc::new(|_| None),
        prices: Prices {
            currency: "EUR".to_owned(),
            vcpu_hour: 0.04,
            stored_gb_month: 0.0,
            out_gb: 0.0,
        },
        waits: Arc::new(BTreeMap::new),
    });
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let routes = router(gateway.clone());
    let stop = CancellationToken::new();
    let bounds = Bounds { connections, patience };
    let ended = Arc::<Mutex<Vec<Option<Closing>>>>::default();
    let (open, noted) = (Arc::<AtomicUsize>::default(), ended.clone());
    let counted = open.clone();
    let seen: OnSeen = Arc::new(move |seen| match seen {
        Seen::Connected => _ = counted.fetch_add(1, Ordering::SeqCst),
        Seen::Disconnected { closing } => {
            counted.fetch_sub(1, Ordering::SeqCst);
            noted.lock().unwrap().push(closing);
        }
        Seen::Request { .. } | Seen::Upload { .. } => {}
    });
    let server = tokio::spawn(serve(listener, routes, bounds, seen, stop.clone()));
    Served { address, videos, gateway, folder, store, open, ended, stop, server }
}

impl Served {
    /// Address of a path.
    pub(super) fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Puts an object.
    pub(super) fn put(&self, key: &str, bytes: &[u8]) {
        let path = self.folder.path().join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// The only video.
    pub(super) fn video(&self) -> Video {
        self.videos.kept.lock().unwrap().values().next().unwrap().1.clone()
    }

    /// Number of files in the store.
    pub(super) fn files(&self) -> usize {
        fn count(folder: &std::path::Path) -> usize {
            let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
        }
        let raw = self.folder.path().join("raw");
        if raw.exists() { count(&raw) } else { 0 }
    }
}
