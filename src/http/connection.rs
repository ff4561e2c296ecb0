//! State and deadlines of one connection.
//!
//! ```text
//! HEAD (from the start) ─► BUSY ─► IDLE ─► HEAD …
//! ```
//! hyper has one timer for the time between two requests and the head of the next one together. Here each has its own timer, and so have
//! writes that the client does not take.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::crowd::Crowd;
use super::problem;

/// Time in which an honest client sends the first bytes of a body, even on a slow line.
const PROMPT: Duration = Duration::from_secs(1);

/// Least rate in bytes per second at which a client takes an answer that it kept waiting. The default for bodies of uploads too.
const WRITE_RATE_MIN: u64 = 500;

/// Timeouts of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For the head of a request, from its first byte. For the first request, from the start of the connection.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// While the client takes no byte of an answer, or fewer than [`WRITE_RATE_MIN`].
    pub write: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The connection waits for a request.
    Idle(Instant),
    /// The client is sending the head of a request.
    Head(Instant),
    /// A request is in progress, or its answer is being sent.
    Busy,
}

#[derive(Debug)]
struct State {
    turn: Turn,
    /// Since when the client takes hardly any bytes; `None` if it takes them.
    stuck: Option<Instant>,
    /// Bytes that it took since.
    taken: u64,
    /// Number among the idle connections; `None` if it is not idle.
    waiting: Option<u64>,
    /// Whether nothing has been done for the request yet, so that its place may be given away.
    yields: bool,
    /// Bytes of the head of a request have come.
    begun: bool,
    /// Why the server closes it; `None` where the client does.
    closing: Option<Closing>,
}

/// Why the server closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// The head of a request did not come in time.
    Head,
    /// No request came for too long.
    Idle,
    /// The client took nothing of an answer for too long.
    Write,
    /// Its place was wanted for another.
    Crowded,
    /// The server stops.
    Stopping,
}

impl Closing {
    /// Word for it in metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Idle => "idle",
            Self::Write => "write",
            Self::Crowded => "crowded",
            Self::Stopping => "drain",
        }
    }
}

impl State {
    /// Notes what a write to the socket gave. A client that takes a few bytes now and then is as stuck as one that takes none, because the
    /// place of its request is as long in use.
    fn wrote(&mut self, poll: &Poll<io::Result<usize>>, now: Instant) {
        match (poll, self.stuck) {
            (Poll::Pending, None) => (self.stuck, self.taken) = (Some(now), 0),
            (Poll::Ready(Ok(bytes)), Some(since)) => {
                self.taken = self.taken.saturating_add(*bytes as u64);
                if self.taken >= now.duration_since(since).as_secs() * WRITE_RATE_MIN {
                    self.stuck = None;
                }
            }
            (Poll::Pending, Some(_)) | (Poll::Ready(_), None) | (Poll::Ready(Err(_)), Some(_)) => {}
        }
    }

    fn deadline(&self, patience: Patience) -> Option<Instant> {
        if let Some(since) = self.stuck {
            return Some(since + patience.write);
        }
        match self.turn {
            Turn::Idle(since) => Some(since + patience.idle),
            Turn::Head(since) => Some(since + patience.head),
            Turn::Busy => None,
        }
    }
}

/// State of a connection, shared by its socket, its requests and its watcher.
pub(super) struct Watch {
    state: Mutex<State>,
    crowd: Arc<Crowd>,
    close: CancellationToken,
}

impl Watch {
    /// A new connection.
    pub(super) fn new(crowd: Arc<Crowd>) -> Arc<Self> {
        let close = CancellationToken::new();
        let waiting = Some(crowd.enter(close.clone()));
        let turn = Turn::Head(Instant::now());
        let (stuck, yields, begun, closing) = (None, false, false, None);
        let taken = 0;
        let state = State { turn, stuck, taken, waiting, yields, begun, closing };
        Arc::new(Self { state: Mutex::new(state), crowd, close })
    }

    /// Begins a request. The connection is busy until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        let mut state = self.state();
        state.turn = Turn::Busy;
        state.begun = false;
        if let Some(turn) = state.waiting.take() {
            self.crowd.leave(turn);
        }
        Busy(Arc::clone(self))
    }

    /// Awaits the first bytes of a request before any work is done for it. If they take long, the connection's place may be given to
    /// another.
    pub(super) async fn before_work<T>(&self, sent: impl Future<Output = T>) -> T {
        let mut sent = std::pin::pin!(sent);
        if let Ok(sent) = timeout(PROMPT, sent.as_mut()).await {
            return sent;
        }
        let _yielding = Yielding::new(self);
        sent.await
    }

    /// Returns when the connection's place is needed for another.
    pub(super) async fn unwanted(&self) {
        self.close.cancelled().await;
    }

    /// The client took too long: why it is closed.
    pub(super) fn give_up(&self) {
        let mut state = self.state();
        state.closing = Some(match state.turn {
            _ if state.stuck.is_some() => Closing::Write,
            Turn::Head(_) if state.begun => Closing::Head,
            Turn::Head(_) | Turn::Idle(_) | Turn::Busy => Closing::Idle,
        });
    }

    /// Why it is closed, unless a reason is known already.
    pub(super) fn close_for(&self, why: Closing) {
        self.state().closing.get_or_insert(why);
    }

    /// Why the server closes it; `None` where the client does.
    pub(super) fn closing(&self) -> Option<Closing> {
        self.state().closing
    }

    /// Nothing is at work and nothing is left to be written.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        (state.turn != Turn::Busy || state.yields) && state.stuck.is_none()
    }

    /// When to check the deadlines next. `None` if the client exceeded one.
    pub(super) fn next_look(&self, patience: Patience) -> Option<Instant> {
        let now = Instant::now();
        // The state may change at any time.
        let soon = now + patience.head.min(patience.idle).min(patience.write);
        match self.state().deadline(patience) {
            Some(deadline) if deadline <= now => None,
            Some(deadline) => Some(deadline.min(soon)),
            None => Some(soon),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        let mut state = self.state();
        state.turn = Turn::Idle(Instant::now());
        state.waiting = Some(self.crowd.enter(self.close.clone()));
    }

    fn read(&self) {
        let mut state = self.state();
        if let Turn::Idle(_) = state.turn {
            state.turn = Turn::Head(Instant::now());
        }
        state.begun = state.turn != Turn::Busy;
    }

    fn wrote(&self, poll: &Poll<io::Result<usize>>) {
        self.state().wrote(poll, Instant::now());
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(turn) = self.state().waiting.take() {
            self.crowd.leave(turn);
        }
    }
}

/// While this lives, the place of a busy connection may be given to another.
struct Yielding<'a>(&'a Watch);

impl<'a> Yielding<'a> {
    fn new(watch: &'a Watch) -> Self {
        let mut state = watch.state();
        state.yields = true;
        state.waiting = Some(watch.crowd.enter(watch.close.clone()));
        drop(state);
        Self(watch)
    }
}

impl Drop for Yielding<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.yields = false;
        if let Some(turn) = state.waiting.take() {
            self.0.crowd.leave(turn);
        }
    }
}

/// A request in progress. The connection becomes idle when this is dropped.
pub(super) struct Busy(Arc<Watch>);

impl Busy {
    /// The answer, which holds the guard until it is sent or given up.
    pub(super) fn until_sent(self, answer: Response) -> Response {
        answer.map(|body| Body::new(Guarded { body, _busy: self }))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.end();
    }
}

struct Guarded {
    body: Body,
    _busy: Busy,
}

impl hyper::body::Body for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that notes what it reads and whether what it writes is taken. A head that came too late is answered when it is dropped: hyper,
/// which has the socket till then, closes without an answer.
pub(super) struct Watched {
    socket: TcpStream,
    watch: Arc<Watch>,
}

impl Watched {
    pub(super) fn new(socket: TcpStream, watch: Arc<Watch>) -> Self {
        Self { socket, watch }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.watch.closing() == Some(Closing::Head)
            && let Err(error) = self.socket.try_write(&problem::late_head())
        {
            tracing::debug!(%error, "a head that came too late is not answered");
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.watch.read();
        }
        poll
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.watch.wrote(&poll);
        poll
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.socket).poll_write_vectored(cx, pieces);
        self.watch.wrote(&poll);
        poll
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        head: Duration::from_secs(10),
        idle: Duration::from_secs(60),
        write: Duration::from_secs(30),
    };

    #[test]
    fn each_turn_has_its_own_patience() {
        let now = Instant::now();
        let state = |turn, stuck| State {
            turn,
            stuck,
            taken: 0,
            waiting: None,
            yields: false,
            begun: false,
            closing: None,
        };
        let due = |state: State| state.deadline(PATIENCE).map(|at| (at - now).as_secs());
        assert_eq!(due(state(Turn::Head(now), None)), Some(10));
        assert_eq!(due(state(Turn::Idle(now), None)), Some(60));
        assert_eq!(due(state(Turn::Busy, None)), None);
        // The last bytes of the answer are not yet taken.
        assert_eq!(due(state(Turn::Busy, Some(now))), Some(30));
        assert_eq!(due(state(Turn::Idle(now), Some(now))), Some(30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_few_bytes_now_and_then_is_stuck() {
        let watch = Watch::new(Crowd::new(1));
        let _busy = watch.begin();
        let (pending, wrote) = (Poll::Pending, |bytes| Poll::Ready(Ok(bytes)));
        watch.wrote(&pending);
        for _ in 0..2 {
            tokio::time::advance(Duration::from_secs(14)).await;
            assert!(watch.next_look(PATIENCE).is_some());
            watch.wrote(&wrote(100));
            watch.wrote(&pending);
        }
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!(watch.next_look(PATIENCE).is_none(), "it took 200 bytes in 31 s");
        watch.wrote(&wrote(64 << 10));
        assert!(watch.next_look(PATIENCE).is_some(), "a player that was paused reads on");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_at_work_is_no_idle_connection() {
        let crowd = Crowd::new(1);
        let watch = Watch::new(crowd.clone());
        let busy = watch.begin();
        crowd.close_one();
        assert!(!watch.is_idle() && !watch.close.is_cancelled());
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(watch.next_look(PATIENCE).is_some());
        drop(busy);
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(watch.next_look(PATIENCE).is_some());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(watch.next_look(PATIENCE).is_none());
        assert!(!watch.close.is_cancelled());
        crowd.close_one();
        assert!(watch.close.is_cancelled());
    }
}
