//! Routes and their shared state.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{delete, get, post};
use axum::{Extension, Router};
use jetreel_actors::ports::Ports;
use jetreel_domain::delivery::dispatch::TaskQueue;
use jetreel_domain::id::OrderId;
use jetreel_domain::order::line::Standing;
use jetreel_domain::output::price::Prices;
use jetreel_domain::upkeep::waits::Wait;
use serde::Serialize;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use super::catalog::Catalog;
use super::connection::Closing;
use super::orders::Orders;
use super::origin::{self, Hosts};
use super::pace::Pace;
use super::{
    attachment, cancel, cost, erase, health, jobs, listing, pages, playback, priority, problem,
    videos,
};
use crate::descriptors::Budget;

/// Pause between two reads of the changed videos.
const CATALOG_INTERVAL: Duration = Duration::from_secs(1);

/// An event of the gateway, for the metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Seen<'a> {
    /// A request was answered.
    Request {
        /// Pattern of the route, not the path.
        route: &'a str,
        /// Method, such as `GET`.
        method: &'a str,
        /// Status of the answer.
        status: u16,
        /// Time from the request to the head of the answer, in seconds.
        seconds: f64,
    },
    /// An upload was accepted.
    Upload {
        bytes: u64,
        /// Time from the last byte to the confirmation, in seconds.
        confirmation_seconds: f64,
    },
    /// A connection that was made.
    Connected,
    /// A connection that ended.
    Disconnected {
        /// Why the server closed it; `None` where the client did.
        closing: Option<Closing>,
    },
}

/// Called for what the gateway saw.
pub type OnSeen = Arc<dyn for<'a> Fn(Seen<'a>) + Send + Sync>;

/// Something an operator should mend, said by the readiness check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Stable code.
    pub code: &'static str,
    /// A sentence that says what to do.
    pub detail: Cow<'static, str>,
    /// Whether the node is not ready while the warning lasts.
    #[serde(skip)]
    pub refuses: bool,
}

/// Metrics and warnings of the node.
#[derive(Clone)]
pub struct Hooks {
    /// Renders all metrics in Prometheus' text format.
    pub render: Arc<dyn Fn() -> String + Send + Sync>,
    /// Called for what the gateway saw.
    pub seen: OnSeen,
    /// What is to be said about the node's surroundings now.
    pub warnings: Arc<dyn Fn() -> Vec<Warning> + Send + Sync>,
}

/// What queues of tasks wait for, because no live node takes tasks of them now.
pub type Waits = Arc<dyn Fn() -> BTreeMap<TaskQueue, Wait> + Send + Sync>;

/// Options of a gateway.
pub struct GatewayOptions {
    pub ports: Ports,
    /// Size of a stored part of an upload in bytes.
    pub part_bytes: u64,
    /// Largest upload in bytes.
    pub upload_bytes_max: u64,
    /// Whether the public address also serves `/metrics`.
    pub public_metrics: bool,
    pub hooks: Hooks,
    /// File descriptors for uploads and reads.
    pub budget: Budget,
    /// Minimum pace of an upload.
    pub pace: Pace,
    /// Host names under which browsers reach the gateway.
    pub hosts: Hosts,
    /// Prices, for the cost of videos.
    pub prices: Prices,
    pub standing: StandingOf,
    pub waits: Waits,
}

/// Gives the standing of an order in its line; `None` if it does not stand in line.
pub type StandingOf = Arc<dyn Fn(&OrderId) -> Option<Standing> + Send + Sync>;

/// Shared state of all requests.
pub struct Gateway {
    pub(super) ports: Ports,
    pub(super) part_bytes: u64,
    pub(super) upload_bytes_max: u64,
    pub(super) hooks: Hooks,
    pub(super) orders: Orders,
    pub(super) catalog: Catalog,
    pub(super) pace: Pace,
    pub(super) prices: Prices,
    pub(super) standing: StandingOf,
    pub(super) waits: Waits,
    /// Permits of uploads that write.
    pub(super) uploads: Semaphore,
    /// Permits of reads from the store.
    pub(super) reads: Arc<Semaphore>,
    hosts: Arc<Hosts>,
    public_metrics: bool,
    draining: AtomicBool,
}

impl Gateway {
    /// A gateway on the ports.
    #[must_use]
    pub fn new(options: GatewayOptions) -> Arc<Self> {
        let GatewayOptions { ports, part_bytes, upload_bytes_max, public_metrics, .. } = options;
        let Budget { uploads, reads, .. } = options.budget;
        Arc::new(Self {
            ports,
            part_bytes,
            upload_bytes_max,
            hooks: options.hooks,
            orders: Orders::default(),
            catalog: Catalog::default(),
            pace: options.pace,
            prices: options.prices,
            standing: options.standing,
            waits: options.waits,
            uploads: Semaphore::new(uploads.min(Semaphore::MAX_PERMITS)),
            reads: Arc::new(Semaphore::new(reads.min(Semaphore::MAX_PERMITS))),
            hosts: Arc::new(options.hosts),
            public_metrics,
            draining: AtomicBool::new(false),
        })
    }

    /// Makes the node not ready and refuses new uploads. Running requests continue.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Reads changed videos for as long as the future is polled.
    pub async fn keep_up(self: Arc<Self>) {
        loop {
            if let Err(failure) = self.catalog.read_on(&*self.ports.broker).await {
                tracing::debug!(%failure, "changes of videos could not be read");
            }
            tokio::time::sleep(CATALOG_INTERVAL).await;
        }
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// Routes of the public address.
pub fn router(gateway: Arc<Gateway>) -> Router {
    let playback = Router::new()
        .route("/v/{video}/{name}", get(playback::file).options(preflight))
        .route("/v/{video}/o/{*rest}", get(playback::object).options(preflight))
        .layer(middleware::from_fn(attachment::named))
        .layer(middleware::from_fn(cross_origin));
    let mut routes = Router::new()
        .route("/", get(pages::home))
        .route("/watch/{video}", get(pages::watch))
        .route("/assets/{*name}", get(pages::file))
        .route("/v1/videos", post(videos::create))
        .route("/v1/videos/{id}", delete(erase::erase))
        .route("/v1/videos/{id}/cost", get(cost::get))
        .route("/v1/jobs", get(listing::list))
        .route("/v1/jobs/{id}", get(jobs::get))
        .route("/v1/jobs/{id}/status", get(jobs::get))
        .route("/v1/jobs/{id}/retry", post(jobs::retry))
        .route("/v1/jobs/{id}/cancel", post(cancel::cancel))
        .route("/v1/jobs/{id}/priority", post(priority::change))
        .merge(playback)
        .merge(health_routes());
    if gateway.public_metrics {
        routes = routes.route("/metrics", get(health::metrics));
    }
    finished(routes, gateway)
}

/// Routes for health and metrics on an address of their own.
pub fn admin_router(gateway: Arc<Gateway>) -> Router {
    finished(health_routes().route("/metrics", get(health::metrics)), gateway)
}

fn health_routes() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/livez", get(health::live))
        .route("/startupz", get(health::live))
        .route("/readyz", get(health::ready))
}

fn finished(routes: Router<Arc<Gateway>>, gateway: Arc<Gateway>) -> Router {
    let hooks = gateway.hooks.clone();
    routes
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(CatchPanicLayer::new())
        .layer(middleware::from_fn_with_state(gateway.hosts.clone(), origin::guard))
        .layer(middleware::from_fn(problem::finish))
        .layer(Extension(hooks))
        .with_state(gateway)
}

/// Allows any page to play a video.
async fn cross_origin(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed = HeaderValue::from_static;
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, fixed("*"));
    let exposed = fixed("content-length, content-range, etag, x-request-id");
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    response
}

async fn preflight() -> (StatusCode, [(axum::http::HeaderName, &'static str); 3]) {
    let headers = [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "range, if-none-match, if-range"),
        (ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    (StatusCode::NO_CONTENT, headers)
}
