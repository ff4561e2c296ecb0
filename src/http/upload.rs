//! Handles one upload from its first byte until it is queued.
//!
//! Invariants: a 2xx is sent only after the state is QUEUED and names the list of every part. From then on the state is the truth, and the
//! announcement is a hint that can be repeated. After any other answer the video is cancelled as soon as the broker answers, also if its
//! state is QUEUED by then, because the client sends the upload again. Received objects are removed only after the state shows that no
//! worker uses them.
//!
//! While bytes arrive, a part waits for the broker as long as a stage does, so a long upload outlives a restart of the broker. The client
//! waits from its last byte on: then every request to the broker has a deadline.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use jetreel_actors::event::Event;
use jetreel_actors::ports::{Broker, PortFuture, Ports, WriteOnce};
use jetreel_actors::{change, crash};
use jetreel_domain::delivery::message::Uploaded;
use jetreel_domain::delivery::signature;
use jetreel_domain::id::{OrderId, VideoId};
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::ledger::Object;
use jetreel_domain::order::owner_name::OwnerName;
use jetreel_domain::order::parts::{LoggedPart, PartList, VERSION};
use jetreel_domain::order::state::{Source, Status, Video};
use jetreel_domain::words::failure::{Failure, Severity};
use tokio::sync::{SemaphorePermit, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::field::display;
use tracing::{Instrument as _, Span};

use super::asking::{PATIENCE, broker_timeout, soon, soon_or_later};
use super::connection::Watch;
use super::pace::{BodyError, paced};
use super::parts::{PartLog, Place, UploadError, store_parts};
use super::problem::Problem;
use super::videos::{empty, too_large};
use super::{Gateway, Seen};

/// Bytes that must arrive before anything is created, so that clients that send next to nothing cost next to nothing.
const BEGINNING_BYTES: u64 = 64 << 10;
/// Longest wait of an upload for a permit to write.
const PLACE_WAIT: Duration = Duration::from_secs(10);
/// Longest wait of a client for the announcement of its upload, which is queued by then.
const ANNOUNCEMENT_WAIT: Duration = Duration::from_secs(1);
/// Longest wait of a client whose upload failed for whether it is queued after all, because only the answer of the broker was lost.
const LAST_LOOK: Duration = Duration::from_millis(1200);
/// An upload that failed is given up for this long, where the broker is away; then it is left to the reconciler.
const GIVING_UP_WAIT: Duration = Duration::from_secs(15 * 60);
const GIVING_UP_PAUSE: Duration = Duration::from_secs(1);
/// Number of the order that an upload opens.
const FIRST: u32 = 1;

/// An upload request.
pub(super) struct Upload {
    pub(super) gateway: Arc<Gateway>,
    pub(super) title: String,
    pub(super) lane: Lane,
    pub(super) owner: OwnerName,
    /// The connection of the upload; `None` if the server does not watch it.
    pub(super) watch: Option<Arc<Watch>>,
    pub(super) body: Body,
}

impl Upload {
    /// Receives all bytes. Returns the queued order.
    pub(super) async fn take(self) -> Result<OrderId, Problem> {
        let Self { gateway, title, lane, owner, watch, body } = self;
        let ports = &gateway.ports;
        // Checked before the first byte: an upload that cannot be stored is refused at once.
        soon(ports.broker.check()).await?;
        let mut body = std::pin::pin!(paced(body.into_data_stream(), gateway.pace));
        // Nothing is created for an empty body, with or without a declared length, or for one that ends at once.
        let beginning = Beginning::of(&mut body, gateway.part_bytes);
        let beginning = match watch {
            Some(watch) => watch.before_work(beginning).await?,
            None => beginning.await?,
        };
        let _place = beginning.place(&gateway).await?;
        let now = ports.environment.now();
        let trace = ports.environment.traced().map(|span| span.to_string()).unwrap_or_default();
        let video = Video { owner, trace, ..Video::receiving(new_id(), title, lane, now) };
        Span::current().record("jetreel.video", display(&video.id));
        create(&gateway, &video).await?;
        let course = Arc::new(Course::new());
        let unrecognised = !signature::is_plausible(&beginning.head());
        let begun = futures::stream::iter(beginning.pieces.into_iter().map(Ok));
        let body = course.clone().watch(begun.chain(body));
        let mut arrival = Arrival::new(gateway.clone(), video.id.clone());
        if let Err(problem) = arrival.queue(&course, body).await
            && !arrival.turns_out_queued().await
        {
            return Err(problem);
        }
        crash::point("upload-after-queue");
        let upload = Uploaded { unrecognised, ..Uploaded::new(video.id.clone(), FIRST, lane) };
        announce(&gateway.ports, upload).await;
        let confirmation_seconds = course.since_last_byte().as_secs_f64();
        (gateway.hooks.seen)(Seen::Upload { bytes: course.bytes(), confirmation_seconds });
        Ok(video.order_id(FIRST))
    }
}

/// Creates the state of a video. Where it is created too late for the client, it is cancelled.
async fn create(gateway: &Arc<Gateway>, video: &Video) -> Result<(), Problem> {
    let (ports, new) = (gateway.ports.clone(), video.clone());
    let arrival = Arrival::new(gateway.clone(), video.id.clone());
    let creating = async move { ports.broker.create_video(&new).await };
    let late = async move |created| {
        if !matches!(created, Ok(WriteOnce::Taken)) {
            arrival.give_up(None).await;
        }
    };
    match soon_or_later(creating, late).await? {
        WriteOnce::Mine => Ok(()),
        WriteOnce::Taken => {
            let message = "The id of the new video is taken. Try again.";
            Err(Failure::task("id-taken", message).into())
        }
    }
}

/// A video whose bytes arrive.
struct Arrival {
    gateway: Arc<Gateway>,
    id: VideoId,
    /// All parts, once they are stored.
    list: Option<PartList>,
    /// The stored list; `None` until it is written.
    source: Option<Source>,
}

impl Arrival {
    fn new(gateway: Arc<Gateway>, id: VideoId) -> Self {
        Self { gateway, id, list: None, source: None }
    }

    /// Stores all parts and their list, and names it in state.
    async fn queue(
        &mut self,
        course: &Course,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    ) -> Result<(), Problem> {
        let (gateway, ports) = (&self.gateway, &self.gateway.ports);
        let store = ports.store.as_ref();
        let place = Place {
            store,
            log: &Log { broker: ports.broker.as_ref(), video: &self.id, course },
            prefix: &format!("raw/{}", self.id),
            part_bytes: gateway.part_bytes,
            limit: gateway.upload_bytes_max,
        };
        let list = self.list.insert(store_parts(&place, body).await.map_err(refused)?);
        crash::point("upload-before-list");
        let source =
            jetreel_actors::parts::write(store, &ports.environment.uuid(), &self.id, list).await?;
        let source = self.source.insert(source);
        crash::point("upload-before-queue");
        let now = ports.environment.now();
        let found = soon(change::video(ports, &self.id, |video| {
            video.source = source.clone();
            Ok(video.advance(FIRST, Status::Queued, now).is_ok())
        }))
        .await?;
        // The state did not advance. Either the upload was cancelled, or an earlier try was stored although its answer was lost.
        if found.is_some_and(|video| is_open(&video)) { Ok(()) } else { Err(cancelled()) }
    }

    /// Gives the video up. `true`: its state says that it is queued, although the answer that said so was lost, and it stays. Where that
    /// takes long, the client is answered first.
    async fn turns_out_queued(self) -> bool {
        let (tell, mut told) = oneshot::channel();
        tokio::spawn(self.give_up(Some(tell)));
        if let Ok(ended) = tokio::time::timeout(LAST_LOOK, &mut told).await {
            return ended.is_ok();
        }
        told.close();
        told.try_recv().is_ok()
    }

    /// Cancels the video and removes what arrived. Where it is queued already, whoever listens is told, and nothing is changed; where
    /// nobody listens any more, it is cancelled all the same.
    async fn give_up(self, queued: Option<oneshot::Sender<()>>) {
        let began = Instant::now();
        let mut queued = queued;
        loop {
            match self.close(queued.as_ref()).await {
                Ok(Closed::Queued) => {
                    // Otherwise the client was answered a moment ago.
                    if let Some(Ok(())) = queued.take().map(|queued| queued.send(())) {
                        return;
                    }
                }
                Ok(Closed::Unread) => break,
                Ok(Closed::Read) => return,
                Err(failure) => {
                    let passes = failure.severity == Severity::DependencyFault;
                    if !passes || began.elapsed() > GIVING_UP_WAIT {
                        // The reconciler gives it up, or goes on with it where it is queued.
                        tracing::warn!(video = %self.id, %failure, "the state of a failed upload could not be changed");
                        return;
                    }
                    tokio::time::sleep(GIVING_UP_PAUSE).await;
                }
            }
        }
        self.remove().await;
        if let Err(failure) = self.gateway.ports.broker.forget_parts(&self.id).await {
            tracing::debug!(%failure, video = %self.id, "the part log of an upload could not be removed; the reconciler will remove it");
        }
    }

    async fn close(&self, queued: Option<&oneshot::Sender<()>>) -> Result<Closed, Failure> {
        let ports = &self.gateway.ports;
        let now = ports.environment.now();
        let (mut receives, mut cancelled) = (false, false);
        let closed = change::video(ports, &self.id, |video| {
            let status = video.order(FIRST).map(|order| order.status);
            receives = status == Some(Status::Receiving);
            let untold = queued.is_none_or(oneshot::Sender::is_closed);
            cancelled = (receives || untold) && video.cancel(FIRST, now).is_ok();
            Ok(cancelled)
        });
        let video = closed.await?;
        if let Some(video) = video.as_ref().filter(|_| cancelled) {
            self.tell(video).await;
        }
        Ok(match video {
            // What a queued video names is removed by the reconciler.
            Some(_) if cancelled && !receives => Closed::Read,
            Some(video) if is_open(&video) && queued.is_some() => Closed::Queued,
            // It ended before it could be cancelled.
            Some(video) if is_open(&video) => Closed::Read,
            Some(_) | None => Closed::Unread,
        })
    }

    async fn tell(&self, video: &Video) {
        let ports = &self.gateway.ports;
        let (order, to) = (video.order_id(FIRST), Status::Cancelled);
        ports.environment.emit(Event::OrderMoved { order, to });
        crash::point("breakoff-after-cancel");
        if let Err(failure) = change::announce(ports, video).await {
            ports.environment.emit(Event::StageFault { stage: "gateway", failure });
        }
    }

    /// Removes the objects. Those that cannot be removed are left to the sweep.
    async fn remove(&self) {
        let list = self.source.iter().filter_map(|source| Some(source.list.as_ref()?.key.clone()));
        let parts = self.list.iter().flat_map(PartList::iter).map(|part| part.key());
        for key in list.chain(parts) {
            if let Err(failure) = self.gateway.ports.store.delete(&key).await {
                tracing::debug!(%failure, key, "an upload part could not be removed; the sweep will remove it");
            }
        }
    }
}

/// State of a video that was given up.
enum Closed {
    /// It is queued, or further, and was left so.
    Queued,
    /// Nobody reads what arrived.
    Unread,
    /// State names what arrived, and somebody may read it.
    Read,
}

/// Whether all bytes are there, and the video was not cancelled since.
fn is_open(video: &Video) -> bool {
    let status = video.order(FIRST).map(|order| order.status);
    status.is_some_and(|status| !matches!(status, Status::Receiving | Status::Cancelled))
}

/// Announces a queued upload, and removes its log. A client does not wait long: where it cannot be announced, the reconciler does it.
async fn announce(ports: &Ports, upload: Uploaded) {
    let ports = ports.clone();
    let video = upload.video.clone();
    let announced = tokio::spawn({
        let ports = ports.clone();
        let announcing = async move {
            if let Err(failure) = ports.broker.announce_upload(&upload).await {
                ports.environment.emit(Event::StageFault { stage: "gateway", failure });
            }
            crash::point("upload-after-announce");
        };
        announcing.in_current_span()
    });
    if tokio::time::timeout(ANNOUNCEMENT_WAIT, announced).await.is_err() {
        tracing::warn!(%video, "an upload is queued, but its announcement is not confirmed yet");
    }
    tokio::spawn(async move {
        if let Err(failure) = ports.broker.forget_parts(&video).await {
            tracing::debug!(%failure, %video, "the part log of an upload could not be removed; the reconciler will remove it");
        }
    });
}

/// The part log of one upload.
struct Log<'a> {
    broker: &'a dyn Broker,
    video: &'a VideoId,
    course: &'a Course,
}

impl PartLog for Log<'_> {
    fn note<'a>(&'a self, index: u32, part: &'a Object) -> PortFuture<'a, ()> {
        Box::pin(async move {
            let (video, object) = (self.video.clone(), part.clone());
            let logged = LoggedPart { v: VERSION, video, index, object };
            let noted = tokio::select! {
                noted = self.broker.log_part(&logged) => noted,
                () = self.course.waited_for(PATIENCE) => Err(broker_timeout()),
            };
            match noted? {
                WriteOnce::Mine => Ok(()),
                WriteOnce::Taken => {
                    let message = "Another node writes the same upload. Send it again.";
                    Err(Failure::task("upload-taken", message).with_detail(index))
                }
            }
        })
    }
}

/// The first bytes of a body. Until they have arrived, an upload uses only its connection.
struct Beginning {
    pieces: Vec<Bytes>,
}

impl Beginning {
    /// Waits for [`BEGINNING_BYTES`], a part, or the end of the body.
    async fn of(
        body: &mut (impl Stream<Item = Result<Bytes, BodyError>> + Unpin),
        part_bytes: u64,
    ) -> Result<Self, Problem> {
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        while bytes < BEGINNING_BYTES.min(part_bytes)
            && let Some(piece) = body.next().await
        {
            let piece = piece.map_err(|error| broken_off(&error))?;
            bytes += piece.len() as u64;
            if !piece.is_empty() {
                pieces.push(piece);
            }
        }
        if pieces.is_empty() { Err(empty()) } else { Ok(Self { pieces }) }
    }

    /// The bytes in one piece.
    fn head(&self) -> Vec<u8> {
        self.pieces.concat()
    }

    /// Waits for a permit to write.
    async fn place<'a>(&self, gateway: &'a Gateway) -> Result<SemaphorePermit<'a>, Problem> {
        match tokio::time::timeout(PLACE_WAIT, gateway.uploads.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => {
                let detail = "Too many uploads are under way. Send the upload again in a moment.";
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Err(Problem::new(status, "too-many-uploads", detail).retry_after(5))
            }
        }
    }
}

/// The course of a body: its bytes, when the last one came, and whether it was the last.
struct Course {
    bytes: AtomicU64,
    last_byte: Mutex<Instant>,
    ended: CancellationToken,
}

impl Course {
    fn new() -> Self {
        let last_byte = Mutex::new(Instant::now());
        Self { bytes: AtomicU64::new(0), last_byte, ended: CancellationToken::new() }
    }

    fn watch<E>(
        self: Arc<Self>,
        body: impl Stream<Item = Result<Bytes, E>>,
    ) -> impl Stream<Item = Result<Bytes, E>> {
        let ending = self.clone();
        let body = body.inspect(move |piece| {
            let bytes = piece.as_ref().map_or(0, |piece| piece.len() as u64);
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            *self.last_byte.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        });
        body.chain(futures::stream::poll_fn(move |_| {
            ending.ended.cancel();
            Poll::Ready(None)
        }))
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// For the promise of a quick confirmation.
    fn since_last_byte(&self) -> Duration {
        self.last_byte.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Resolves when the client has waited for that long, since its last byte.
    async fn waited_for(&self, time: Duration) {
        self.ended.cancelled().await;
        tokio::time::sleep(time).await;
    }
}

/// A time-ordered id, so that the newest videos are last in the bucket.
fn new_id() -> VideoId {
    VideoId::from_bits(uuid::Uuid::now_v7().as_u128())
}

fn broken_off(error: &BodyError) -> Problem {
    tracing::info!(%error, "the client broke off an upload");
    match error {
        BodyError::Broken(_) => Problem::new(
            StatusCode::BAD_REQUEST,
            "upload-broken-off",
            "The upload ended before its last byte, and nothing was kept. Send it again.",
        ),
        BodyError::Stalled => Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "upload-stalled",
            "No more bytes of the upload came in time, and nothing was kept. Send it again over a better connection.",
        ),
    }
}

fn refused(error: UploadError<BodyError>) -> Problem {
    match error {
        UploadError::TooLarge { limit } => too_large(limit),
        UploadError::Body(error) => broken_off(&error),
        UploadError::Store(failure) => failure.into(),
    }
}

fn cancelled() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "upload-cancelled",
        "The video was cancelled while its bytes arrived. Send it again if that was a mistake.",
    )
}
