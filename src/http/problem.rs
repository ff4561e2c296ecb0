//! Error answers as problem documents (RFC 9457), with a stable code and a sentence that says what to do.

use std::time::Instant;

use axum::Extension;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, VARY};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jetreel_domain::words::failure::{Failure, Severity};
use serde_json::json;

use super::{Hooks, Seen, error_page};

/// Header with the id of a request, in answers and logs.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id that is accepted from a client.
const REQUEST_ID_LENGTH_MAX: usize = 64;

/// An error answer. [`finish`], which knows the request's id, turns it into a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    pub(super) code: String,
    pub(super) detail: String,
    retry_after: Option<u32>,
}

impl Problem {
    /// A problem with a status, a stable code and a sentence.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), detail: detail.into(), retry_after: None }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// A 404.
    pub fn not_found(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// The problem with a `Retry-After` header.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The problem for a bare status, as routers and layers answer.
    fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status.as_u16() {
            404 => ("not-found", "There is nothing at this address. Check the path."),
            405 => (
                "method-not-allowed",
                "The address does not support this method. The header Allow names the supported ones.",
            ),
            400 => ("bad-request", "The request is malformed. Check its query and headers."),
            408 => ("timeout", "The request took too long. Send it again."),
            413 => ("too-large", "The body is larger than this server takes. Send a smaller one."),
            415 => (
                "unsupported-media-type",
                "The body has a form that is not taken. Send the file as the plain body of the request.",
            ),
            _ if status.is_server_error() => (
                "internal",
                "The server made a mistake. Try again; if that does not help, report it with the request id.",
            ),
            _ => ("refused", "The request was refused."),
        };
        Self::new(status, code, detail)
    }

    fn body(&self, request_id: &str) -> String {
        json!({
            "type": format!("urn:jetreel:problem:{}", self.code),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
            "request_id": request_id,
            "retryable": self.status.is_server_error(),
        })
        .to_string()
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        tracing::warn!(
            code = failure.code,
            detail = failure.detail,
            "request failed: {}",
            failure.message
        );
        match failure.severity {
            Severity::DependencyFault => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                &failure.code,
                format!("{} Try again in a moment.", failure.message),
            )
            .retry_after(5),
            Severity::Permanent | Severity::TaskFault => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, &failure.code, failure.message)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The answer to a head that did not come in time, as it is written to the socket.
pub(super) fn late_head() -> Vec<u8> {
    let detail = "The head of the request did not come in time. Send it again, in one go.";
    let body = Problem::new(StatusCode::REQUEST_TIMEOUT, "head-timeout", detail);
    let body = body.body(&uuid::Uuid::now_v7().to_string());
    let length = body.len();
    format!(
        "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Wraps every request: gives it an id, turns error answers into problem documents, counts it.
pub(super) async fn finish(
    Extension(hooks): Extension<Hooks>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let request_id = request_id(&request);
    let as_page = error_page::is_wanted(request.method(), request.headers());
    let mut response = next.run(request).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        response = as_problem(response, &request_id, as_page);
    }
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let route = path.as_ref().map_or("none", MatchedPath::as_str);
    let seconds = started.elapsed().as_secs_f64();
    let status = response.status().as_u16();
    tracing::debug!(route, %method, status, seconds, request_id, "request answered");
    (hooks.seen)(Seen::Request { route, method: method.as_str(), status, seconds });
    response
}

fn request_id(request: &Request) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let plain = |text: &&str| {
        (1..=REQUEST_ID_LENGTH_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    given.filter(plain).map_or_else(|| uuid::Uuid::now_v7().to_string(), ToOwned::to_owned)
}

fn as_problem(mut response: Response, request_id: &str, as_page: bool) -> Response {
    let problem = response.extensions_mut().remove::<Problem>();
    let problem = problem.unwrap_or_else(|| Problem::of_status(response.status()));
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    if let Some(seconds) = problem.retry_after {
        parts.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    let fixed = HeaderValue::from_static;
    parts.headers.insert(VARY, fixed("accept"));
    let body = if as_page {
        error_page::describe(&mut parts.headers);
        error_page::page(parts.status, &problem, request_id)
    } else {
        parts.headers.insert(CONTENT_TYPE, fixed("application/problem+json"));
        problem.body(request_id)
    };
    Response::from_parts(parts, Body::from(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_to_do_and_names_the_request() {
        let problem = Problem::not_found(
            "no-such-job",
            "There is no such job. GET /v1/jobs lists the newest.",
        );
        let body: serde_json::Value = serde_json::from_str(&problem.body("r-1")).unwrap();
        assert_eq!(body["status"], 404);
        assert_eq!(body["code"], "no-such-job");
        assert_eq!(body["request_id"], "r-1");
        assert_eq!(body["type"], "urn:jetreel:problem:no-such-job");
        assert_eq!(body["retryable"], false);
    }

    #[test]
    fn an_outage_is_a_503_that_says_when_to_come_back() {
        let problem =
            Problem::from(Failure::dependency("broker-down", "The broker cannot be reached."));
        assert_eq!(problem.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(problem.retry_after, Some(5));
    }

    #[test]
    fn every_bare_status_has_a_code() {
        for status in [400, 404, 405, 408, 413, 415, 429, 500, 503] {
            let problem = Problem::of_status(StatusCode::from_u16(status).unwrap());
            assert!(!problem.code.is_empty());
            assert_eq!(jetreel_domain::words::sentence::check(&problem.detail), Ok(()));
        }
    }
}
