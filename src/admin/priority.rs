//! `jetreel.admin.jobs.priority`: puts a job into another lane.

use bytes::Bytes;
use jetreel_actors::lanes;
use jetreel_actors::ports::Ports;
use jetreel_domain::id::{OrderId, VideoId};
use jetreel_domain::order::priority::{self, PriorityRefused};
use serde::Deserialize;
use serde_json::json;

use super::{bad, encoded, refusal};
use crate::bus::service::Refusal;

/// A request: a job's id or its video's, and the lane.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    job: String,
    lane: String,
}

/// Answers a request when the queued tasks are moved.
pub(super) async fn answer(ports: Ports, body: Bytes) -> Result<Vec<u8>, Refusal> {
    let wish: Wish = serde_json::from_slice(&body).map_err(|error| {
        bad(format!("the request: {error}; name a job and a lane, as in {EXAMPLE}"))
    })?;
    let lane = priority::lane(&wish.lane).map_err(refused)?;
    let (id, number) = job(&wish.job).ok_or_else(|| refused(PriorityRefused::NoSuchJob))?;
    let job = lanes::prioritise(&ports, &id, number, lane).await.map_err(refusal)?;
    let job = job.map_err(refused)?;
    lanes::settle(&ports, &job.order()).await.map_err(refusal)?;
    let (job, changed) = (job.order().to_string(), job.changed);
    encoded(&json!({ "job": job, "lane": lane, "changed": changed }))
}

/// A request as it should be.
const EXAMPLE: &str = r#"{"job":"…","lane":"high"}"#;

fn job(id: &str) -> Option<(VideoId, Option<u32>)> {
    let order = id.parse::<OrderId>().map(|order| (order.video, Some(order.number)));
    order.or_else(|_| id.parse().map(|video| (video, None))).ok()
}

fn refused(refused: PriorityRefused) -> Refusal {
    let code = match refused {
        PriorityRefused::UnknownLane(_) => 400,
        PriorityRefused::NoSuchJob => 404,
        PriorityRefused::Completed
        | PriorityRefused::Cancelled
        | PriorityRefused::Superseded(_) => 409,
    };
    Refusal { code, status: refused.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_named_by_its_id_or_by_its_video() {
        let id = VideoId::from_bits(9);
        assert_eq!(job(&format!("{id}-2")), Some((id.clone(), Some(2))));
        assert_eq!(job(id.as_str()), Some((id, None)));
        assert_eq!(job("../etc"), None);
    }
}
