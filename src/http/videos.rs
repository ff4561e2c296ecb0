//! `POST /v1/videos`: takes a file as the body of a request and answers once it is on disk, synced.
//!
//! Invariant: a 2xx is sent only after the state says QUEUED and names every part. From then on state is the truth; the
//! announcement is a hint that can be repeated.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::header::{
    CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use jetreel_actors::crash;
use jetreel_actors::ports::{Swap, WriteOnce};
use jetreel_domain::failure::Failure;
use jetreel_domain::id::{OrderId, VideoId};
use jetreel_domain::lane::Lane;
use jetreel_domain::message::Uploaded;
use jetreel_domain::printable::printable;
use jetreel_domain::signature;
use jetreel_domain::state::{Order, Source, Status, Video};
use serde::Deserialize;
use tokio::sync::SemaphorePermit;

use super::asking::soon;
use super::connection::Watch;
use super::disposition::file_name;
use super::pace::{BodyError, paced};
use super::problem::Problem;
use super::{Gateway, Seen};
use crate::store::{UploadError, store_parts};

/// Characters of a title that are kept.
const TITLE_LENGTH_MAX: usize = 200;
/// Tries of a compare-and-set before the gateway gives up: only a cancel competes with it.
const SWAP_TRIES: usize = 8;
/// Bytes that must be there before anything is created, so that clients that send next to nothing cost next to nothing.
const BEGINNING_BYTES: u64 = 64 << 10;
/// Longest wait of an upload for a place among those that write.
const PLACE_WAIT: Duration = Duration::from_secs(10);
/// The order that an upload opens.
const FIRST: u32 = 1;

/// Query of an upload.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    title: Option<String>,
    lane: Option<Lane>,
}

/// Takes an upload.
pub(super) async fn create(
    State(gateway): State<Arc<Gateway>>,
    query: Result<Query<Params>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Query(params) = query.map_err(|_| bad_query())?;
    let headers = request.headers();
    admit(&gateway, headers)?;
    let upload = Upload {
        gateway,
        title: title(params.title.as_deref(), headers),
        lane: params.lane.unwrap_or_default(),
        watch: request.extensions().get().cloned(),
        body: request.into_body(),
    };
    // A task of its own: when the client goes away, what has arrived is still cleared up.
    let done = tokio::spawn(upload.take()).await;
    let order = done.map_err(|error| crashed(&error))??;
    crash::point("upload-before-answer");
    Ok(accepted(&order))
}

fn crashed(error: &tokio::task::JoinError) -> Failure {
    Failure::task(
        "upload-crashed",
        "The upload could not be taken because of a fault in Jetreel. Send it again.",
    )
    .with_detail(error)
}

fn bad_query() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "bad-query",
        "The query takes `title` (text) and `lane` (high, normal or low), and nothing else. Send the file itself as the body.",
    )
}

fn admit(gateway: &Gateway, headers: &HeaderMap) -> Result<(), Problem> {
    if gateway.is_draining() {
        let problem = Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "draining",
            "This node is going down. Send the upload again, another node will take it.",
        );
        return Err(problem.retry_after(5));
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    check_media_type(text(CONTENT_TYPE).unwrap_or_default())?;
    check_encoding(headers)?;
    match text(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok()) {
        Some(0) => Err(empty()),
        Some(bytes) if bytes > gateway.upload_bytes_max => Err(too_large(gateway.upload_bytes_max)),
        Some(_) | None => Ok(()),
    }
}

/// Names of media types are the same whatever their case.
fn check_media_type(text: &str) -> Result<(), Problem> {
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = essence == "application/json" || essence.ends_with("+json");
    if !is_json && !essence.starts_with("multipart/") {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "The body has a form that is not taken. Send the file itself as the body, as in curl --data-binary @video.mp4 -H 'content-type: video/mp4' …/v1/videos.",
    ))
}

/// A body that is compressed on its way would be taken for a file that is no video.
fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let values = headers.get_all(CONTENT_ENCODING).iter();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let names: Vec<String> = values.map(text).collect();
    let plain = |name: &str| name.is_empty() || name.eq_ignore_ascii_case("identity");
    if names.iter().flat_map(|names| names.split(',')).all(|name| plain(name.trim())) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "content-encoding",
        "The body is compressed, as its header Content-Encoding says. Send the file as it is, without that header.",
    ))
}

fn empty() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "empty-upload",
        "The file is empty. The body of the request is the file itself: send the bytes of the video as the body.",
    )
}

fn too_large(limit: u64) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too-large",
        format!(
            "An upload may have {limit} bytes. The operator can raise limits.upload-bytes-max."
        ),
    )
}

fn accepted(order: &OrderId) -> Response {
    let job = format!("/v1/jobs/{order}");
    let body = serde_json::json!({
        "id": order.to_string(),
        "video": order.video,
        "status": Status::Queued,
        "job": job,
        "player": format!("/watch/{}", order.video),
        "playback": format!("/v/{}/master.m3u8", order.video),
    });
    let headers = [(LOCATION, job), (RETRY_AFTER, "1".to_owned())];
    (StatusCode::ACCEPTED, headers, Json(body)).into_response()
}

struct Upload {
    gateway: Arc<Gateway>,
    title: String,
    lane: Lane,
    /// The connection that it comes by.
    watch: Option<Arc<Watch>>,
    body: Body,
}

impl Upload {
    async fn take(self) -> Result<OrderId, Problem> {
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
        let prefix = format!("raw/{}", video.id);
        let part_bytes = gateway.part_bytes;
        let limit = gateway.upload_bytes_max;
        let stored = store_parts(&*ports.store, &prefix, body, part_bytes, limit).await;
        let (parts, bytes) = match stored {
            Ok(stored) => stored,
            Err(error) => {
                give_up(&gateway, &video.id).await;
                return Err(refused(error));
            }
        };
        crash::point("upload-before-queue");
        let source = Source { bytes, parts };
        if !queue(&gateway, &video.id, &source).await? {
            remove(&gateway, &source).await;
            return Err(cancelled());
        }
        crash::point("upload-after-queue");
        // Not confirmed before it is announced: a confirmed upload must not wait for somebody to notice it.
        let upload = Uploaded { unrecognised, ..Uploaded::new(video.id.clone(), FIRST, lane) };
        ports.broker.announce_upload(&upload).await?;
        crash::point("upload-after-announce");
        let waited = last_byte.lock().map_or(0.0, |at| at.elapsed().as_secs_f64());
        (gateway.hooks.seen)(Seen::Upload { bytes, confirmation_seconds: waited });
        Ok(video.order_id(FIRST))
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

/// `false`: the video was cancelled meanwhile.
async fn queue(gateway: &Gateway, id: &VideoId, source: &Source) -> Result<bool, Failure> {
    let change = |video: &mut Video, now| {
        video.source = source.clone();
        video.advance(FIRST, Status::Queued, now)
    };
    if change_video(gateway, id, change).await? {
        return Ok(true);
    }
    // An earlier try may have been stored although its answer was lost, and the order may be well on its way by now.
    let found = gateway.ports.broker.video(id).await?;
    let ours = |video: &Video| {
        let cancelled = |order: &Order| order.status == Status::Cancelled;
        video.source == *source && !video.order(FIRST).is_none_or(cancelled)
    };
    Ok(found.is_some_and(|found| ours(&found.value)))
}

/// Removes what arrived for a video that is not wanted any more. What cannot be removed is left to the sweeper.
async fn remove(gateway: &Gateway, source: &Source) {
    for part in &source.parts {
        if let Err(failure) = gateway.ports.store.delete(&part.key).await {
            tracing::debug!(%failure, key = part.key, "left an upload part to the sweeper");
        }
    }
}

fn cancelled() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "upload-cancelled",
        "The video was cancelled while its bytes arrived. Send it again if that was a mistake.",
    )
}

/// Closes a video whose bytes did not arrive. Where this fails too, it stays RECEIVING and harms nobody.
async fn give_up(gateway: &Gateway, id: &VideoId) {
    let change = |video: &mut Video, now| video.advance(FIRST, Status::Cancelled, now);
    if let Err(problem) = change_video(gateway, id, change).await {
        tracing::warn!(video = %id, ?problem, "an upload that broke off stays RECEIVING");
    }
}

/// Compare-and-set until it holds. `false`: the state machine has no such move.
async fn change_video<E>(
    gateway: &Gateway,
    id: &VideoId,
    change: impl Fn(&mut Video, i64) -> Result<(), E>,
) -> Result<bool, Failure> {
    let broker = &gateway.ports.broker;
    for _ in 0..SWAP_TRIES {
        let Some(mut read) = broker.video(id).await? else { return Ok(false) };
        if change(&mut read.value, gateway.ports.environment.now()).is_err() {
            return Ok(false);
        }
        if let Swap::Done(_) = broker.swap_video(&read.value, read.revision).await? {
            return Ok(true);
        }
    }
    Err(Failure::dependency("state-busy", "The state of the video changes too fast. Try again."))
}

/// The title that a query names, else the file's name.
fn title(asked: Option<&str>, headers: &HeaderMap) -> String {
    let named = || file_name(headers.get(CONTENT_DISPOSITION)?.as_bytes());
    let asked = asked.map(clean).filter(|title| !title.is_empty());
    asked.or_else(|| named().as_deref().map(clean)).unwrap_or_default()
}

/// A title is for people only: bounded, and printable.
fn clean(title: &str) -> String {
    let kept: String = printable(title).trim().chars().take(TITLE_LENGTH_MAX).collect();
    kept.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_plain_file_is_known_whatever_its_case() {
        for bad in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "Multipart/Form-Data",
            "application/ld+json",
        ] {
            assert!(check_media_type(bad).is_err(), "{bad}");
        }
        for good in
            ["", "video/mp4", "application/octet-stream", "application/x-www-form-urlencoded"]
        {
            assert_eq!(check_media_type(good), Ok(()), "{good}");
        }
        let encoded = |names: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, names.parse().unwrap());
            check_encoding(&headers)
        };
        assert!(encoded("gzip").is_err() && encoded("identity, BR").is_err());
        assert_eq!((encoded("identity"), encoded("")), (Ok(()), Ok(())));
    }

    #[test]
    fn a_title_is_bounded_and_printable() {
        assert_eq!(clean(" A/B \u{7}test "), "A/B test");
        assert_eq!(clean("gpj.\u{202e}4pm"), "gpj.4pm");
        assert_eq!(clean(&"é".repeat(999)).chars().count(), TITLE_LENGTH_MAX);
        assert_eq!(clean(&format!("{}b c", "a ".repeat(99))).len(), TITLE_LENGTH_MAX - 1);
    }

    #[test]
    fn a_title_that_is_asked_for_wins_over_the_name_of_the_file() {
        let mut headers = HeaderMap::new();
        let named =
            axum::http::HeaderValue::from_bytes("attachment; filename=\"d/ф;.mp4\"".as_bytes());
        headers.insert(CONTENT_DISPOSITION, named.unwrap());
        assert_eq!(title(Some("asked"), &headers), "asked");
        assert_eq!(title(Some(" "), &headers), "ф;.mp4");
        assert_eq!(title(None, &headers), "ф;.mp4");
        assert_eq!(title(None, &HeaderMap::new()), "");
    }
}
