//! What people do with dead letters, whichever way they come: command line, HTTP, micro service.

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

/// What is needed to look at dead letters and to replay them.
#[derive(Clone)]
pub struct DlqService {
    /// State and queues.
    pub broker: Arc<dyn Broker>,
    /// The letters.
    pub letters: Arc<dyn DeadLetters>,
    /// Where plans lie; without one a letter is shown without its source.
    pub store: Option<Arc<dyn Store>>,
}

/// A letter in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Sequence in DLQ.
    pub seq: u64,
    /// When it was buried, seconds since the Unix epoch.
    pub died: i64,
    /// The stage that gave it up.
    pub stage: String,
    /// The job, where the message could be understood.
    pub job: Option<String>,
    /// The task, or the stage's own name.
    pub task: String,
    /// Stable code.
    pub reason: String,
    /// A sentence a user understands.
    pub error: String,
    /// How often it was tried.
    pub attempts: usize,
}

/// A letter with everything that helps to decide what to do about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// What it says itself.
    #[serde(flatten)]
    pub letter: Explanation,
    /// What the source is, where there is a plan.
    pub source: Option<Facts>,
    /// Commands that replay it, each enough by itself.
    pub replay: Vec<String>,
}

/// What the probe found out about a source.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Facts {
    /// Bytes of the original.
    pub bytes: u64,
    /// Seconds of it.
    pub duration_seconds: f64,
    /// Names of the container's formats.
    pub format: String,
    /// Codec of the picture.
    pub codec: String,
    /// Pixels as stored.
    pub width: u32,
    /// Pixels as stored.
    pub height: u32,
    /// Frames per second.
    pub frame_rate: f64,
    /// Whether it is cut or decoded in one go.
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

    /// Letters that are meant, with a sequence above `after`, ascending, at most `limit`.
    ///
    /// # Errors
    /// When the broker fails.
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

    /// A letter with all that is known about it; `None` where there is none with that sequence.
    ///
    /// # Errors
    /// When the broker fails. A plan that cannot be read is left out: what the letter says must be seen all the same.
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

/// Every way, written out for this letter. The last needs nothing of Jetreel.
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

/// For a shell: a subject may hold whatever somebody put there.
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
