//! What a span is about, for the log: its fields under [`PREFIX`] and the ids of its trace.

use std::fmt;
use std::sync::OnceLock;

use jetreel_domain::delivery::trace::TraceParent;
use serde_json::Value;
use tracing::dispatcher::WeakDispatch;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::context;

/// Fields with this prefix appear in log lines, without it.
const PREFIX: &str = "jetreel.";
/// Fields that are repeated in every log line. The others are for traces.
const REPEATED: [&str; 5] = ["stage", "video", "order", "task", "attempt"];

/// What a span is about.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) fields: Vec<(&'static str, Value)>,
    /// `None` until the span is entered.
    pub(super) place: Option<TraceParent>,
}

impl Work {
    fn set(&mut self, field: &Field, value: Value) {
        let Some(name) = field.name().strip_prefix(PREFIX) else { return };
        let Some(name) = REPEATED.into_iter().find(|known| *known == name) else { return };
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.fields.push((name, value)),
        }
    }
}

impl Visit for Work {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}").into());
    }
}

/// Keeps in each span what it is about.
#[derive(Default)]
pub(super) struct Works {
    dispatch: OnceLock<WeakDispatch>,
}

impl<S> Layer<S> for Works
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.dispatch.get_or_init(|| dispatch.downgrade());
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut work = Work::default();
        attributes.record(&mut work);
        span.extensions_mut().insert(work);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(work) = span.extensions_mut().get_mut::<Work>() {
            values.record(work);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let unplaced = |work: &Work| work.place.is_none();
        if !span.extensions().get::<Work>().is_some_and(unplaced) {
            return;
        }
        // No extension may be locked here.
        let Some(dispatch) = self.dispatch.get().and_then(WeakDispatch::upgrade) else { return };
        let place = tracing_opentelemetry::get_otel_context(id, &dispatch);
        let place = place.and_then(|place| context::parent(&place));
        if let Some(work) = span.extensions_mut().get_mut::<Work>() {
            work.place = place;
        }
    }
}
