//! Where a span belongs: the bridge between spans and the header `traceparent`.

use jetreel_domain::delivery::trace::TraceParent;
use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

fn remote(parent: TraceParent) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(parent.trace.to_be_bytes()),
        SpanId::from_bytes(parent.span.to_be_bytes()),
        TraceFlags::default().with_sampled(parent.sampled),
        true,
        TraceState::default(),
    )
}

pub(super) fn parent(context: &Context) -> Option<TraceParent> {
    let span = context.span();
    let context = span.span_context();
    context.is_valid().then(|| TraceParent {
        trace: u128::from_be_bytes(context.trace_id().to_bytes()),
        span: u64::from_be_bytes(context.span_id().to_bytes()),
        sampled: context.is_sampled(),
    })
}

/// Makes a span that was not entered yet a child of a span of another process.
pub fn adopt(span: &Span, by: TraceParent) {
    let context = Context::new().with_remote_span_context(remote(by));
    if let Err(error) = span.set_parent(context) {
        tracing::trace!(%error, "a span has no parent");
    }
}

/// Names in a span another one that also caused it.
pub fn link(span: &Span, cause: TraceParent) {
    span.add_link(remote(cause));
}

/// The current span. `None` where nothing is traced.
#[must_use]
pub fn traced() -> Option<TraceParent> {
    traced_in(&Span::current())
}

/// A span, as its children on other nodes know it. `None` where nothing is traced.
#[must_use]
pub fn traced_in(span: &Span) -> Option<TraceParent> {
    parent(&span.context())
}
