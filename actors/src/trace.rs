//! Spans of the work on a video. Each belongs to the trace of its video.
//!
//! Their level is ERROR, so that no log filter hides them: the lines of a log get their video, order, task and attempt from these spans.

use jetreel_domain::delivery::stage::{Stage, Unit};
use jetreel_domain::delivery::trace::{self, TraceParent};
use jetreel_domain::id::OrderId;
use jetreel_domain::order::state::Video;
use jetreel_domain::words::failure::Failure;
use tracing::field::{Empty, display};
use tracing::{Instrument as _, Span, error_span};

use crate::ports::{Delivery, Ports};

/// Most links to further messages that caused an evaluation.
const LINKS_MAX: usize = 16;

/// The span that a message names.
pub(crate) fn of(delivery: &dyn Delivery) -> Option<TraceParent> {
    TraceParent::in_headers(&delivery.headers())
}

/// Span of one attempt at a message.
pub(crate) fn attempt(
    ports: &Ports,
    stage: Stage,
    delivery: &dyn Delivery,
    (order, unit): (&OrderId, &Unit),
    video: &Video,
) -> Span {
    let span = error_span!(
        "process",
        otel.name = format_args!("process {}", stage.about().stream),
        otel.kind = "consumer",
        otel.status_code = Empty,
        error.type = Empty,
        messaging.system = "nats",
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.destination.name = delivery.subject(),
        messaging.message.body.size = delivery.body().len(),
        jetreel.stage = stage.as_str(),
        jetreel.stream.sequence = delivery.sequence(),
        jetreel.deliveries = delivery.delivered(),
        jetreel.video = %order.video,
        jetreel.order = %order,
        jetreel.task = Empty,
        jetreel.attempt = Empty,
        jetreel.outcome = Empty,
    );
    if *unit != Unit::Stage(stage) {
        span.record("jetreel.task", display(unit));
    }
    adopt(ports, &span, of(delivery), video);
    span
}

/// Span of an evaluation of an order because of ledger entries, or because it may release more tasks.
pub(crate) fn evaluation(
    ports: &Ports,
    order: &OrderId,
    causes: &[TraceParent],
    video: &Video,
) -> Span {
    let span = error_span!(
        "evaluate",
        otel.name = "evaluate",
        otel.kind = "consumer",
        otel.status_code = Empty,
        error.type = Empty,
        messaging.system = "nats",
        messaging.operation.name = "evaluate",
        messaging.operation.type = "process",
        messaging.batch.message_count = causes.len(),
        jetreel.stage = Stage::Publish.as_str(),
        jetreel.video = %order.video,
        jetreel.order = %order,
    );
    let mut causes = causes.iter().rev().copied();
    adopt(ports, &span, causes.next(), video);
    for cause in causes.take(LINKS_MAX) {
        ports.environment.link(&span, cause);
    }
    span
}

/// Does a step of the current work in a span.
pub(crate) async fn step<T>(
    name: &'static str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let span = error_span!(
        "step",
        otel.name = name,
        otel.status_code = Empty,
        error.type = Empty,
        jetreel.codec.cpu_seconds = Empty,
    );
    async { work.await.inspect_err(failed) }.instrument(span).await
}

/// Records the CPU time of a codec process, in seconds.
pub(crate) fn measured(cpu_seconds: f64) {
    Span::current().record("jetreel.codec.cpu_seconds", cpu_seconds);
}

fn adopt(ports: &Ports, span: &Span, message: Option<TraceParent>, video: &Video) {
    if let Some(parent) = trace::parent(message, video.traced()) {
        ports.environment.adopt(span, parent);
    }
}

/// Records the number of the attempt, from 1.
pub(crate) fn attempted(attempt: u32) {
    Span::current().record("jetreel.attempt", attempt);
}

/// Records how the attempt ended, if it did not fail.
pub(crate) fn ended(outcome: &'static str) {
    Span::current().record("jetreel.outcome", outcome);
}

/// Records why the work failed.
pub(crate) fn failed(failure: &Failure) {
    let span = Span::current();
    span.record("otel.status_code", "ERROR");
    span.record("error.type", failure.code.as_str());
    span.record("jetreel.outcome", "failed");
}
