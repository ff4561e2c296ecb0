//! Replay: the original bytes are published to their original subject, and the letter is removed.
//!
//! ```text
//! publish to the original subject ─► remove the letter
//! ```
//! Every step can be repeated: a task that is queued already cannot be queued again, and a finished task is acknowledged without work. A
//! crash in between leaves a letter whose replay is harmless.

use jetreel_domain::delivery::deadletter::{Buried, DeadLetter};
use jetreel_domain::delivery::message::{Evaluate, Uploaded, VERSION};
use jetreel_domain::delivery::stage::{Stage, Unit};
use jetreel_domain::delivery::subject;
use jetreel_domain::id::OrderId;
use jetreel_domain::order::state::{Dead, Order};
use jetreel_domain::words::failure::{Failure, Severity};
use serde::Serialize;

use super::service::DlqService;
use crate::crash;
use crate::ports::WriteOnce;
use crate::releases;
use crate::stages;

/// Outcome of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The message is queued, by this replay or by an earlier one.
    Replayed,
    /// Jetreel's own message is still in the queue and is about to be removed. The letter stays; replay it again in a moment.
    Busy,
    /// The job is closed, so nothing is left to do. The letter is removed.
    NotNeeded,
    /// No state knows the job, so it may be open or closed. The letter stays.
    Unknown,
}

/// Outcome of the replay of one dead task of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Task, or name of the stage.
    pub task: String,
    /// Sequence of the replayed letter; `None` if there was no letter and the message was rebuilt from state and plan.
    pub seq: Option<u64>,
    pub outcome: Outcome,
}

impl DlqService {
    /// Replays a letter.
    ///
    /// # Errors
    /// The broker failed, no stage reads the letter's subject, or the body contradicts its subject. The letter stays.
    pub async fn replay(&self, buried: &Buried) -> Result<Outcome, Failure> {
        stages::may_go_back(&buried.letter)?;
        let outcome = match self.standing(buried).await? {
            Standing::Unknown => return Ok(Outcome::Unknown),
            Standing::Over => Outcome::NotNeeded,
            Standing::Open => match self.letters.replay(buried).await? {
                WriteOnce::Mine => Outcome::Replayed,
                WriteOnce::Taken => return Ok(Outcome::Busy),
            },
        };
        crash::point("dlq-after-replay");
        self.letters.discard(buried.sequence).await?;
        Ok(outcome)
    }

    /// Replays every dead task of a job. Empty if nothing is dead or the job is closed; `None` if there is no such job.
    ///
    /// # Errors
    /// The broker failed. Tasks replayed so far stay so, and a later call continues.
    pub async fn replay_order(&self, id: &OrderId) -> Result<Option<Vec<Replayed>>, Failure> {
        let Some(video) = self.broker.video(&id.video).await? else { return Ok(None) };
        let Some(order) = video.value.order(id.number) else { return Ok(None) };
        if order.is_closed() {
            return Ok(Some(Vec::new()));
        }
        let (mut replayed, mut refused) = (Vec::new(), None);
        for (unit, dead) in &order.dead {
            match self.replay_unit(id, order, unit, dead).await {
                Ok(done) => replayed.push(done),
                // This failure concerns one task. The others are still replayed.
                Err(failure) if failure.severity != Severity::DependencyFault => {
                    refused = Some(failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        match refused {
            Some(failure) if replayed.is_empty() => Err(failure),
            Some(_) | None => Ok(Some(replayed)),
        }
    }

    async fn replay_unit(
        &self,
        id: &OrderId,
        order: &Order,
        unit: &Unit,
        dead: &Dead,
    ) -> Result<Replayed, Failure> {
        let task = unit.to_string();
        if let Some(buried) = self.letter_of(id, unit, dead).await? {
            let outcome = self.replay(&buried).await?;
            return Ok(Replayed { task, seq: Some(buried.sequence), outcome });
        }
        // The letter was replayed by hand, discarded, or never written: the message is rebuilt from state and plan.
        let letter = remade(id, order, unit, dead)?;
        // The number of the missing letter makes a replay of a moment ago a duplicate.
        let buried = Buried { sequence: dead.letter, at: 0, letter };
        let outcome = match self.letters.replay(&buried).await? {
            WriteOnce::Mine => Outcome::Replayed,
            WriteOnce::Taken => Outcome::Busy,
        };
        Ok(Replayed { task, seq: None, outcome })
    }

    /// The letter of a death, if it still exists.
    async fn letter_of(
        &self,
        id: &OrderId,
        unit: &Unit,
        dead: &Dead,
    ) -> Result<Option<Buried>, Failure> {
        if dead.letter == 0 {
            return Ok(None);
        }
        let found = self.letters.letter(dead.letter).await?;
        Ok(found.filter(|Buried { letter, .. }| {
            letter.order.as_ref() == Some(id) && letter.task == *unit
        }))
    }

    async fn standing(&self, buried: &Buried) -> Result<Standing, Failure> {
        let Some(id) = &buried.letter.order else { return Ok(Standing::Open) };
        let video = self.broker.video(&id.video).await?;
        Ok(standing(video.as_ref().and_then(|video| video.value.order(id.number))))
    }
}

/// State of a letter's job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The job is open, or the letter names no job.
    Open,
    Over,
    /// There is no state: it was lost, or a backup was restored. The letter must not be lost too.
    Unknown,
}

fn standing(order: Option<&Order>) -> Standing {
    match order {
        None => Standing::Unknown,
        Some(order) if order.is_closed() => Standing::Over,
        Some(_) => Standing::Open,
    }
}

/// A letter rebuilt from state and plan.
fn remade(id: &OrderId, order: &Order, unit: &Unit, dead: &Dead) -> Result<DeadLetter, Failure> {
    let (subject, body) = match (unit, &order.plan) {
        (Unit::Task(task), Some(plan)) => {
            let body = encoded(&releases::body(order, id, *task, &plan.object))?;
            (subject::encode(order.lane, id, *task), body)
        }
        (Unit::Stage(Stage::Ingest), _) => {
            let (video, number) = (id.video.clone(), id.number);
            let body = Uploaded::new(video, number, order.lane);
            (subject::upload(&id.video), encoded(&body)?)
        }
        (Unit::Task(_), None) | (Unit::Stage(Stage::Encode) | Unit::Unknown(_), _) => {
            let message = "The state names a dead task that this version of Jetreel does not know.";
            return Err(Failure::task("task-unknown", message).with_detail(unit));
        }
        // Its messages name the order and nothing else.
        (Unit::Stage(stage), _) => {
            let body = Evaluate { v: VERSION, order: id.clone() };
            (stage.subject_of(id), encoded(&body)?)
        }
    };
    Ok(DeadLetter {
        sequence: dead.sequence,
        order: Some(id.clone()),
        task: unit.clone(),
        failure: dead.failure.clone(),
        ..DeadLetter::from_parts(subject, body, Vec::new())
    })
}

fn encoded(body: &impl Serialize) -> Result<Vec<u8>, Failure> {
    rmp_serde::to_vec_named(body).map_err(|error| {
        Failure::task("bad-message", "A message cannot be written.").with_detail(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetreel_domain::delivery::message::EncodeTask;
    use jetreel_domain::id::VideoId;
    use jetreel_domain::order::lane::Lane;
    use jetreel_domain::order::ledger::Object;
    use jetreel_domain::order::state::{PlanRef, Status};
    use jetreel_domain::plan::Class;

    fn order() -> (OrderId, Order) {
        let object = Object { key: "plans/x".into(), bytes: 3, sha256: "ab".into() };
        let plan = PlanRef {
            object,
            class: Class::A,
            tiers: Vec::new(),
            tasks: 1,
            chunks: 1,
            urgent: 0,
            bulk: None,
        };
        let order = Order::new(2, Status::Failed, Lane::High, 0);
        (OrderId::new(VideoId::from_bits(7), 2), Order { plan: Some(plan), ..order })
    }

    fn dead() -> Dead {
        Dead { sequence: 9, failure: Failure::task("codec-signal", "it crashed"), letter: 3 }
    }

    #[test]
    fn a_job_without_a_state_is_not_taken_for_one_that_is_over() {
        let (_, mut order) = order();
        assert_eq!(standing(None), Standing::Unknown);
        assert_eq!(standing(Some(&order)), Standing::Open);
        order.status = Status::Cancelled;
        assert_eq!(standing(Some(&order)), Standing::Over);
        order = Order { superseded: true, ..Order::new(1, Status::Encoding, Lane::Normal, 0) };
        assert_eq!(standing(Some(&order)), Standing::Over);
    }

    #[test]
    fn a_message_is_made_again_as_it_was_released() {
        let (id, order) = order();
        let letter = remade(&id, &order, &"main-0003".into(), &dead()).unwrap();
        let body: EncodeTask = rmp_serde::from_slice(&letter.body).unwrap();
        assert_eq!(letter.subject, subject::encode(Lane::High, &id, body.task));
        assert_eq!((body.task.to_string().as_str(), body.plan.as_str()), ("main-0003", "plans/x"));
        let upload = remade(&id, &order, &Stage::Ingest.into(), &dead()).unwrap();
        let body: Uploaded = rmp_serde::from_slice(&upload.body).unwrap();
        assert_eq!((upload.subject, body.number), (subject::upload(&id.video), 2));
        let publish = remade(&id, &order, &Stage::Publish.into(), &dead()).unwrap();
        assert_eq!(publish.subject, subject::publish(&id));
        assert!(remade(&id, &order, &"other".into(), &dead()).is_err());
    }
}
