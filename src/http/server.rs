//! Listens, bounds and times connections, and lets running requests end on shutdown.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Closing, Patience, Watch, Watched};
use super::crowd::Crowd;
use super::gateway::{OnSeen, Seen};

/// Connections that the kernel queues before they are accepted. It covers a burst, not a permanent queue.
const BACKLOG: u32 = 1024;
/// Pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Delay before a connection is closed for another: its request may have arrived and not been read yet.
const LAST_LOOK: Duration = Duration::from_millis(10);

/// Limits of a listener's connections.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Most simultaneous connections.
    pub connections: usize,
    /// Timeouts of a client.
    pub patience: Patience,
}

/// Binds an address and listens.
///
/// # Errors
/// The address cannot be bound.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `stop` is cancelled, then lets running requests end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    seen: OnSeen,
    stop: CancellationToken,
) {
    let crowd = Crowd::new(bounds.connections);
    let attended = TaskTracker::new();
    let taking = async {
        loop {
            let Some(socket) = accept(&listener, &crowd).await else { continue };
            let place = crowd.place().await;
            let watch = Watch::new(Arc::clone(&crowd));
            let connection = Connection { socket, watch, place, patience: bounds.patience };
            let open = Open::new(seen.clone(), connection.watch.clone());
            let attending = connection.attend(router.clone(), stop.clone());
            attended.spawn(async move {
                let _open = open;
                attending.await;
            });
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = taking => {}
    }
    // Closed at once, so that no client waits for a place on a node that shuts down.
    drop(listener);
    attended.close();
    attended.wait().await;
}

async fn accept(listener: &TcpListener, crowd: &Crowd) -> Option<TcpStream> {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    match listener.accept().await {
        Ok((socket, _)) => Some(socket),
        // The client gave up.
        Err(error)
            if [ConnectionAborted, ConnectionRefused, ConnectionReset].contains(&error.kind()) =>
        {
            None
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            crowd.close_one();
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// A connection that is counted as open.
struct Open {
    seen: OnSeen,
    watch: Arc<Watch>,
}

impl Open {
    fn new(seen: OnSeen, watch: Arc<Watch>) -> Self {
        seen(Seen::Connected);
        Self { seen, watch }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        (self.seen)(Seen::Disconnected { closing: self.watch.closing() });
    }
}

struct Connection {
    socket: TcpStream,
    watch: Arc<Watch>,
    /// Held as long as the connection lasts.
    place: OwnedSemaphorePermit,
    patience: Patience,
}

impl Connection {
    async fn attend(self, router: Router, stop: CancellationToken) {
        let Self { socket, watch, place: _place, patience } = self;
        // Answers are sent at once, without waiting for the client to acknowledge earlier data.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set on a connection");
        }
        let (router, asked) = (TowerToHyperService::new(router), Arc::clone(&watch));
        let service = service_fn(move |request: Request<Incoming>| {
            let busy = asked.begin();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Arc::clone(&asked));
            let answer = router.call(request);
            async move { answer.await.map(|answer| busy.until_sent(answer)) }
        });
        let mut http = http1::Builder::new();
        // The timeouts for heads and idle connections are enforced below, each by itself.
        http.timer(TokioTimer::new()).header_read_timeout(None);
        let io = TokioIo::new(Watched::new(socket, Arc::clone(&watch)));
        let mut served = std::pin::pin!(http.serve_connection(io, service));
        let mut leaving = false;
        loop {
            let Some(look) = watch.next_look(patience) else { return watch.give_up() };
            tokio::select! {
                _ended = served.as_mut() => return,
                () = tokio::time::sleep_until(look) => continue,
                () = watch.unwanted(), if !leaving => {
                    if tokio::time::timeout(LAST_LOOK, served.as_mut()).await.is_ok() {
                        return;
                    }
                    watch.close_for(Closing::Crowded);
                }
                () = stop.cancelled(), if !leaving => watch.close_for(Closing::Stopping),
            }
            if watch.is_idle() {
                return;
            }
            leaving = true;
            served.as_mut().graceful_shutdown();
        }
    }
}
