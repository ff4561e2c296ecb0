//! `GET /v1/jobs`: the newest job of each video, newest videos first, in pages.
//!
//! The cost of a page grows with its entries and with the changes since the last one, not with all videos. Uploads that were given up are
//! left out.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, LINK};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, TryStreamExt, stream};
use jetreel_domain::id::VideoId;
use jetreel_domain::order::ledger::View;
use jetreel_domain::order::state::Status;
use jetreel_domain::plan::Plan;
use jetreel_domain::words::failure::{Failure, Severity};
use serde::Deserialize;

use super::asking::PATIENCE;
use super::job_document::{Listed, summary};
use super::jobs::{newest, parse, pictures_in};
use super::problem::Problem;
use super::{Gateway, erase};

/// Default number of jobs in a page.
const LIMIT_DEFAULT: usize = 20;
/// Most jobs in a page.
const LIMIT_MAX: usize = 100;
/// States that are read at once for a page.
const READS: usize = 8;

/// Query of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    limit: Option<usize>,
    /// Id of the last video or job of the previous page.
    after: Option<String>,
}

/// A page of jobs. The header `Link` (RFC 8288) and the field `next` name the next page.
pub(super) async fn list(
    State(gateway): State<Arc<Gateway>>,
    query: Result<Query<Params>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(params) = query.map_err(|_| bad_query())?;
    let limit = params.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(bad_query());
    }
    let after = params.after.as_deref().map(parse).transpose().map_err(|_| bad_query())?;
    let after = after.map(|(video, _)| video);
    gateway.catalog.catch_up(&*gateway.ports.broker).await?;
    let (ids, more) = gateway.catalog.page(after.as_ref(), limit);
    let next =
        ids.last().filter(|_| more).map(|last| format!("/v1/jobs?limit={limit}&after={last}"));
    let gateway = &gateway;
    // One deadline for the page: a storage that does not answer delays it no longer than one job.
    let until = Instant::now() + PATIENCE;
    let jobs: Vec<Option<Listed>> = stream::iter(ids)
        .map(|id| async move { listed(gateway, &id, until).await })
        .buffered(READS)
        .try_collect()
        .await?;
    let jobs: Vec<Listed> = jobs.into_iter().flatten().collect();
    let link = next.as_ref().map(|next| [(LINK, format!("<{next}>; rel=\"next\""))]);
    let body = Json(serde_json::json!({ "jobs": jobs, "next": next }));
    let answer = ([(CACHE_CONTROL, "no-store")], body);
    Ok(match link {
        Some(link) => (link, answer).into_response(),
        None => answer.into_response(),
    })
}

fn bad_query() -> Problem {
    let detail = format!(
        "The query takes `limit` (a number from 1 to {LIMIT_MAX}) and `after` (the id of a job or a video)."
    );
    Problem::new(StatusCode::BAD_REQUEST, "bad-query", detail)
}

/// The entry of a video. If it cannot be read, its entry gives the reason, and the list goes on.
///
/// # Errors
/// The broker is down, which concerns every entry.
async fn listed(
    gateway: &Gateway,
    id: &VideoId,
    until: Instant,
) -> Result<Option<Listed>, Failure> {
    // A failure of the store concerns this entry only; others may not need the store.
    let away = |failure: &Failure| {
        failure.severity == Severity::DependencyFault && failure.object.is_none()
    };
    let video = match erase::there(gateway, id).await {
        // The video was deleted since the list was read, which is no error.
        Ok(None) => {
            gateway.catalog.forget(id);
            return Ok(None);
        }
        Ok(Some(video)) => video,
        Err(failure) if away(&failure) => return Err(failure),
        Err(failure) => return Ok(Some(Listed::unreadable(id, &failure))),
    };
    let Some(order) = newest(&video) else { return Ok(None) };
    let job = |summary| Ok(Some(Listed::Job(Box::new(summary))));
    let Some(plan) = order.plan.as_ref().filter(|_| !order.status.is_closed()) else {
        let completed = order.status == Status::Completed;
        return job(summary(&video, order, None, completed));
    };
    let at =
        |plan: &Plan, view: &View| summary(&video, order, Some((plan, view)), pictures_in(view));
    let id = video.order_id(order.number);
    let looked = gateway.orders.look_until(until, &gateway.ports, &id, plan, at);
    match looked.await {
        Ok(summary) => job(summary),
        Err(failure) if away(&failure) => Err(failure),
        Err(failure) => job(summary(&video, order, None, false).without_progress(&failure)),
    }
}
