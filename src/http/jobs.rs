//! `GET /v1/jobs/{id}`, the status of a job, and its retry.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, LOCATION, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use jetreel_actors::change;
use jetreel_actors::deadletter::{DlqService, Outcome, Replayed};
use jetreel_actors::event::Event;
use jetreel_domain::id::{OrderId, VideoId};
use jetreel_domain::order::again::ASKED_SECONDS;
use jetreel_domain::order::ledger::{Output, View};
use jetreel_domain::order::state::{Order, Status, Video};
use jetreel_domain::plan::Plan;
use jetreel_domain::words::failure::Failure;

use super::asking::{at_once, soon_or_later};
use super::catalog::Finished;
use super::job_document::{Document, document};
use super::problem::Problem;
use super::waiting::waiting;
use super::{Gateway, erase};

/// The job `<video>-<number>`, or the newest order of `<video>`.
pub(super) async fn get(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (id, number) = parse(&id)?;
    let video = erase::there(&gateway, &id).await?.ok_or_else(no_such_job)?;
    let order = match number {
        Some(number) => video.order(number),
        None => newest(&video),
    };
    let number = order.ok_or_else(no_such_job)?.number;
    let document = describe(&gateway, &video, number).await?;
    let running = !document.summary.status.is_ended();
    let mut response = ([(CACHE_CONTROL, "no-store")], Json(document)).into_response();
    if running {
        response.headers_mut().insert(RETRY_AFTER, axum::http::HeaderValue::from_static("1"));
    }
    Ok(response)
}

/// Queues the dead tasks of a job again. Finished tasks stay finished. Repeating the request is harmless.
pub(super) async fn retry(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (id, number) = parse(&id)?;
    let asked = replay(gateway.clone(), id, number);
    let (video, number) = soon_or_later(asked, async |_| ()).await?;
    // It is done: what cannot be read in time of the job does not undo it.
    let described = at_once(describe(&gateway, &video, number)).await;
    let document = match (described, video.order(number)) {
        (Ok(described), _) => described,
        (Err(_), Some(order)) => document(&video, order, None, false),
        (Err(problem), None) => return Err(problem),
    };
    let headers = [
        (CACHE_CONTROL, "no-store".to_owned()),
        (LOCATION, format!("/v1/jobs/{}", video.order_id(number))),
        (RETRY_AFTER, "1".to_owned()),
    ];
    Ok((StatusCode::ACCEPTED, headers, Json(document)).into_response())
}

/// Replays what is dead of a job; gives the state before that, and the job's number.
async fn replay(
    gateway: Arc<Gateway>,
    id: VideoId,
    number: Option<u32>,
) -> Result<(Video, u32), Problem> {
    let video = erase::there(&gateway, &id).await?.ok_or_else(no_such_job)?;
    let order = match number {
        Some(number) => video.order(number),
        None => newest(&video),
    };
    let order = order.ok_or_else(no_such_job)?;
    let job = video.order_id(order.number);
    if !ask(&gateway, &job).await? {
        return Err(if order.dead.is_empty() || order.is_closed() {
            nothing_to_retry(order)
        } else {
            already_retried()
        });
    }
    let replayed = DlqService::new(&gateway.ports).replay_order(&job).await;
    let done = |replayed: &Option<Vec<Replayed>>| {
        let busy = |replayed: &Replayed| replayed.outcome == Outcome::Busy;
        replayed.as_ref().is_some_and(|all| !all.is_empty() && !all.iter().any(busy))
    };
    if !replayed.as_ref().is_ok_and(done) {
        unask(&gateway, &job).await;
    }
    let replayed = replayed?.ok_or_else(no_such_job)?;
    if replayed.is_empty() {
        return Err(nothing_to_retry(order));
    }
    if replayed.iter().any(|replayed| replayed.outcome == Outcome::Busy) {
        let detail =
            "The failed message is still being moved to the dead letters. Try again in a moment.";
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "retry-busy", detail);
        return Err(problem.retry_after(1));
    }
    let number = order.number;
    Ok((video, number))
}

/// Records the request once for concurrent clients. `false` if no task is dead, or a request was recorded a moment ago.
async fn ask(gateway: &Gateway, job: &OrderId) -> Result<bool, Failure> {
    let now = gateway.ports.environment.now();
    let mut asked = false;
    let change = change::video(&gateway.ports, &job.video, |video| {
        asked = video.ask_again(job.number, now);
        Ok(asked)
    });
    change.await?;
    Ok(asked)
}

/// Removes the record of a request that failed, so that the next one counts. If that fails too, the record expires in a few seconds.
async fn unask(gateway: &Gateway, job: &OrderId) {
    let change = change::video(&gateway.ports, &job.video, |video| Ok(video.unask(job.number)));
    if let Err(failure) = change.await {
        gateway.ports.environment.emit(Event::StageFault { stage: "gateway", failure });
    }
}

fn already_retried() -> Problem {
    let detail = "A retry was requested a moment ago, and the job runs again. Check its status.";
    let seconds = u32::try_from(ASKED_SECONDS).unwrap_or(1);
    Problem::new(StatusCode::CONFLICT, "already-retried", detail).retry_after(seconds)
}

fn nothing_to_retry(order: &Order) -> Problem {
    let detail = if order.superseded {
        "Another job of this video took over. Look at the newest job of the video."
    } else {
        match order.status {
            Status::Completed => "The job is complete. Nothing is left to retry.",
            Status::Cancelled => "The job was cancelled. Upload the video again.",
            Status::Receiving
            | Status::Queued
            | Status::Ingesting
            | Status::Encoding
            | Status::Publishing
            | Status::Failed => "Nothing of the job has failed. It goes on by itself.",
        }
    };
    Problem::new(StatusCode::CONFLICT, "nothing-to-retry", detail)
}

pub(super) fn no_such_job() -> Problem {
    Problem::not_found("no-such-job", "There is no such job. GET /v1/jobs lists the newest.")
}

/// Video and order number of a job id. No number in a video's id.
pub(super) fn parse(id: &str) -> Result<(VideoId, Option<u32>), Problem> {
    if let Ok(order) = id.parse::<OrderId>() {
        return Ok((order.video, Some(order.number)));
    }
    id.parse::<VideoId>().map(|video| (video, None)).map_err(|_| no_such_job())
}

/// The order that a video's id refers to.
pub(super) fn newest(video: &Video) -> Option<&Order> {
    video.newest()
}

/// The document of an order.
pub(super) async fn describe(
    gateway: &Gateway,
    video: &Video,
    number: u32,
) -> Result<Document, Problem> {
    let document = described(gateway, video, number).await?;
    let standing = (gateway.standing)(&video.order_id(number));
    Ok(document.in_line(standing))
}

async fn described(gateway: &Gateway, video: &Video, number: u32) -> Result<Document, Problem> {
    let order = video.order(number).ok_or_else(no_such_job)?;
    // The plan of a cancelled order is being removed.
    let Some(plan) = order.plan.as_ref().filter(|_| order.status != Status::Cancelled) else {
        return Ok(document(video, order, None, false));
    };
    let id = video.order_id(order.number);
    if order.status.is_closed() {
        let plan = gateway.orders.plan(&gateway.ports, &id, plan).await?;
        let view = View::default();
        let pictures = plan.images.is_some() && order.status == Status::Completed;
        let document = document(video, order, Some((&plan, &view)), pictures);
        let Some(published) = order.published.clone() else { return Ok(document) };
        let finished = Finished { order: id, published };
        // The ledger entries are removed. The manifest lists what could not be decoded.
        let manifest = gateway.orders.manifest(&gateway.ports, &finished).await;
        return Ok(match manifest {
            Ok(manifest) => document.warned(&manifest.source.warnings),
            Err(failure) => {
                gateway.ports.environment.emit(Event::StageFault { stage: "gateway", failure });
                document
            }
        });
    }
    let waits = (gateway.waits)();
    let at = |plan: &Plan, view: &View| {
        document(video, order, Some((plan, view)), pictures_in(view))
            .waiting(waiting(order.lane, plan, view, &waits))
    };
    Ok(gateway.orders.look(&gateway.ports, &id, plan, at).await?)
}

/// Whether the ledger has poster and thumbnails.
pub(super) fn pictures_in(view: &View) -> bool {
    view.finished().flat_map(|entry| &entry.outputs).any(|output| match output {
        Output::Images(_) => true,
        Output::Chunk(_) | Output::Audio(_) | Output::Package(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_found_by_its_id_or_by_its_video() {
        let id = VideoId::from_bits(9);
        assert_eq!(parse(&format!("{id}-2")).unwrap(), (id.clone(), Some(2)));
        assert_eq!(parse(id.as_str()).unwrap(), (id, None));
        assert!(parse("../etc").is_err());
    }
}
