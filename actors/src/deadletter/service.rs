//! Operations on dead letters, shared by the command line, the HTTP interface and the NATS micro service.

use std::sync::Arc;

use jetreel_domain::delivery::deadletter::{Buried, Explanation};
use jetreel_domain::delivery::selection::Selection;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::OrderId;
use jetreel_domain::order::state::PlanRef;
use jetreel_domain::plan::{Class, Plan};
use jetreel_domain::words::failure::Failure;
use serde::Serialize;

use crate::plans::Plans;
use crate::ports::{Broker, DeadLetters, Ports, Store};

/// Letters read at a time.
const PAGE: usize = 64;

/// Operations on dead letters.
#[derive(Clone)]
pub struct DlqService {
    pub broker: Arc<dyn Broker>,
    pub letters: Arc<dyn DeadLetters>,
    /// Store of the plans. Without it an inspection lacks the facts of the source.
    pub store: Option<Arc<dyn Store>>,
}

/// A letter in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Sequence in DLQ.
    pub seq: u64,
    /// When the letter was buried, in seconds since the Unix epoch.
    pub died: i64,
    /// Stage that buried the message.
    pub stage: String,
    /// Id of the job; `None` if the message cannot be decoded.
    pub job: Option<String>,
    /// Task, or name of the stage.
    pub task: String,
    /// Code of the failure.
    pub reason: String,
    /// Sentence of the failure, for users.
    pub error: String,
    /// Number of attempts.
    pub attempts: usize,
}

/// A letter with all that is known about its job, as an operator needs it to decide.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// Content of the letter.
    #[serde(flatten)]
    pub letter: Explanation,
    /// Facts of the source; `None` if there is no plan.
    pub source: Option<Facts>,
    /// Commands that replay the letter. Each is sufficient by itself.
    pub replay: Vec<String>,
}

/// What the probe found about a source.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Facts {
    /// Size of the original in bytes.
    pub bytes: u64,
    /// Duration in seconds.
    pub duration_seconds: f64,
    /// Names of the container format.
    pub format: String,
    /// Codec of the picture track.
    pub codec: String,
    /// Coded width in pixels.
    pub width: u32,
    /// Coded height in pixels.
    pub height: u32,
    /// Frames per second.
    pub frame_rate: f64,
    /// Whether the source is cut into chunks or decoded in one go.
    pub class: Class,
}

impl DlqService {
    /// A service on the ports of a node.
    #[must_use]
    pub fn new(ports: &Ports) -> Self {
        Self {
            broker: ports.broker.clone(),
            letters: ports.letters.clone(),
            store: Some(ports.store.clone()),
        }
    }

    /// At most `limit` letters that the selection matches, with a sequence above `after`, ascending.
    ///
    /// # Errors
    /// The broker failed.
    pub async fn select(
        &self,
        wanted: &Selection,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Buried>, Failure> {
        let (mut found, mut after) = (Vec::new(), after);
        while found.len() < limit {
            let page = self.letters.letters(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.sequence;
            found.extend(page.into_iter().filter(|buried| wanted.admits(buried)));
        }
        found.truncate(limit);
        Ok(found)
    }

    /// A letter with all that is known about it; `None` if there is no letter with that sequence.
    ///
    /// # Errors
    /// The broker failed. A plan that cannot be read is left out, so that the letter is shown in any case.
    pub async fn inspect(&self, sequence: u64) -> Result<Option<Inspection>, Failure> {
        let Some(buried) = self.letters.letter(sequence).await? else { return Ok(None) };
        let source = self.facts(&buried).await.unwrap_or_else(|failure| {
            tracing::warn!(sequence, %failure, "the plan of a dead letter cannot be read");
            None
        });
        let replay = commands(&buried);
        Ok(Some(Inspection { letter: buried.explain(), source, replay }))
    }

    async fn facts(&self, buried: &Buried) -> Result<Option<Facts>, Failure> {
        let Some(store) = &self.store else { return Ok(None) };
        let Some(order) = &buried.letter.order else { return Ok(None) };
        let Some(PlanRef { object, .. }) = self.plan(order).await? else { return Ok(None) };
        let store = store.as_ref();
        let plan = Plans::default().get(store, order, &object.key, &object.sha256).await?;
        Ok(facts(&plan))
    }

    async fn plan(&self, order: &OrderId) -> Result<Option<PlanRef>, Failure> {
        let video = self.broker.video(&order.video).await?;
        Ok(video.and_then(|video| video.value.order(order.number)?.plan.clone()))
    }
}

impl From<&Buried> for Line {
    fn from(buried: &Buried) -> Self {
        let letter = &buried.letter;
        Self {
            seq: buried.sequence,
            died: buried.at,
            stage: letter.stage.clone(),
            job: letter.order.as_ref().map(ToString::to_string),
            task: letter.task.to_string(),
            reason: letter.failure.code.clone(),
            error: letter.failure.message.clone(),
            attempts: letter.attempts.len(),
        }
    }
}

fn facts(plan: &Plan) -> Option<Facts> {
    let track = plan.facts.video.as_ref()?;
    Some(Facts {
        bytes: plan.facts.bytes,
        duration_seconds: plan.seconds(),
        format: plan.facts.format.clone(),
        codec: track.codec.clone(),
        width: track.width,
        height: track.height,
        frame_rate: track.frame_rate.as_f64(),
        class: plan.class,
    })
}

/// Every command that replays this letter. The last one uses only the NATS command line.
fn commands(buried: &Buried) -> Vec<String> {
    let sequence = buried.sequence;
    let mut commands = vec![format!("jetreel dlq replay {sequence}")];
    if let Some(order) = &buried.letter.order {
        commands.push(format!("curl -X POST http://GATEWAY/v1/jobs/{order}/retry"));
    }
    let service = subject::ADMIN_DLQ;
    commands.push(format!("nats req {service}.replay '{{\"seq\":{sequence}}}'"));
    let decode = "sed -n 's/.*\"data\": *\"\\([^\"]*\\)\".*/\\1/p' | base64 -d";
    let publish = format!(
        "nats pub --no-templates --force-stdin -H Nats-Msg-Id:replay-{sequence} {}",
        quoted(&buried.letter.subject)
    );
    commands.push(format!("nats stream get DLQ {sequence} --json | {decode} | {publish}"));
    commands
}

/// Quotes for a shell: a subject may hold any characters.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetreel_domain::delivery::deadletter::DeadLetter;

    #[test]
    fn commands_are_safe_to_paste() {
        let letter = DeadLetter::from_parts("a.$(x)'b".into(), Vec::new(), Vec::new());
        let commands = commands(&Buried { sequence: 17, at: 0, letter });
        assert!(commands.iter().all(|command| command.contains("17")), "{commands:?}");
        assert!(
            commands.last().is_some_and(|last| last.ends_with("'a.$(x)'\\''b'")),
            "{commands:?}"
        );
    }
}
