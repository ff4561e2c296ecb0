//! Runs a claimed task: codec process, heartbeat and collector, until there is a ledger entry to write.

use std::sync::Arc;

use jetreel_domain::failure::Failure;
use jetreel_domain::id::{OrderId, TaskId};
use jetreel_domain::job;
use jetreel_domain::ledger::{Entry, Object, View};
use jetreel_domain::plan::{Plan, PlannedTask, Work};
use jetreel_domain::state::Order;
use jetreel_domain::wire::{self, FromCodec, Job, JobWork};
use jetreel_domain::{batch, budget};
use ractor::ActorCell;

use super::collect::Collector;
use crate::claims::Held;
use crate::config::Context;
use crate::event::Event;
use crate::lease::{self, Lost, Watch};
use crate::parts;
use crate::ports::{CodecSession, Delivery, PortFuture, Ports, Readable};

/// A claimed task and what it needs.
pub(super) struct Run<'a> {
    pub(super) context: &'a Context,
    pub(super) delivery: &'a Arc<dyn Delivery>,
    pub(super) plan: &'a Arc<Plan>,
    pub(super) held: &'a Held,
    pub(super) task: TaskId,
    /// The slot, which supervises the encoders.
    pub(super) cell: ActorCell,
}

/// How the work ended, when it did not fail.
pub(super) enum Finished {
    /// Everything is stored; this says so.
    Entry(Box<Entry>),
    /// It must be put down.
    Lost(Lost),
    /// What it builds on is not in the ledger, where it once was.
    Unmet,
}

/// Does the work.
pub(super) async fn perform(run: Run<'_>) -> Result<Finished, Failure> {
    let planned = run
        .plan
        .task(run.task)
        .ok_or_else(|| Failure::task("task-unknown", "The plan has no such task."))?;
    let ports = &run.context.ports;
    let build = ports.codec.build().await?;
    if build != run.plan.codec_build {
        let message = "The order was planned with another build of the codec.";
        return Err(Failure::task("codec-build", message).with_detail(build));
    }
    let watch = TaskWatch { ports: ports.clone(), held: run.held.clone(), task: run.task };
    let lease = run.context.config.lease;
    let mut heartbeat = lease::keep(Arc::clone(run.delivery), lease, Arc::new(watch));
    tokio::select! {
        lost = &mut heartbeat.lost => Ok(Finished::Lost(lost.unwrap_or(Lost::Expired))),
        () = run.context.put_down.cancelled() => Ok(Finished::Lost(Lost::Draining)),
        () = cancelled(ports, &run.held.order) => Ok(Finished::Lost(Lost::Closed)),
        done = encode(&run, planned, build) => {
            Ok(done?.map_or(Finished::Unmet, |entry| Finished::Entry(Box::new(entry))))
        }
    }
}

/// Returns when the order was cancelled; sooner than the heartbeat would find out.
async fn cancelled(ports: &Ports, order: &OrderId) {
    loop {
        ports.broker.cancel_hint(order).await;
        // Only a hint: state decides.
        if let Ok(found) = ports.broker.video(&order.video).await {
            let state = found.as_ref().and_then(|found| found.value.order(order.number));
            if state.is_none_or(Order::is_closed) {
                return;
            }
        }
    }
}

/// From job to entry; `None` where the ledger lacks what the task needs. Dropped in the middle, it takes the codec process with it.
async fn encode(
    run: &Run<'_>,
    planned: &PlannedTask,
    build: String,
) -> Result<Option<Entry>, Failure> {
    let ports = &run.context.ports;
    let view = known(ports, planned, &run.held.order).await?;
    if !planned.needs.is_empty() && !view.holds(&planned.needs) {
        return Ok(None);
    }
    let (work, objects) = assignment(run, planned, &view).await?;
    let job = Job {
        version: wire::VERSION,
        objects: Vec::new(),
        budget: run.context.config.limits.task_budget(run.plan, planned),
        work,
    };
    let limits = budget::process(run.plan, planned, &run.context.config.limits);
    let mut session = ports.codec.start(job, objects, limits.into()).await?;
    let mut collector = Collector::new(run.context, run.plan, planned, run.held, build, &run.cell);
    let outcome = collect(&mut *session, &mut collector).await;
    // The result is not needed any more.
    drop(session);
    if outcome.is_err() {
        collector.abandon().await;
    }
    outcome.map(Some)
}

async fn collect(
    session: &mut dyn CodecSession,
    collector: &mut Collector<'_>,
) -> Result<Entry, Failure> {
    loop {
        let frame = session.next().await?;
        if let FromCodec::Done(report) = frame {
            return collector.finish(report, session.cpu_seconds());
        }
        collector.take(frame).await?;
    }
}

/// What the ledger already holds that this task builds on: its own parts, or other tasks' results.
async fn known(ports: &Ports, planned: &PlannedTask, order: &OrderId) -> Result<View, Failure> {
    let mut view = View::default();
    let needed = match &planned.work {
        Work::Video { chunks, .. } => chunks.len() > 1,
        Work::Audio(_) | Work::Images | Work::Package { .. } | Work::Batch(_) => true,
    };
    if needed {
        let (entries, _) = ports.broker.entries(order, 0).await?;
        entries.into_iter().for_each(|entry| view.insert(entry));
    }
    Ok(view)
}

/// The wire form of the work, and what the codec may read for it.
async fn assignment(
    run: &Run<'_>,
    planned: &PlannedTask,
    view: &View,
) -> Result<(JobWork, Vec<Readable>), Failure> {
    let plan = run.plan.as_ref();
    let done = view.parts(planned.task);
    Ok(match &planned.work {
        Work::Video { .. } => {
            let mut job = job::video_job(plan, &planned.work, done).ok_or_else(|| {
                Failure::task("task-unknown", "The plan has no picture track for this task.")
            })?;
            job.threads = run.context.config.task_threads;
            (JobWork::Video(job), vec![source(run).await?])
        }
        Work::Audio(track) => {
            (JobWork::Audio(job::audio_job(plan, *track, done)), vec![source(run).await?])
        }
        Work::Images => {
            let (job, objects) = job::images_job(plan, view);
            (JobWork::Images(job), readables(&objects))
        }
        Work::Package { tier, verify } => {
            let (job, objects) = job::package_job(plan, view, *tier, *verify);
            (JobWork::Package(job), readables(&objects))
        }
        Work::Batch(pieces) => {
            let (jobs, objects) = batch::jobs(plan, view, pieces);
            (JobWork::Batch(jobs), readables(&objects))
        }
    })
}

fn readables(objects: &[Object]) -> Vec<Readable> {
    objects.iter().map(Readable::object).collect()
}

async fn source(run: &Run<'_>) -> Result<Readable, Failure> {
    let order = &run.held.order;
    let found = run.context.ports.broker.video(&order.video).await?;
    let gone = || Failure::task("video-gone", "The video was deleted.");
    let video = found.ok_or_else(gone)?.value;
    parts::original(run.context, &video, order.number).await
}

/// With each heartbeat: is the claim still ours, is the order still open?
struct TaskWatch {
    ports: Ports,
    held: Held,
    task: TaskId,
}

impl TaskWatch {
    async fn look(&self) -> Result<Option<Lost>, Failure> {
        let order = &self.held.order;
        if !self.held.is_current(&self.ports).await? {
            return Ok(Some(self.lost_claim(order).await?));
        }
        let found = self.ports.broker.video(&order.video).await?;
        let state = found.as_ref().and_then(|found| found.value.order(order.number));
        Ok(state.is_none_or(Order::is_closed).then_some(Lost::Closed))
    }

    /// A claim vanishes when its order is closed and cleaned up; otherwise another took it.
    async fn lost_claim(&self, order: &OrderId) -> Result<Lost, Failure> {
        let found = self.ports.broker.video(&order.video).await?;
        let state = found.as_ref().and_then(|found| found.value.order(order.number));
        Ok(if state.is_none_or(Order::is_closed) { Lost::Closed } else { Lost::Taken })
    }
}

impl Watch for TaskWatch {
    fn check(&self) -> PortFuture<'_, Option<Lost>> {
        Box::pin(self.look())
    }

    fn failed(&self) {
        let (order, task) = (self.held.order.clone(), self.task);
        self.ports.environment.emit(Event::RenewFailed { order, task });
    }
}
