//! The span of a message that is published, and the header by which the work on the message continues its trace.

use async_nats::HeaderMap;
use jetreel_actors::ports::WriteOnce;
use jetreel_domain::delivery::trace::{HEADER, TraceParent};
use tracing::field::Empty;
use tracing::{Instrument as _, Span, error_span};

use super::request::Outgoing;
use super::severity::Fault;
use crate::telemetry;

/// Begins the span of a message, and names it in the headers. Its parent is the current span, else `video`, the span of the upload. Without
/// either there is no span.
pub(super) fn begin(
    stream: &str,
    subject: &str,
    headers: &mut HeaderMap,
    video: Option<TraceParent>,
) -> Span {
    let current = telemetry::traced();
    if current.is_none() && video.is_none() {
        return Span::none();
    }
    let span = error_span!(
        "send",
        otel.name = format_args!("send {stream}"),
        otel.kind = "producer",
        otel.status_code = Empty,
        messaging.system = "nats",
        messaging.operation.name = "publish",
        messaging.operation.type = "send",
        messaging.destination.name = subject,
        jetreel.taken = Empty,
    );
    if let (None, Some(video)) = (current, video) {
        telemetry::adopt(&span, video);
    }
    if let Some(own) = telemetry::traced_in(&span) {
        headers.insert(HEADER, own.to_string());
    }
    span
}

/// Publishes a message in its span.
pub(super) async fn sent<T: Told>(
    span: Span,
    publish: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let done = publish.instrument(span.clone()).await;
    match &done {
        Ok(told) => told.tell(&span),
        Err(_) => drop(span.record("otel.status_code", "ERROR")),
    }
    done
}

/// The answer to a publication.
pub(super) trait Told {
    fn tell(&self, span: &Span);
}

impl Told for WriteOnce {
    fn tell(&self, span: &Span) {
        match self {
            Self::Mine => {}
            // Another one is there already, and this one is not stored.
            Self::Taken => drop(span.record("jetreel.taken", true)),
        }
    }
}

impl Told for u64 {
    fn tell(&self, _: &Span) {}
}

impl Outgoing {
    /// Begins the span of the message.
    pub(super) fn begin(&mut self, stream: &str, video: Option<TraceParent>) -> Span {
        begin(stream, &self.subject, &mut self.headers, video)
    }
}
