//! `GET /v1/videos/{id}/cost`: what a video has cost.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use jetreel_domain::order::state::{Order, Status, Video};
use jetreel_domain::output::cost::{CostSheet, Priced};
use jetreel_domain::words::failure::Failure;
use serde::Serialize;

use super::catalog::Finished;
use super::jobs;
use super::problem::Problem;
use super::{Gateway, erase};

/// The document.
#[derive(Debug, Serialize)]
struct Document {
    video: String,
    /// The job that the amounts are of.
    job: String,
    status: Status,
    #[serde(flatten)]
    cost: Priced,
    /// What the amounts leave out, each a sentence.
    not_counted: Vec<String>,
}

/// The cost of the newest job of a video; of another one by its id.
pub(super) async fn get(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (id, number) = jobs::parse(&id).map_err(|_| erase::no_such_video())?;
    let video = erase::there(&gateway, &id).await?.ok_or_else(erase::no_such_video)?;
    let order = match number {
        Some(number) => video.order(number),
        None => jobs::newest(&video),
    };
    let order = order.ok_or_else(jobs::no_such_job)?;
    let sheet = sheet(&gateway, &video, order).await?;
    let document = Document {
        video: video.id.to_string(),
        job: video.order_id(order.number).to_string(),
        status: order.status,
        not_counted: not_counted(&video, order, &sheet),
        cost: sheet.priced(&gateway.prices),
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(document)).into_response())
}

/// From the ledger while the order is open, from the manifest afterwards.
async fn sheet(gateway: &Gateway, video: &Video, order: &Order) -> Result<CostSheet, Failure> {
    let id = video.order_id(order.number);
    if let Some(published) = order.published.clone() {
        let finished = Finished { order: id, published };
        let manifest = gateway.orders.manifest(&gateway.ports, &finished).await?;
        return Ok(CostSheet::of_manifest(&manifest));
    }
    match &order.plan {
        // The ledger of a closed order is being removed, and so is the plan of a cancelled one.
        Some(plan) if !order.is_closed() => {
            gateway.orders.look(&gateway.ports, &id, plan, CostSheet::of_ledger).await
        }
        Some(_) | None => Ok(CostSheet::of_original(video.source_of(order.number).bytes)),
    }
}

fn not_counted(video: &Video, order: &Order, sheet: &CostSheet) -> Vec<String> {
    let mut sentences = vec![
        "Bytes that viewers fetched are not recorded by video; `plays` is what one complete play of each tier takes.".to_owned(),
        "CPU time of probes, of failed attempts and of the nodes themselves is not counted.".to_owned(),
    ];
    if sheet.attempts_uncounted > 0 {
        sentences.push(format!(
            "Finished tasks had {} earlier attempts, whose CPU time is not counted but for stored parts.",
            sheet.attempts_uncounted
        ));
    }
    if order.published.is_none() && order.is_closed() {
        sentences
            .push("The records of this job are removed, so its work is not counted.".to_owned());
    }
    if video.orders.len() > 1 {
        sentences.push("The video has several jobs; this is one of them.".to_owned());
    }
    sentences
}

#[cfg(test)]
mod tests {
    use reqwest::{Client, StatusCode};
    use serde_json::Value;

    use crate::http::testing::served;

    #[tokio::test]
    async fn an_upload_without_a_plan_costs_its_bytes_and_an_unknown_one_is_not_found() {
        let served = served().await;
        let upload = Client::new().post(served.at("/v1/videos")).body(vec![7_u8; 2500]);
        assert_eq!(upload.send().await.unwrap().status(), StatusCode::ACCEPTED);
        let video = served.video().id;
        for id in [video.to_string(), format!("{video}-1")] {
            let answer = reqwest::get(served.at(&format!("/v1/videos/{id}/cost"))).await.unwrap();
            let cost: Value = answer.json().await.unwrap();
            assert_eq!((&cost["bytes_in"], &cost["cpu_seconds"]), (&2500.into(), &0.0.into()));
            assert_eq!((&cost["compute"], &cost["stored_month"]), (&0.0.into(), &Value::Null));
            assert_eq!(cost["status"], "QUEUED");
        }
        let absent = "00000000000000000000000000".to_owned();
        for (id, code) in [
            (format!("{video}-9"), "no-such-job"),
            (absent, "no-such-video"),
            ("film".to_owned(), "no-such-video"),
        ] {
            let answer = reqwest::get(served.at(&format!("/v1/videos/{id}/cost"))).await.unwrap();
            assert_eq!(answer.status(), StatusCode::NOT_FOUND);
            assert_eq!(answer.json::<Value>().await.unwrap()["code"], code);
        }
    }
}
