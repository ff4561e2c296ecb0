//! `DELETE /v1/videos/{id}`: deletes a video in any status.
//!
//! Invariant: one compare-and-set deletes the video. No request returns it from then on, and the reconciler removes its remains. A state
//! that cannot be decoded yields no facts for subscribers, so it is removed at once.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jetreel_actors::change;
use jetreel_actors::event::Event;
use jetreel_actors::ports::Ports;
use jetreel_domain::id::VideoId;
use jetreel_domain::order::state::Video;
use jetreel_domain::words::failure::Failure;
use serde_json::json;

use super::Gateway;
use super::asking::{briefly, soon, soon_or_later};
use super::problem::Problem;

/// Deletes the video with this id. Deleting it again changes nothing.
pub(super) async fn erase(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id: VideoId = id.parse().map_err(|_| no_such_video())?;
    soon_or_later(delete(gateway, id), async |_| ()).await
}

async fn delete(gateway: Arc<Gateway>, id: VideoId) -> Result<Response, Problem> {
    let ports = &gateway.ports;
    let now = ports.environment.now();
    let (mut erased, mut before) = (false, None);
    let changed = change::video(ports, &id, |video| {
        before = Some(video.clone());
        erased = video.erase(now);
        Ok(erased)
    })
    .await;
    let video = match changed {
        // Its objects are orphans from then on, and the sweep removes them.
        Err(failure) if is_unreadable(&failure) && ports.broker.discard_video(&id).await? => {
            return Ok(accepted(&id));
        }
        changed => changed?.ok_or_else(no_such_video)?,
    };
    if !video.is_deleted() {
        let detail = "The video cannot be deleted as it stands. Cancel its jobs, then delete it.";
        return Err(Problem::new(StatusCode::CONFLICT, "not-deleted", detail));
    }
    gateway.catalog.forget(&id);
    if let Some(before) = before.filter(|_| erased) {
        briefly(tell(ports.clone(), before, video)).await;
    }
    Ok(accepted(&id))
}

fn accepted(id: &VideoId) -> Response {
    (StatusCode::ACCEPTED, Json(json!({ "video": id, "deleted": true }))).into_response()
}

fn is_unreadable(failure: &Failure) -> bool {
    ["unreadable-document", "document-contradicts"].contains(&failure.code.as_str())
}

/// Notifies workers and subscribers. The video is deleted already, so a failure here is left to the reconciler.
async fn tell(ports: Ports, before: Video, video: Video) {
    for order in before.orders.iter().filter(|order| !order.is_closed()) {
        if let Some(after) = video.order(order.number) {
            let order = video.order_id(order.number);
            ports.environment.emit(Event::OrderMoved { order, to: after.status });
        }
    }
    let told = async {
        change::announce(&ports, &video).await?;
        for order in &video.orders {
            ports.broker.forget(&video.order_id(order.number)).await?;
        }
        Ok::<(), Failure>(())
    };
    if let Err(failure) = told.await {
        ports.environment.emit(Event::StageFault { stage: "gateway", failure });
    }
}

/// The state of a video, unless it is deleted.
pub(super) async fn there(gateway: &Gateway, id: &VideoId) -> Result<Option<Video>, Failure> {
    let found = soon(gateway.ports.broker.video(id)).await?.map(|found| found.value);
    Ok(found.filter(|video| !video.is_deleted()))
}

pub(super) fn no_such_video() -> Problem {
    Problem::not_found("no-such-video", "There is no such video. GET /v1/jobs lists the newest.")
}
