//! `POST /v1/videos`: stores the body of the request as a video, and answers once it is synced to disk.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, Request, State};
use axum::http::header::{
    CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jetreel_actors::crash;
use jetreel_domain::delivery::trace;
use jetreel_domain::id::OrderId;
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::state::Status;
use jetreel_domain::words::failure::Failure;
use jetreel_domain::words::printable::printable;
use serde::Deserialize;
use tracing::field::Empty;
use tracing::{Instrument as _, Span, error_span};

use super::Gateway;
use super::disposition::file_name;
use super::health::STORE_NOT_SHARED;
use super::problem::Problem;
use super::upload::Upload;
use crate::telemetry;

/// Most characters of a title.
const TITLE_LENGTH_MAX: usize = 200;
/// Query of an upload.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    title: Option<String>,
    lane: Option<Lane>,
    owner: Option<String>,
}

/// Receives an upload.
pub(super) async fn create(
    State(gateway): State<Arc<Gateway>>,
    query: Result<Query<Params>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Query(params) = query.map_err(|_| bad_query())?;
    let owner = params.owner.as_deref().unwrap_or_default().parse().map_err(|_| bad_query())?;
    let headers = request.headers();
    admit(&gateway, headers)?;
    let span = span(headers);
    let upload = Upload {
        gateway,
        title: title(params.title.as_deref(), headers),
        lane: params.lane.unwrap_or_default(),
        owner,
        watch: request.extensions().get().cloned(),
        body: request.into_body(),
    };
    // Runs in its own task, so that the objects are cleaned up even if the client disconnects.
    let done = tokio::spawn(upload.take().instrument(span.clone())).await;
    let order = done.map_err(|error| crashed(&error).into()).flatten();
    answered(&span, &order);
    let order = order?;
    crash::point("upload-before-answer");
    Ok(accepted(&order))
}

/// Span of an upload. It continues the trace of its client, if the request names one.
fn span(headers: &HeaderMap) -> Span {
    let span = error_span!(
        "upload",
        otel.name = "POST /v1/videos",
        otel.kind = "server",
        otel.status_code = Empty,
        error.type = Empty,
        http.request.method = "POST",
        http.route = "/v1/videos",
        http.response.status_code = Empty,
        jetreel.stage = "gateway",
        jetreel.video = Empty,
    );
    let client = headers.get(trace::HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
    if let Some(client) = client {
        telemetry::adopt(&span, client);
    }
    span
}

/// Records the answer to an upload.
fn answered(span: &Span, order: &Result<OrderId, Problem>) {
    let status = order.as_ref().map_or_else(Problem::status, |_| StatusCode::ACCEPTED);
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", status.as_str());
    }
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
        "The query takes `title` (text), `lane` (high, normal or low) and `owner` (at most 128 bytes of printable text), and nothing else. Send the file itself as the body.",
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
    if (gateway.hooks.warnings)().iter().any(|warning| warning.code == STORE_NOT_SHARED) {
        let problem = Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            STORE_NOT_SHARED,
            "This node has lost the store of the other nodes. Send the upload again, another node will take it.",
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

/// Names of media types are case-insensitive.
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

/// A compressed body would be mistaken for a file that is no video.
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

pub(super) fn empty() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "empty-upload",
        "The file is empty. The body of the request is the file itself: send the bytes of the video as the body.",
    )
}

pub(super) fn too_large(limit: u64) -> Problem {
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

/// The title in the query, else the file name.
fn title(asked: Option<&str>, headers: &HeaderMap) -> String {
    let named = || file_name(headers.get(CONTENT_DISPOSITION)?.as_bytes());
    let asked = asked.map(clean).filter(|title| !title.is_empty());
    asked.or_else(|| named().as_deref().map(clean)).unwrap_or_default()
}

/// Bounds a title and makes it printable. It is for display only.
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
