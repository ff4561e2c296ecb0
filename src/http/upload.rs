//! One upload, from its first byte until it is queued.
//!
//! Invariants: a 2xx is sent only after the state says QUEUED and names the list of every part. From then on state is the truth; the
//! announcement is a hint that can be repeated. What arrived is removed only after the state says that nobody works on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use jetreel_actors::event::Event;
use jetreel_actors::ports::{Broker, PortFuture, WriteOnce};
use jetreel_actors::{change, crash};
use jetreel_domain::delivery::message::Uploaded;
use jetreel_domain::delivery::signature;
use jetreel_domain::id::{OrderId, VideoId};
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::ledger::Object;
use jetreel_domain::order::parts::{LoggedPart, PartList, VERSION};
use jetreel_domain::order::state::{Source, Status, Video};
use jetreel_domain::words::failure::Failure;
use tokio::sync::SemaphorePermit;

use super::asking::soon;
use super::connection::Watch;
use super::pace::{BodyError, paced};
use super::parts::{PartLog, Place, UploadError, store_parts};
use super::problem::Problem;
use super::videos::{empty, too_large};
use super::{Gateway, Seen};

/// Bytes that must be there before anything is created, so that clients that send next to nothing cost next to nothing.
const BEGINNING_BYTES: u64 = 64 << 10;
/// Longest wait of an upload for a place among those that write.
const PLACE_WAIT: Duration = Duration::from_secs(10);
/// Longest wait of a client for the announcement of its upload, which is queued by then.
const ANNOUNCEMENT_WAIT: Duration = Duration::from_secs(1);
/// The order that an upload opens.
const FIRST: u32 = 1;

/// What is asked for.
pub(super) struct Upload {
    pub(super) gateway: Arc<Gateway>,
    pub(super) title: String,
    pub(super) lane: Lane,
    /// The connection that it comes by.
    pub(super) watch: Option<Arc<Watch>>,
    pub(super) body: Body,
}

impl Upload {
    /// Takes all bytes; gives the order that is queued then.
    pub(super) async fn take(self) -> Result<OrderId, Problem> {
        let Self { gateway, title, lane, watch, body } = self;
        let ports = &gateway.ports;
        // Before a byte is taken: an upload that cannot be kept is refused at once.
        soon(ports.broker.check()).await?;
        let mut body = std::pin::pin!(paced(body.into_data_stream(), gateway.pace));
        // Nothing is created for an empty body, whether or not its length was declared, nor for one that ends at once.
        let beginning = Beginning::of(&mut body, gateway.part_bytes);
        let beginning = match watch {
            Some(watch) => watch.before_work(beginning).await?,
            None => beginning.await?,
        };
        let _place = beginning.place(&gateway).await?;
        let video = Video::receiving(new_id(), title, lane, ports.environment.now());
        if soon(ports.broker.create_video(&video)).await? == WriteOnce::Taken {
            return Err(
                Failure::task("id-taken", "The id of the new video is taken. Try again.").into()
            );
        }
        let last_byte = Arc::new(std::sync::Mutex::new(Instant::now()));
        let unrecognised = !signature::is_plausible(&beginning.head());
        let begun = futures::stream::iter(beginning.pieces.into_iter().map(Ok));
        let body = clocked(begun.chain(body), last_byte.clone());
        let mut arrival = Arrival { gateway: &gateway, id: &video.id, list: None, source: None };
        if let Err(problem) = arrival.queue(body).await
            && !arrival.is_queued_after_all().await
        {
            return Err(problem);
        }
        crash::point("upload-after-queue");
        let upload = Uploaded { unrecognised, ..Uploaded::new(video.id.clone(), FIRST, lane) };
        announce(&gateway, upload).await;
        let waited = last_byte.lock().map_or(0.0, |at| at.elapsed().as_secs_f64());
        let bytes = arrival.list.as_ref().map_or(0, PartList::bytes);
        (gateway.hooks.seen)(Seen::Upload { bytes, confirmation_seconds: waited });
        Ok(video.order_id(FIRST))
    }
}

/// A video whose bytes arrive.
struct Arrival<'a> {
    gateway: &'a Gateway,
    id: &'a VideoId,
    /// All parts, once they are stored.
    list: Option<PartList>,
    /// Their list as an object, once it is stored.
    source: Option<Source>,
}

impl Arrival<'_> {
    /// Stores all parts and their list, and names it in state.
    async fn queue(
        &mut self,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    ) -> Result<(), Problem> {
        let (gateway, ports) = (self.gateway, &self.gateway.ports);
        let store = ports.store.as_ref();
        let place = Place {
            store,
            log: &Log { broker: ports.broker.as_ref(), video: self.id },
            prefix: &format!("raw/{}", self.id),
            part_bytes: gateway.part_bytes,
            limit: gateway.upload_bytes_max,
        };
        let list = self.list.insert(store_parts(&place, body).await.map_err(refused)?);
        crash::point("upload-before-list");
        let source =
            jetreel_actors::parts::write(store, &ports.environment.uuid(), self.id, list).await?;
        let source = self.source.insert(source);
        crash::point("upload-before-queue");
        let now = ports.environment.now();
        let found = change::video(ports, self.id, |video| {
            video.source = source.clone();
            Ok(video.advance(FIRST, Status::Queued, now).is_ok())
        })
        .await?;
        // Where it was not advanced, it was cancelled, or an earlier try was stored although its answer was lost.
        if found.is_some_and(|video| is_open(&video)) { Ok(()) } else { Err(cancelled()) }
    }

    /// Cancels the video and removes what arrived. `true`: its state says that it is queued, although the answer that said so was lost.
    async fn is_queued_after_all(&self) -> bool {
        let ports = &self.gateway.ports;
        let now = ports.environment.now();
        let mut cancelled = false;
        let closed = change::video(ports, self.id, |video| {
            let receives = |status| status == Status::Receiving;
            let receives = video.order(FIRST).is_some_and(|order| receives(order.status));
            cancelled = receives && video.cancel(FIRST, now).is_ok();
            Ok(cancelled)
        });
        match closed.await {
            Ok(Some(video)) if is_open(&video) => return true,
            Ok(Some(video)) if cancelled => self.tell(&video).await,
            Ok(_) => {}
            Err(failure) => {
                // The reconciler gives it up, or goes on with it where it is queued.
                tracing::warn!(video = %self.id, %failure, "an upload that failed stays as it is");
                return false;
            }
        }
        self.remove().await;
        if let Err(failure) = ports.broker.forget_parts(self.id).await {
            tracing::debug!(%failure, video = %self.id, "left the log of an upload to the reconciler");
        }
        false
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

    /// What cannot be removed is left to the sweeper.
    async fn remove(&self) {
        let list = self.source.iter().filter_map(|source| Some(source.list.as_ref()?.key.clone()));
        let parts = self.list.iter().flat_map(PartList::iter).map(|part| part.key());
        for key in list.chain(parts) {
            if let Err(failure) = self.gateway.ports.store.delete(&key).await {
                tracing::debug!(%failure, key, "left an upload part to the sweeper");
            }
        }
    }
}

/// Whether all bytes are there, and the video was not cancelled since.
fn is_open(video: &Video) -> bool {
    let status = video.order(FIRST).map(|order| order.status);
    status.is_some_and(|status| !matches!(status, Status::Receiving | Status::Cancelled))
}

/// Announces a queued upload, and removes its log. A client does not wait long: where it cannot be announced, the reconciler does it.
async fn announce(gateway: &Gateway, upload: Uploaded) {
    let ports = gateway.ports.clone();
    let video = upload.video.clone();
    let announced = tokio::spawn({
        let ports = ports.clone();
        async move {
            if let Err(failure) = ports.broker.announce_upload(&upload).await {
                ports.environment.emit(Event::StageFault { stage: "gateway", failure });
            }
            crash::point("upload-after-announce");
        }
    });
    if tokio::time::timeout(ANNOUNCEMENT_WAIT, announced).await.is_err() {
        tracing::warn!(%video, "an upload is queued, and its announcement takes long");
    }
    tokio::spawn(async move {
        if let Err(failure) = ports.broker.forget_parts(&video).await {
            tracing::debug!(%failure, %video, "left the log of an upload to the reconciler");
        }
    });
}

/// The log of one upload.
struct Log<'a> {
    broker: &'a dyn Broker,
    video: &'a VideoId,
}

impl PartLog for Log<'_> {
    fn note<'a>(&'a self, index: u32, part: &'a Object) -> PortFuture<'a, ()> {
        Box::pin(async move {
            let (video, object) = (self.video.clone(), part.clone());
            let logged = LoggedPart { v: VERSION, video, index, object };
            match self.broker.log_part(&logged).await? {
                WriteOnce::Mine => Ok(()),
                WriteOnce::Taken => {
                    let message = "Another node writes the same upload. Send it again.";
                    Err(Failure::task("upload-taken", message).with_detail(index))
                }
            }
        })
    }
}

/// The first bytes of a body. Until they are there, an upload holds nothing but its connection.
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

    /// In one piece.
    fn head(&self) -> Vec<u8> {
        self.pieces.concat()
    }

    /// A place among the uploads that write.
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

/// Notes when the last byte came, for the promise of a quick confirmation.
fn clocked<E>(
    body: impl Stream<Item = Result<Bytes, E>>,
    last_byte: Arc<std::sync::Mutex<Instant>>,
) -> impl Stream<Item = Result<Bytes, E>> {
    body.inspect(move |_| {
        if let Ok(mut at) = last_byte.lock() {
            *at = Instant::now();
        }
    })
}

/// Time-ordered, so that the newest videos are last in the bucket.
fn new_id() -> VideoId {
    VideoId::from_bits(uuid::Uuid::now_v7().as_u128())
}

fn broken_off(error: &BodyError) -> Problem {
    tracing::info!(%error, "upload broken off");
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
