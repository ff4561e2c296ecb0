//! Stored objects as answers, with single ranges and conditional requests. Memory does not grow with the object.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use jetreel_actors::ports::Store;
use jetreel_domain::words::failure::Failure;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::{self, Permit, Receiver, Sender};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

use super::Gateway;
use super::problem::Problem;
use super::range::{Wanted, wanted};

/// Up to so many bytes are read at once, and leave together with the head of the answer.
const READ_BYTES: u64 = 1 << 20;
/// A client that takes nothing for this long holds no place any more: what it takes then is read from there.
const UNTAKEN_WAIT: Duration = Duration::from_secs(1);
/// Where all places are taken, a longer read gives its place to the next one after this time.
const TURN: Duration = Duration::from_secs(1);

/// How long clients may cache an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// Forever: the content under this address never changes.
    Immutable,
    /// Clients must revalidate each time, which costs a 304.
    Revalidate,
}

impl Freshness {
    fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Immutable => "public, max-age=31536000, immutable",
            Self::Revalidate => "no-cache",
        })
    }
}

/// Media type of a file name.
pub(super) fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("m3u8") => "application/vnd.apple.mpegurl",
        Some("mp4" | "m4s" | "cmfv") => "video/mp4",
        Some("m4a" | "cmfa") => "audio/mp4",
        Some("jpg") => "image/jpeg",
        Some("vtt") => "text/vtt; charset=utf-8",
        Some("json") => "application/json",
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some(_) | None => "application/octet-stream",
    }
}

/// Answers with a stored object. `size` is `None` if it is not known.
pub(super) async fn stored(
    gateway: &Gateway,
    key: String,
    size: Option<u64>,
    request: &HeaderMap,
    freshness: Freshness,
) -> Result<Response, Problem> {
    let source = Source { store: gateway.ports.store.clone(), reads: gateway.reads.clone(), key };
    // A key is written once, so it identifies its content.
    let etag = etag(source.key.as_bytes());
    let size = match size {
        // The read shows whether the object exists.
        Some(size) => size,
        None => source.size().await?.ok_or_else(no_such_object)?,
    };
    if let Some(unchanged) = unchanged(request, &etag, freshness) {
        return Ok(unchanged);
    }
    let same = request.get(IF_RANGE).is_none_or(|value| value.as_bytes() == etag.as_bytes());
    let range = request.get(RANGE).filter(|_| same).and_then(|value| value.to_str().ok());
    let (status, range) = match wanted(range, size) {
        Wanted::All => (StatusCode::OK, 0..size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Outside => return Ok(outside(size)),
    };
    let mut headers = head(media_type(&source.key), &etag, freshness);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    if status == StatusCode::PARTIAL_CONTENT {
        headers.insert(
            CONTENT_RANGE,
            content_range(&format!("{}-{}", range.start, range.end - 1), size),
        );
    }
    Ok((status, headers, source.body(range).await?).into_response())
}

fn no_such_object() -> Problem {
    Problem::not_found("no-such-object", "There is no such object. Reload the playlist.")
}

/// A stored object, with the permits for reads.
struct Source {
    store: Arc<dyn Store>,
    reads: Arc<Semaphore>,
    key: String,
}

impl Source {
    async fn size(&self) -> Result<Option<u64>, Failure> {
        let _place = self.reads.acquire().await;
        self.store.size(&self.key).await
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, Failure> {
        let place = self.reads.acquire().await;
        let bytes = self.store.read(&self.key, range.clone()).await?;
        drop(place);
        if bytes.is_empty() && !range.is_empty() {
            return Err(cut_short());
        }
        Ok(bytes)
    }

    /// If one read returns the whole body, it is sent together with the head.
    async fn body(self, range: Range<u64>) -> Result<Body, Problem> {
        let bytes = range.end - range.start;
        let missing = |failure: Failure| {
            if failure.code == "object-missing" { no_such_object() } else { failure.into() }
        };
        if bytes > READ_BYTES {
            let mut pieces = pieces(self, range);
            // The head says that the object is there.
            let first = pieces.recv().await.unwrap_or_else(|| Err(cut_short())).map_err(missing)?;
            let rest = stream::unfold(pieces, async |mut pieces| {
                let piece = pieces.recv().await?;
                Some((piece, pieces))
            });
            return Ok(Body::from_stream(stream::iter([Ok(first)]).chain(rest)));
        }
        let read = self.read(range).await.map_err(missing)?;
        if read.len() as u64 == bytes { Ok(Body::from(read)) } else { Err(cut_short().into()) }
    }
}

fn cut_short() -> Failure {
    Failure::dependency("object-cut-short", "A stored object is shorter than it was.")
}

/// Answers with bytes in memory, such as a rendered playlist.
pub(super) fn rendered(
    body: Bytes,
    media_type: &'static str,
    request: &HeaderMap,
    freshness: Freshness,
) -> Response {
    let etag = etag(&body);
    unchanged(request, &etag, freshness)
        .unwrap_or_else(|| (head(media_type, &etag, freshness), body).into_response())
}

fn head(media_type: &'static str, etag: &str, freshness: Freshness) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, freshness.header());
    if let Ok(value) = HeaderValue::from_str(etag) {
        headers.insert(ETAG, value);
    }
    headers
}

fn etag(of: &[u8]) -> String {
    let hash = Sha256::digest(of);
    let hex = hex::encode(&hash[..12]);
    format!("\"{hex}\"")
}

fn unchanged(request: &HeaderMap, etag: &str, freshness: Freshness) -> Option<Response> {
    let known = request.get(IF_NONE_MATCH)?.to_str().ok()?;
    let matches = known
        .split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag);
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, freshness.header());
    headers.insert(ETAG, HeaderValue::from_str(etag).ok()?);
    matches.then(|| (StatusCode::NOT_MODIFIED, headers).into_response())
}

fn outside(size: u64) -> Response {
    let problem = Problem::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "range-outside",
        format!("The object has {size} bytes. Ask for a range within them."),
    );
    let mut response = problem.into_response();
    response.headers_mut().insert(CONTENT_RANGE, content_range("*", size));
    response
}

fn content_range(range: &str, size: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("bytes {range}/{size}"))
        .unwrap_or_else(|_| HeaderValue::from_static("bytes */0"))
}

/// The bytes of `range`, piece by piece: one waits for the client while the next one is read.
fn pieces(source: Source, range: Range<u64>) -> Receiver<Result<Bytes, Failure>> {
    let (give, pieces) = mpsc::channel(1);
    tokio::spawn(feed(source, range, give));
    pieces
}

/// Reads on for as long as the client takes. A client that pauses holds neither a place nor a descriptor nor a connection to the store.
async fn feed(source: Source, range: Range<u64>, give: Sender<Result<Bytes, Failure>>) {
    let mut left = range;
    while !left.is_empty()
        && let Ok(room) = give.reserve().await
    {
        let place = tokio::select! {
            place = source.reads.acquire() => place,
            () = give.closed() => return,
        };
        let Ok(place) = place else { return };
        let stretch = Stretch { source: &source, began: Instant::now(), _place: place };
        if let Err(failure) = stretch.read(&mut left, &give, room).await {
            drop(give.send(Err(failure)).await);
            return;
        }
    }
}

/// An open read with its place.
struct Stretch<'a> {
    source: &'a Source,
    began: Instant,
    _place: SemaphorePermit<'a>,
}

impl Stretch<'_> {
    /// Reads until all is read, the client takes nothing, or others want the place.
    async fn read<'a>(
        self,
        left: &mut Range<u64>,
        give: &'a Sender<Result<Bytes, Failure>>,
        mut room: Permit<'a, Result<Bytes, Failure>>,
    ) -> Result<(), Failure> {
        let Source { store, reads, key } = self.source;
        let mut reader = store.reader(key, left.clone()).await?;
        loop {
            let piece = tokio::select! {
                piece = reader.next() => piece?.ok_or_else(cut_short)?,
                () = give.closed() => return Ok(()),
            };
            left.start += piece.len() as u64;
            room.send(Ok(piece));
            let is_wanted = reads.available_permits() == 0 && self.began.elapsed() >= TURN;
            if left.is_empty() || is_wanted {
                return Ok(());
            }
            let Ok(Ok(next)) = timeout(UNTAKEN_WAIT, give.reserve()).await else { return Ok(()) };
            room = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_the_media_types_that_players_insist_on() {
        assert_eq!(media_type("master.m3u8"), "application/vnd.apple.mpegurl");
        assert_eq!(media_type("720p.mp4"), "video/mp4");
        assert_eq!(media_type("thumbnails.vtt"), "text/vtt; charset=utf-8");
        assert_eq!(media_type("noext"), "application/octet-stream");
    }

    #[test]
    fn a_known_etag_is_answered_without_a_body() {
        let first =
            rendered(Bytes::from("x"), "text/vtt", &HeaderMap::new(), Freshness::Revalidate);
        let mut request = HeaderMap::new();
        request.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
        let again = rendered(Bytes::from("x"), "text/vtt", &request, Freshness::Revalidate);
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        let other = rendered(Bytes::from("y"), "text/vtt", &request, Freshness::Revalidate);
        assert_eq!(other.status(), StatusCode::OK);
    }
}
