//! A real S3 server within this process, and in front of it what goes wrong with one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Router};
use bytes::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

const BUCKET: &str = "videos";
const ACCESS_KEY: &str = "test-key";
const SECRET_KEY: &str = "test-secret";
/// The fault itself: longer than a node waits for an answer.
const STALL: Duration = Duration::from_secs(65);

/// Faults of the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The answer is this status, and nothing is done.
    Status(u16),
    /// No answer comes in time.
    Timeout,
    /// The connection is reset, but the request is carried out.
    Reset,
    /// Half of what was asked for arrives; of what was sent, nothing is kept.
    Partial,
}

/// The server.
pub(crate) struct Bucket {
    folder: PathBuf,
    endpoint: String,
    plan: Arc<Mutex<Plan>>,
    serving: JoinHandle<()>,
}

/// Every so-manieth request meets trouble.
#[derive(Default)]
struct Plan {
    trouble: Option<(Trouble, u32)>,
    requests: u32,
    struck: u32,
}

impl Bucket {
    /// Starts a server that keeps everything in `folder`.
    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder.join(BUCKET))?;
        let files = s3s_fs::FileSystem::new(folder)
            .map_err(|error| anyhow::anyhow!("no S3 server: {error:?}"))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let plan = Arc::<Mutex<Plan>>::default();
        let router = Router::new().fallback(answer).with_state((builder.build(), plan.clone()));
        let serving = tokio::spawn(serve(listener, router));
        Ok(Self { folder: folder.join(BUCKET), endpoint, plan, serving })
    }

    /// The settings of nodes that store here.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        [
            ("SCHEME", "s3"),
            ("ROOT", "a/prefix"),
            ("BUCKET", BUCKET),
            ("ENDPOINT", self.endpoint.as_str()),
            ("REGION", "us-east-1"),
            ("ACCESS_KEY", ACCESS_KEY),
            ("SECRET_KEY", SECRET_KEY),
        ]
        .map(|(key, value)| (format!("JETREEL__STORE__{key}"), value.to_owned()))
        .to_vec()
    }

    /// Folder of its objects.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("a/prefix")
    }

    /// From now on every `nth` request meets trouble, or none.
    pub(crate) fn trouble(&self, trouble: Option<(Trouble, u32)>) {
        lock(&self.plan).trouble = trouble;
    }

    /// How many requests met trouble.
    pub(crate) fn struck(&self) -> u32 {
        lock(&self.plan).struck
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Plan {
    fn strike(&mut self) -> Option<Trouble> {
        let (trouble, nth) = self.trouble?;
        self.requests += 1;
        let strikes = self.requests.is_multiple_of(nth);
        self.struck += u32::from(strikes);
        strikes.then_some(trouble)
    }
}

fn lock(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, router: Router) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let reset = CancellationToken::new();
        let router = router.clone().layer(Extension(reset.clone()));
        connections.spawn(connection(socket, router, reset));
    }
}

async fn connection(socket: TcpStream, router: Router, reset: CancellationToken) {
    drop(socket.set_zero_linger());
    let server = Builder::new(TokioExecutor::new());
    let service = TowerToHyperService::new(router);
    tokio::select! {
        served = server.serve_connection(TokioIo::new(socket), service) => drop(served),
        () = reset.cancelled() => {}
    }
}

async fn answer(
    State((service, plan)): State<(S3Service, Arc<Mutex<Plan>>)>,
    Extension(reset): Extension<CancellationToken>,
    request: Request,
) -> Response {
    let struck = lock(&plan).strike();
    match struck {
        None => pass(&service, request).await,
        Some(Trouble::Status(status)) => refused(status),
        Some(Trouble::Timeout) => {
            tokio::time::sleep(STALL).await;
            refused(503)
        }
        Some(Trouble::Reset) => {
            drop(pass(&service, request).await);
            reset.cancel();
            std::future::pending().await
        }
        Some(Trouble::Partial) if request.method() == Method::GET => {
            half(pass(&service, request).await)
        }
        Some(Trouble::Partial) => {
            reset.cancel();
            std::future::pending().await
        }
    }
}

async fn pass(service: &S3Service, request: Request) -> Response {
    let request = request.map(s3s::Body::http_body_unsync);
    match service.call(request).await {
        Ok(response) => response.map(Body::new),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:?}")).into_response(),
    }
}

/// As S3 says it: the code in a document.
fn refused(status: u16) -> Response {
    let (code, message) = match status {
        409 => ("ConditionalRequestConflict", "another request was at it"),
        412 => ("PreconditionFailed", "there is such an object"),
        503 => ("SlowDown", "reduce your request rate"),
        _ => ("InternalError", "we encountered an internal error"),
    };
    let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [("content-type", "application/xml")], body).into_response()
}

/// The headers promise all of it; then the body breaks off.
fn half(response: Response) -> Response {
    let (parts, body) = response.into_parts();
    let broken = futures::stream::once(async move {
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        Ok::<Bytes, std::io::Error>(bytes.slice(..bytes.len() / 2))
    });
    let end = futures::stream::once(async { Err(std::io::Error::other("broken off")) });
    Response::from_parts(parts, Body::from_stream(futures::StreamExt::chain(broken, end)))
}
