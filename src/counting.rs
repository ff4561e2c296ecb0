//! Counts what the gateway sees: the bridge from its hooks to the metrics.

use std::sync::Arc;

use crate::http::{Closing, OnSeen, Seen};
use crate::metrics::Metrics;

/// A hook that counts.
#[must_use]
pub fn seen(metrics: &Arc<Metrics>) -> OnSeen {
    let metrics = Arc::clone(metrics);
    Arc::new(move |what| match what {
        Seen::Request { route, method, status, seconds } => {
            metrics.http_request(route, method, status, seconds);
        }
        Seen::Upload { bytes, confirmation_seconds } => {
            metrics.upload_accepted(bytes, confirmation_seconds);
        }
        Seen::Connected => metrics.connected(),
        Seen::Disconnected { closing } => {
            metrics.disconnected(closing.map_or("client", Closing::label));
        }
    })
}
