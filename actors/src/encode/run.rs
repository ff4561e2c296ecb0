//! Runs a claimed task with its codec process, heartbeat and collector, up to the ledger entry.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::codec::budget;
use jetreel_domain::codec::job;
use jetreel_domain::codec::wire::{self, FromCodec, Job, JobWork};
use jetreel_domain::id::{OrderId, TaskId};
use jetreel_domain::order::ledger::{Entry, Object, View};
use jetreel_domain::order::state::Order;
use jetreel_domain::plan::batch;
use jetreel_domain::plan::{Plan, PlannedTask, Work};
use jetreel_domain::words::failure::Failure;
use ractor::ActorCell;

use super::collect::Collector;
use crate::attempt::Attempt;
use crate::claims::Held;
use crate::lease::Lost;
use crate::original;
use crate::ports::{CodecSession, Ports, Readable};
use crate::trace;

/// Timeout for aborting the unfinished objects of a failed task.
const FAILED_WAIT: Duration = Duration::from_secs(30);
/// Timeout for aborting the unfinished objects of a task that must stop. Its delivery is handed back before the node's grace or the next
/// lease ends.
const PUT_DOWN_WAIT: Duration = Duration::from_secs(2);

/// A claimed task with its context.
pub(super) struct Run<'a> {
    pub(super) attempt: &'a Attempt<'a>,
    pub(super) plan: &'a Arc<Plan>,
    pub(super) task: TaskId,
    /// The slot. It supervises the encoders.
    pub(super) slot: &'a ActorCell,
}

/// How the work ended, if it did not fail.
pub(super) enum Finished {
    /// Everything is stored; the entry names it.
    Entry(Box<Entry>),
    /// The work must stop.
    Lost(Lost),
    /// The ledger lacks results that the task needs and that it once held.
    Unmet,
}

/// Runs the task.
pub(super) async fn perform(run: Run<'_>) -> Result<Finished, Failure> {
    let planned = run
        .plan
        .task(run.task)
        .ok_or_else(|| Failure::task("task-unknown", "The plan has no such task."))?;
    let ports = &run.attempt.context.ports;
    let build = ports.codec.build().await?;
    if build != run.plan.codec_build {
        let message = "The order was planned with another build of the codec.";
        return Err(Failure::task("codec-build", message).with_detail(build));
    }
    let Attempt { context, hand, held, .. } = *run.attempt;
    let mut collector = Collector::new(context, run.plan, planned, held, build, run.slot);
    let work = async {
        tokio::select! {
            () = cancelled(ports, &held.order) => Ok(Finished::Lost(Lost::Closed)),
            done = encode(&run, planned, &mut collector) => done.map(|done| {
                done.map_or(Finished::Unmet, |entry| Finished::Entry(Box::new(entry)))
            }),
        }
    };
    let finished = hand.unless_lost(work).await.unwrap_or_else(|lost| Ok(Finished::Lost(lost)));
    // The codec process has ended. Unfinished objects are aborted before the task is settled, because a draining node may end right after
    // that.
    match &finished {
        Ok(Finished::Entry(_) | Finished::Unmet) => {}
        Ok(Finished::Lost(_)) => collector.abandon(PUT_DOWN_WAIT).await,
        Err(_) => collector.abandon(FAILED_WAIT).await,
    }
    finished
}

/// Returns when the order was cancelled. A notice arrives sooner than the next heartbeat.
async fn cancelled(ports: &Ports, order: &OrderId) {
    loop {
        ports.broker.cancel_hint(order).await;
        // The notice is a hint; the state decides.
        if let Ok(found) = ports.broker.video(&order.video).await {
            let state = found.as_ref().and_then(|found| found.value.order(order.number));
            if state.is_none_or(Order::is_closed) {
                return;
            }
        }
    }
}

/// Runs from job to entry. `None` if the ledger lacks what the task needs. Dropping the future kills the codec process.
async fn encode(
    run: &Run<'_>,
    planned: &PlannedTask,
    collector: &mut Collector<'_>,
) -> Result<Option<Entry>, Failure> {
    let ports = &run.attempt.context.ports;
    let view = known(ports, planned, run.attempt.held).await?;
    if !planned.needs.is_empty() && !view.holds(&planned.needs) {
        return Ok(None);
    }
    let (work, objects) = assignment(run, planned, &view).await?;
    let job = Job {
        version: wire::VERSION,
        objects: Vec::new(),
        budget: run.attempt.context.config.limits.task_budget(run.plan, planned),
        work,
    };
    let limits = budget::process(run.plan, planned, &run.attempt.context.config.limits);
    run.attempt.context.slots.note_budget(limits.memory_bytes);
    let codec = async {
        let mut session = ports.codec.start(job, objects, limits.into()).await?;
        let entry = collect(&mut *session, collector).await?;
        trace::measured(session.cpu_seconds());
        Ok(Some(entry))
    };
    trace::step("codec", codec).await
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

/// Ledger entries that this task continues: its own parts, or results of other tasks.
async fn known(ports: &Ports, planned: &PlannedTask, held: &Held) -> Result<View, Failure> {
    let mut view = View::default();
    let needed = match &planned.work {
        Work::Video { chunks, .. } => chunks.len() > 1 && !held.is_first,
        Work::Audio(_) => !held.is_first,
        Work::Images | Work::Package { .. } | Work::Batch(_) => true,
    };
    if needed {
        let (entries, _) = ports.broker.entries(&held.order, 0).await?;
        entries.into_iter().for_each(|entry| view.insert(entry));
    }
    Ok(view)
}

/// The job in wire form, and the objects that the codec process may read.
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
            job.threads = run.attempt.context.config.task_threads;
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
    let Attempt { context, held, video, .. } = *run.attempt;
    original::readable(context, video, held.order.number).await
}
