//! `POST /v1/jobs/{id}/priority` with `{"lane": "high"}`: puts a job that is not closed into another lane.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use jetreel_actors::event::Event;
use jetreel_actors::lanes::{self, Prioritised};
use jetreel_actors::ports::Ports;
use jetreel_domain::id::{OrderId, VideoId};
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::priority::{self, PriorityRefused};
use serde::Deserialize;

use super::Gateway;
use super::asking::{briefly, soon_or_later};
use super::jobs;
use super::problem::Problem;

/// Body of the request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    lane: String,
}

impl From<PriorityRefused> for Problem {
    fn from(refused: PriorityRefused) -> Self {
        let status = match refused {
            PriorityRefused::UnknownLane(_) => StatusCode::BAD_REQUEST,
            PriorityRefused::NoSuchJob => StatusCode::NOT_FOUND,
            PriorityRefused::Completed
            | PriorityRefused::Cancelled
            | PriorityRefused::Superseded(_) => StatusCode::CONFLICT,
        };
        Self::new(status, refused.code(), refused.to_string())
    }
}

/// Changes the lane of the job `<video>-<number>`, or of the newest one of `<video>`. A job that is in the lane already is no error: queued
/// tasks that a crash left in another lane are moved.
pub(super) async fn change(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let (id, number) = jobs::parse(&id)?;
    let wish: Wish = serde_json::from_slice(&body).map_err(|_| bad_body())?;
    let lane = priority::lane(&wish.lane)?;
    soon_or_later(put(gateway, id, number, lane), async |_| ()).await
}

fn bad_body() -> Problem {
    let detail = "The body is a JSON object with one of the lanes high, normal and low, as in {\"lane\": \"high\"}.";
    Problem::new(StatusCode::BAD_REQUEST, "bad-body", detail)
}

async fn put(
    gateway: Arc<Gateway>,
    id: VideoId,
    number: Option<u32>,
    lane: Lane,
) -> Result<Response, Problem> {
    let job = lanes::prioritise(&gateway.ports, &id, number, lane).await??;
    briefly(settle(gateway.ports.clone(), job.order())).await;
    let Prioritised { video, number, changed } = job;
    let document = jobs::describe(&gateway, &video, number).await?;
    let status = if changed { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, [(CACHE_CONTROL, "no-store")], Json(document)).into_response())
}

/// Moves the queued tasks. The job has its new lane already, so a failure here is left to the publishers.
async fn settle(ports: Ports, order: OrderId) {
    if let Err(failure) = lanes::settle(&ports, &order).await {
        ports.environment.emit(Event::StageFault { stage: "gateway", failure });
    }
}
