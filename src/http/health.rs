//! Whether the node lives, and whether it can do its work.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use jetreel_domain::id::VideoId;
use serde_json::{Value, json};

use super::Gateway;
use super::problem::Problem;

/// A dependency that has not answered by then is not ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// The process answers: nothing else is asked.
pub(super) async fn live() -> &'static str {
    "live\n"
}

/// Broker and store answer, and the node is not going down. What an operator should mend is said, and refused where a setting demands it.
pub(super) async fn ready(State(gateway): State<Arc<Gateway>>) -> Result<Json<Value>, Problem> {
    let not = |code, detail: &str| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(1)
    };
    if gateway.is_draining() {
        return Err(not("draining", "this node is going down; send requests to another"));
    }
    let nobody = VideoId::from_bits(0);
    let broker = tokio::time::timeout(PATIENCE, gateway.ports.broker.video(&nobody));
    let store = tokio::time::timeout(PATIENCE, gateway.ports.store.size("ready"));
    let (broker, store) = tokio::join!(broker, store);
    if !matches!(broker, Ok(Ok(_))) {
        return Err(not("broker-unavailable", "NATS does not answer; see `jetreel doctor`"));
    }
    if !matches!(store, Ok(Ok(_))) {
        return Err(not("store-unavailable", "the store does not answer; see `jetreel doctor`"));
    }
    let warnings = (gateway.hooks.warnings)();
    if let Some(warning) = warnings.iter().find(|warning| warning.refuses) {
        return Err(not(warning.code, &warning.detail));
    }
    Ok(Json(json!({ "status": "ready", "warnings": warnings })))
}

/// All numbers, as text for Prometheus.
pub(super) async fn metrics(State(gateway): State<Arc<Gateway>>) -> Response {
    let body = (gateway.hooks.render)();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], body).into_response()
}
