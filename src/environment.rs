//! Clock, randomness and telemetry of the stages: the only clock and the only random source behind the ports.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use jetreel_actors::event::Event;
use jetreel_actors::ports::Environment;
use jetreel_domain::delivery::trace::TraceParent;
use tracing::Span;

use crate::metrics::Metrics;
use crate::telemetry;

/// The environment in production: system clock, random UUIDs, log and metrics.
#[derive(Clone)]
pub struct SystemEnvironment {
    metrics: Arc<Metrics>,
}

impl SystemEnvironment {
    /// An environment that reports to `metrics`.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics }
    }
}

impl Environment for SystemEnvironment {
    fn now(&self) -> i64 {
        // A clock before 1970 reads as 1970.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }

    fn uuid(&self) -> String {
        uuid::Uuid::now_v7().to_string()
    }

    fn chance(&self) -> f64 {
        f64::from(uuid::Uuid::new_v4().as_u128() as u32) / f64::from(u32::MAX)
    }

    fn emit(&self, event: Event) {
        self.metrics.record(&event);
    }

    fn adopt(&self, span: &Span, parent: TraceParent) {
        telemetry::adopt(span, parent);
    }

    fn link(&self, span: &Span, cause: TraceParent) {
        telemetry::link(span, cause);
    }

    fn traced(&self) -> Option<TraceParent> {
        telemetry::traced()
    }
}
