//! `POST /v1/jobs/{id}/cancel`: cancels a job for good.
//!
//! Invariant: one compare-and-set cancels the job, which competes with the one that completes it. Everything else follows from the state;
//! the reconciler does what a crash leaves undone.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use jetreel_actors::change;
use jetreel_actors::crash;
use jetreel_actors::event::Event;
use jetreel_actors::ports::Ports;
use jetreel_domain::id::{OrderId, VideoId};
use jetreel_domain::order::state::{Order, Status, Video};

use super::Gateway;
use super::asking::{briefly, soon_or_later};
use super::jobs;
use super::problem::Problem;

/// Cancels the job `<video>-<number>`, or the newest one of `<video>`. Cancelling it again changes nothing.
pub(super) async fn cancel(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (id, number) = jobs::parse(&id)?;
    soon_or_later(end(gateway, id, number), async |_| ()).await
}

async fn end(gateway: Arc<Gateway>, id: VideoId, number: Option<u32>) -> Result<Response, Problem> {
    let ports = &gateway.ports;
    let now = ports.environment.now();
    let mut cancelled = None;
    let video = change::video(ports, &id, |video| {
        cancelled = chosen(video, number).and_then(|number| video.cancel(number, now).ok());
        Ok(cancelled.is_some())
    })
    .await?;
    let video = video.ok_or_else(jobs::no_such_job)?;
    let number = chosen(&video, number).ok_or_else(jobs::no_such_job)?;
    let order = video.order(number).ok_or_else(jobs::no_such_job)?;
    if cancelled.is_none() {
        return settled(&gateway, &video, order).await;
    }
    let order = video.order_id(number);
    ports.environment.emit(Event::OrderMoved { order: order.clone(), to: Status::Cancelled });
    crash::point("cancel-after-state");
    briefly(tell(ports.clone(), order, video.clone())).await;
    let document = jobs::describe(&gateway, &video, number).await?;
    Ok((StatusCode::ACCEPTED, [(CACHE_CONTROL, "no-store")], Json(document)).into_response())
}

fn chosen(video: &Video, number: Option<u32>) -> Option<u32> {
    number.or_else(|| jobs::newest(video).map(|order| order.number))
}

/// Notifies workers and subscribers. The job is cancelled already, so a failure here is left to the reconciler.
async fn tell(ports: Ports, order: OrderId, video: Video) {
    let told = async {
        change::announce(&ports, &video).await?;
        crash::point("cancel-after-fact");
        ports.broker.forget(&order).await
    };
    if let Err(failure) = told.await {
        ports.environment.emit(Event::StageFault { stage: "gateway", failure });
    }
}

/// The answer for a job that could not be cancelled.
async fn settled(gateway: &Gateway, video: &Video, order: &Order) -> Result<Response, Problem> {
    if order.status == Status::Cancelled {
        let document = jobs::describe(gateway, video, order.number).await?;
        return Ok(([(CACHE_CONTROL, "no-store")], Json(document)).into_response());
    }
    if let Some(next) = video.successor(order.number) {
        let successor = video.order_id(next);
        let detail = format!("Another job took over from this one. Cancel {successor} instead.");
        return Err(Problem::new(StatusCode::CONFLICT, "job-superseded", detail));
    }
    Err(Problem::new(
        StatusCode::CONFLICT,
        "job-completed",
        "The job is completed. Nothing is left to cancel, and what it made stays.",
    ))
}
