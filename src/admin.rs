//! The micro service `jetreel-admin`: dead letters and lanes for clients with the `nats` command line.
//!
//! ```text
//! nats req jetreel.admin.dlq.replay '{"seq":17}'
//! nats req jetreel.admin.jobs.priority '{"job":"…","lane":"high"}'
//! ```

mod priority;

use std::sync::Arc;

use bytes::Bytes;
use jetreel_actors::deadletter::{Action, DlqService, Line};
use jetreel_actors::ports::Ports;
use jetreel_domain::delivery::deadletter::Buried;
use jetreel_domain::delivery::selection::Selection;
use jetreel_domain::delivery::subject::{ADMIN_DLQ, ADMIN_JOBS};
use jetreel_domain::id::VideoId;
use jetreel_domain::words::failure::{Failure, Severity};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bus::Bus;
use crate::bus::service::{Answer, Question, Refusal, RunningService};

/// Name of the service.
pub const SERVICE: &str = "jetreel-admin";

/// Default number of letters in an answer.
const LIMIT_DEFAULT: usize = 50;
/// Most letters in an answer. A letter has some hundred bytes, so an answer is far below the broker's message limit.
const LIMIT_MAX: usize = 500;

/// A request. An empty one selects all letters.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Request {
    seq: Option<u64>,
    video: Option<VideoId>,
    job: Option<String>,
    reason: Option<String>,
    stage: Option<String>,
    /// Whether all letters are selected. Required for a change of all letters.
    all: bool,
    dry_run: bool,
    /// Only letters above this sequence.
    after: u64,
    limit: Option<usize>,
}

/// Starts the service.
///
/// # Errors
/// The broker refuses the subscriptions.
pub async fn start(bus: &Bus, ports: &Ports) -> Result<RunningService, Failure> {
    let about = "dead letters and jobs of Jetreel; requests and answers are JSON";
    let service = DlqService::new(ports);
    let verb = |name, verb: &str, about, answer: fn(DlqService, Request) -> Answer| {
        let service = service.clone();
        let answer = move |body: Bytes| match parse(&body) {
            Ok(request) => answer(service.clone(), request),
            Err(refusal) => Box::pin(std::future::ready(Err(refusal))) as Answer,
        };
        Question { name, subject: format!("{ADMIN_DLQ}.{verb}"), about, answer: Arc::new(answer) }
    };
    let questions = vec![
        verb("dlq-ls", "ls", "letters: {video, job, reason, stage, after, limit}", |service, r| {
            Box::pin(list(service, r))
        }),
        verb("dlq-show", "show", "one letter: {seq}", |service, r| Box::pin(show(service, r))),
        verb(
            "dlq-replay",
            "replay",
            "queue again: {seq}, or filters, or {all: true}; dry_run, limit",
            |service, r| Box::pin(handle(service, Action::Replay, r)),
        ),
        verb(
            "dlq-discard",
            "discard",
            "remove for good: {seq}, or filters, or {all: true}; dry_run, limit",
            |service, r| Box::pin(handle(service, Action::Discard, r)),
        ),
    ];
    let questions = questions.into_iter().chain([priority(ports.clone())]).collect();
    bus.serve(SERVICE, about, questions).await
}

fn priority(ports: Ports) -> Question {
    Question {
        name: "job-priority",
        subject: format!("{ADMIN_JOBS}.priority"),
        about: "put a job into a lane: {job, lane}",
        answer: Arc::new(move |body| Box::pin(priority::answer(ports.clone(), body))),
    }
}

fn parse(body: &[u8]) -> Result<Request, Refusal> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Request::default());
    }
    let request: Request =
        serde_json::from_slice(body).map_err(|error| bad(format!("the request: {error}")))?;
    if request.limit.is_some_and(|limit| !(1..=LIMIT_MAX).contains(&limit)) {
        return Err(bad(format!("`limit` is a number from 1 to {LIMIT_MAX}")));
    }
    Ok(request)
}

impl Request {
    fn selection(&self) -> Selection {
        Selection {
            video: self.video.clone(),
            job: self.job.clone(),
            reason: self.reason.clone(),
            stage: self.stage.clone(),
        }
    }

    /// The selected letters, and where the next page begins if there are more.
    async fn letters(&self, service: &DlqService) -> Result<(Vec<Buried>, Option<u64>), Refusal> {
        if let Some(seq) = self.seq {
            let found = service.letters.letter(seq).await.map_err(refusal)?;
            return Ok((vec![found.ok_or_else(|| absent(seq))?], None));
        }
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        let mut found =
            service.select(&self.selection(), self.after, limit + 1).await.map_err(refusal)?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().map(|buried| buried.sequence).filter(|_| more);
        Ok((found, next))
    }
}

async fn list(service: DlqService, request: Request) -> Result<Vec<u8>, Refusal> {
    let (found, next) = request.letters(&service).await?;
    let letters: Vec<Line> = found.iter().map(Line::from).collect();
    encoded(&json!({ "letters": letters, "next": next }))
}

async fn show(service: DlqService, request: Request) -> Result<Vec<u8>, Refusal> {
    let seq = request.seq.ok_or_else(|| bad("name a letter, as in {\"seq\":17}".to_owned()))?;
    let found = service.inspect(seq).await.map_err(refusal)?;
    encoded(&found.ok_or_else(|| absent(seq))?)
}

async fn handle(service: DlqService, action: Action, request: Request) -> Result<Vec<u8>, Refusal> {
    if request.seq.is_none() && request.selection().is_all() && !request.all {
        let text = "name a letter ({\"seq\":17}), filters, or {\"all\":true}";
        return Err(bad(text.to_owned()));
    }
    let (found, next) = request.letters(&service).await?;
    let mut results = Vec::new();
    for buried in &found {
        results.push(service.handle(action, buried, request.dry_run).await.map_err(refusal)?);
    }
    encoded(&json!({ "results": results, "next": next }))
}

fn encoded(answer: &impl Serialize) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(answer).map_err(|error| Refusal { code: 500, status: error.to_string() })
}

fn bad(status: String) -> Refusal {
    Refusal { code: 400, status }
}

fn absent(seq: u64) -> Refusal {
    Refusal { code: 404, status: format!("there is no letter {seq}") }
}

fn refusal(failure: Failure) -> Refusal {
    let code = match failure.severity {
        Severity::Permanent => 400,
        Severity::TaskFault => 500,
        Severity::DependencyFault => 503,
    };
    Refusal { code, status: failure.message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_may_be_empty_but_not_misspelt() {
        assert_eq!(parse(b" "), Ok(Request::default()));
        let one = parse(br#"{"seq":17}"#).map(|request| request.seq);
        assert_eq!(one, Ok(Some(17)));
        for wrong in ["{\"sec\":17}", "{\"limit\":0}", "17", "{\"video\":\"../x\"}"] {
            assert_eq!(
                parse(wrong.as_bytes()).map_err(|refusal| refusal.code),
                Err(400),
                "{wrong}"
            );
        }
    }

    #[test]
    fn trouble_that_passes_says_so() {
        assert_eq!(refusal(Failure::dependency("broker-timeout", "x")).code, 503);
        assert_eq!(refusal(Failure::permanent("bad-subject", "x")).code, 400);
    }
}
