//! Liveness and readiness of the node.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use jetreel_domain::id::VideoId;
use serde_json::{Value, json};

use super::problem::Problem;
use super::{Gateway, Warning};

/// A dependency that does not answer within this time is not ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// Code of the warning that the broker lacks a stream, consumer or bucket. It may explain why reads fail.
pub(crate) const TOPOLOGY_MISSING: &str = "topology-missing";

/// Code of the warning that the store lacks the signs of the other nodes: they do not find what is written to it.
pub(crate) const STORE_NOT_SHARED: &str = "store-not-shared";

/// Always succeeds: the process answers.
pub(super) async fn live() -> &'static str {
    "live\n"
}

/// Succeeds if broker and store answer and the node does not drain. The body lists warnings; a setting can make them fail the check.
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
    let warnings = (gateway.hooks.warnings)();
    let lacks = |warning: &&Warning| warning.refuses && warning.code == TOPOLOGY_MISSING;
    if let Some(warning) = warnings.iter().find(lacks) {
        return Err(not(warning.code, &warning.detail));
    }
    if !matches!(broker, Ok(Ok(_))) {
        return Err(not("broker-unavailable", "NATS does not answer; see `jetreel doctor`"));
    }
    if !matches!(store, Ok(Ok(_))) {
        return Err(not("store-unavailable", "the store does not answer; see `jetreel doctor`"));
    }
    if let Some(warning) = warnings.iter().find(|warning| warning.refuses) {
        return Err(not(warning.code, &warning.detail));
    }
    Ok(Json(json!({ "status": "ready", "warnings": warnings })))
}

/// All metrics in Prometheus' text format.
pub(super) async fn metrics(State(gateway): State<Arc<Gateway>>) -> Response {
    let body = (gateway.hooks.render)();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], body).into_response()
}
