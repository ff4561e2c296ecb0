//! A webhook for dead letters: a real HTTP server with scripted answers.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;

use super::site::awaited;

/// A call as it came in.
pub(crate) struct Call {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Call {
    /// A header; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A running server; dropped, it is gone.
pub(crate) struct Pager {
    address: std::net::SocketAddr,
    calls: UnboundedReceiver<Call>,
    takes: Arc<AtomicBool>,
    serving: JoinHandle<()>,
}

type Seen = (UnboundedSender<Call>, Arc<AtomicBool>);

impl Pager {
    /// Starts it; it takes no call.
    pub(crate) async fn start() -> Self {
        let (tell, calls) = mpsc::unbounded_channel();
        let takes = Arc::new(AtomicBool::new(false));
        let router = axum::Router::new()
            .route("/{*path}", post(answer))
            .with_state::<()>((tell, Arc::clone(&takes)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        Self { address, calls, takes, serving }
    }

    /// URL to call, with `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// From now on it takes calls.
    pub(crate) fn take(&self) {
        self.takes.store(true, Ordering::Relaxed);
    }

    /// The next call.
    pub(crate) async fn next(&mut self) -> Call {
        awaited("a call", self.calls.recv()).await.unwrap()
    }
}

async fn answer(
    State((tell, takes)): State<Seen>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> StatusCode {
    // Before the call is told: the test may take the next one then.
    let taken = takes.load(Ordering::Relaxed);
    tell.send(Call { headers, body }).unwrap();
    if taken { StatusCode::ACCEPTED } else { StatusCode::BAD_GATEWAY }
}

impl Drop for Pager {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
