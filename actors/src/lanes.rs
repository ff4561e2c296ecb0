//! Changes the lane of a job while it runs.
//!
//! One compare-and-set changes the state. Then the queued tasks are moved, see [`jetreel_domain::delivery::transfer`]. Who asks moves them, and
//! so does every publisher that meets the new state, because it may have released tasks by an older one. Moving twice, or on two nodes at
//! once, is harmless. Tasks that a crash leaves in the old lane are done from there; asking again moves them.

use jetreel_domain::delivery::message::EncodeTask;
use jetreel_domain::delivery::stage::Unit;
use jetreel_domain::delivery::subject;
use jetreel_domain::delivery::transfer::{self, Step};
use jetreel_domain::id::{OrderId, TaskId, VideoId};
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::priority::PriorityRefused;
use jetreel_domain::order::state::{Status, Video};
use jetreel_domain::words::failure::Failure;

use crate::change;
use crate::crash;
use crate::event::Event;
use crate::intake;
use crate::ports::{Ports, Stored, Swap};

/// Most steps for one task. More are needed only if its order changes lanes all the time.
const STEPS_MAX: usize = 8;
/// Most rounds of one move. A round is repeated if the lane was changed meanwhile.
const ROUNDS_MAX: usize = 4;

/// A job that is in the wanted lane.
#[derive(Debug, Clone)]
pub struct Prioritised {
    /// State of its video.
    pub video: Video,
    pub number: u32,
    /// Whether its lane was another before.
    pub changed: bool,
}

impl Prioritised {
    /// The job.
    #[must_use]
    pub fn order(&self) -> OrderId {
        self.video.order_id(self.number)
    }
}

/// Puts a job into a lane: that of this number, or the newest of the video. Its queued tasks are not moved yet, see [`settle`].
///
/// # Errors
/// The broker failed. The inner error: there is no such job, or it is closed.
pub async fn prioritise(
    ports: &Ports,
    id: &VideoId,
    number: Option<u32>,
    lane: Lane,
) -> Result<Result<Prioritised, PriorityRefused>, Failure> {
    let mut result = Err(PriorityRefused::NoSuchJob);
    let video = change::video(ports, id, |video| {
        result = video.prioritise(number, lane);
        Ok(result.as_ref().is_ok_and(|(_, changed)| *changed))
    })
    .await?;
    let Some(video) = video else { return Ok(Err(PriorityRefused::NoSuchJob)) };
    let prioritised = result.map(|(number, changed)| Prioritised { video, number, changed });
    if let Ok(job) = &prioritised
        && job.changed
    {
        tracing::info!(order = %job.order(), %lane, "a job has another lane");
        crash::point("priority-after-state");
    }
    Ok(prioritised)
}

/// Moves the queued tasks of an order that no node has taken to its lane.
///
/// # Errors
/// The broker failed. A later call moves the rest.
pub async fn settle(ports: &Ports, id: &OrderId) -> Result<(), Failure> {
    let mut settled = None;
    for _ in 0..ROUNDS_MAX {
        let found = ports.broker.video(&id.video).await?;
        let Some(found) = found.filter(|found| !found.value.is_deleted()) else { break };
        let order = found.value.order(id.number).filter(|order| !order.is_closed());
        // Nothing of a FAILED order is queued anew.
        let Some(order) = order.filter(|order| order.status == Status::Encoding) else { break };
        let lane = order.lane;
        if settled == Some(lane) {
            break;
        }
        for message in ports.broker.queued_messages(id, None).await? {
            let task = misplaced(&message, lane);
            let alive = |task: &TaskId| !order.dead.contains_key(&Unit::Task(*task));
            let Some(task) = task.filter(alive) else { continue };
            transfer(ports, id, task, &message, lane).await?;
        }
        settled = Some(lane);
    }
    Ok(())
}

/// The task of a message that belongs into another lane. A message that an operator published stays where the operator put it.
fn misplaced(message: &Stored, lane: Lane) -> Option<TaskId> {
    let queue = subject::task_queue(&message.subject)?;
    let task = subject::task_in(&message.subject)?;
    (message.released && queue.lane != lane).then_some(task)
}

/// Moves one task.
async fn transfer(
    ports: &Ports,
    id: &OrderId,
    task: TaskId,
    old: &Stored,
    lane: Lane,
) -> Result<(), Failure> {
    let Ok(body) = intake::read::<EncodeTask>(&old.subject, &old.body) else { return Ok(()) };
    let wanted = EncodeTask { lane, ..body };
    let (broker, unit) = (&ports.broker, Unit::Task(task));
    for _ in 0..STEPS_MAX {
        let queued = broker.queued_messages(id, Some(task)).await?;
        if !queued.iter().any(|message| message.sequence == old.sequence) {
            return Ok(());
        }
        let in_lane = |message: &&Stored| {
            subject::task_queue(&message.subject).is_some_and(|queue| queue.lane == lane)
        };
        let new = queued.iter().find(in_lane).map(|message| message.sequence);
        let found = broker.claim(id, &unit).await?;
        match transfer::step(found.as_ref().map(|found| &found.value), new) {
            Step::Leave => return Ok(()),
            Step::Queue => {
                broker.release(&wanted).await?;
                crash::point("priority-after-release");
            }
            Step::HandOver(sequence) => {
                let (claim, revision) = found.map_or((None, 0), |f| (Some(f.value), f.revision));
                let claim = transfer::handed_over(claim, ports.environment.uuid(), sequence);
                if broker.swap_claim(id, &unit, &claim, revision).await? == Swap::Conflict {
                    ports.environment.emit(Event::SwapConflict { bucket: "claims" });
                }
                crash::point("priority-after-claim");
            }
            Step::Remove => {
                broker.remove(&old.stream, old.sequence).await?;
                crash::point("priority-after-remove");
                return Ok(());
            }
        }
    }
    Ok(())
}
