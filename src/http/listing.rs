//! `GET /v1/jobs`: the newest job of each video, newest videos first, page by page.
//!
//! A page costs what it shows and what changed since the last one, however many videos there are. Uploads that were given up are left
//! out.

use std::sync::Arc;

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

use super::job_document::{Listed, summary};
use super::jobs::{newest, parse, pictures_in};
use super::problem::Problem;
use super::{Gateway, erase};

/// Jobs in a page unless the query says otherwise.
const LIMIT_DEFAULT: usize = 20;
/// Jobs in a page at most.
const LIMIT_MAX: usize = 100;
/// States that are read at the same time for a page.
const READS: usize = 8;

/// Query of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    limit: Option<usize>,
    /// The last video, or job, of the page before.
    after: Option<String>,
}

/// A page. The header `Link` names the next one (RFC 8288), and so does `next`.
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
    let jobs: Vec<Option<Listed>> = stream::iter(ids)
        .map(|id| async move { listed(gateway, &id).await })
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

/// The entry of a video. What cannot be read of it is said in its entry, and keeps nobody from the others.
///
/// # Errors
/// When the broker is away: for the others too.
async fn listed(gateway: &Gateway, id: &VideoId) -> Result<Option<Listed>, Failure> {
    // What the store says is of this one alone: others may not need it.
    let away = |failure: &Failure| {
        failure.severity == Severity::DependencyFault && failure.object.is_none()
    };
    let video = match erase::there(gateway, id).await {
        // Deleted since the list was read: not an error.
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
    let looked = gateway.orders.look_soon(&gateway.ports, &id, plan, at);
    match looked.await {
        Ok(summary) => job(summary),
        Err(failure) if away(&failure) => Err(failure),
        Err(failure) => job(summary(&video, order, None, false).without_progress(&failure)),
    }
}
