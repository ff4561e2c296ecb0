//! Runs a claimed task: codec process, heartbeat and collector, until there is a ledger entry to write.

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
use crate::lease::Lost;
use crate::original;
use crate::ports::{CodecSession, Ports, Readable};

/// How long unfinished objects of a failed task may take to be aborted.
const FAILED_WAIT: Duration = Duration::from_secs(30);
/// The same of a task that is put down: its delivery goes back before the node's grace or the lease of its successor ends.
const PUT_DOWN_WAIT: Duration = Duration::from_secs(2);

/// A claimed task and what it needs.
pub(super) struct Run<'a> {
    pub(super) attempt: &'a Attempt<'a>,
    pub(super) plan: &'a Arc<Plan>,
    pub(super) task: TaskId,
    /// The slot, which supervises the encoders.
    pub(super) slot: &'a ActorCell,
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
    let ports = &run.attempt.context.ports;
    let build = ports.codec.build().await?;
    if build != run.plan.codec_build {
        let message = "The order was planned with another build of the codec.";
        return Err(Failure::task("codec-build", message).with_detail(build));
    }
    let Attempt { context, hand, held } = *run.attempt;
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
    // The codec process is gone. Unfinished objects are aborted before the task is settled: a node that drains may end right after.
    match &finished {
        Ok(Finished::Entry(_) | Finished::Unmet) => {}
        Ok(Finished::Lost(_)) => collector.abandon(PUT_DOWN_WAIT).await,
        Err(_) => collector.abandon(FAILED_WAIT).await,
    }
    finished
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
    collector: &mut Collector<'_>,
) -> Result<Option<Entry>, Failure> {
    let ports = &run.attempt.context.ports;
    let view = known(ports, planned, &run.attempt.held.order).await?;
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
    let mut session = ports.codec.start(job, objects, limits.into()).await?;
    collect(&mut *session, collector).await.map(Some)
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
    let order = &run.attempt.held.order;
    let found = run.attempt.context.ports.broker.video(&order.video).await?;
    let gone = || Failure::task("video-gone", "The video was deleted.");
    let video = found.ok_or_else(gone)?.value;
    original::readable(run.attempt.context, &video, order.number).await
}
