//! Work of ingest on one upload.

use jetreel_domain::codec::budget;
use jetreel_domain::codec::wire::{self, FromCodec, Job, JobWork, Report};
use jetreel_domain::id::OrderId;
use jetreel_domain::order::line::Phase;
use jetreel_domain::order::release;
use jetreel_domain::order::state::{Order, PlanRef, Status, Video};
use jetreel_domain::plan::Plan;
use jetreel_domain::plan::media::ProbeFacts;
use jetreel_domain::plan::planner;
use jetreel_domain::plan::shares::Shares;
use jetreel_domain::words::failure::Failure;

use crate::change;
use crate::config::Context;
use crate::crash;
use crate::event::Event;
use crate::original;
use crate::plans;
use crate::ports::Versioned;
use crate::releases;
use crate::trace;
use crate::views::{Known, Views};

/// Processes an upload until its first tasks are queued.
pub(super) async fn run(context: &Context, views: &Views, order: &OrderId) -> Result<(), Failure> {
    let Some(found) = begin(context, order).await? else { return Ok(()) };
    crash::point("ingest-after-begin");
    let Some(state) = found.value.order(order.number) else { return Ok(()) };
    if state.plan.is_some() {
        return release(context, views, &found.value, order).await;
    }
    let facts = trace::step("probe", probe(context, &found.value, order)).await?;
    let plan = make_plan(context, state, order, facts).await?;
    // No task is released before the state names its plan, so the ledger has no entry of the order yet.
    let received = views.received();
    let Some((found, own)) = set_plan(context, order, found, &plan).await? else { return Ok(()) };
    if own {
        views.of(order).lock().await.begin(received);
    }
    release(context, views, &found.value, order).await
}

/// Releases the first tasks of the plan that the state names. Another delivery may have written that plan.
async fn release(
    context: &Context,
    views: &Views,
    video: &Video,
    order: &OrderId,
) -> Result<(), Failure> {
    let encoding = |state: &&Order| state.status == Status::Encoding;
    let Some(state) = video.order(order.number).filter(encoding) else { return Ok(()) };
    let Some(object) = state.plan.as_ref().map(|reference| &reference.object) else {
        return Ok(());
    };
    let store = context.ports.store.as_ref();
    let plan = context.plans.get(store, order, &object.key, &object.sha256).await?;
    let known = views.of(order);
    let mut known = known.lock().await;
    let Known { view, released, .. } = &mut *known;
    releases::first(context, video, state, &plan, view, released).await
}

/// Moves the order to INGESTING. `None` if nothing is left to do.
async fn begin(context: &Context, order: &OrderId) -> Result<Option<Versioned<Video>>, Failure> {
    let now = context.ports.environment.now();
    let Some(found) = context.ports.broker.video(&order.video).await? else { return Ok(None) };
    let found = change::from(&context.ports, found, |video| {
        // A premature message must not start an upload that is still arriving.
        let arriving = |state: &Order| state.status == Status::Receiving;
        let ready = video.order(order.number).is_some_and(|state| !arriving(state));
        Ok(ready && video.advance(order.number, Status::Ingesting, now).is_ok())
    })
    .await?;
    Ok(found.filter(|found| {
        found.value.order(order.number).is_some_and(|state| {
            !state.is_closed() && matches!(state.status, Status::Ingesting | Status::Encoding)
        })
    }))
}

async fn probe(context: &Context, video: &Video, order: &OrderId) -> Result<ProbeFacts, Failure> {
    let job = Job {
        version: wire::VERSION,
        objects: Vec::new(),
        budget: context.config.limits.budget(),
        work: JobWork::Probe,
    };
    let source = original::readable(context, video, order.number).await?;
    let limits = budget::probe(&context.config.limits, source.bytes());
    let mut session = context.ports.codec.start(job, vec![source], limits.into()).await?;
    loop {
        if let FromCodec::Done(report) = session.next().await? {
            return match report {
                Report::Probe(facts) => Ok(*facts),
                Report::Hello
                | Report::Trespass(_)
                | Report::Video
                | Report::Audio { .. }
                | Report::Images { .. }
                | Report::Package { .. }
                | Report::Batch(_) => {
                    Err(Failure::task("codec-protocol", "The codec reported another job."))
                }
            };
        }
    }
}

async fn make_plan(
    context: &Context,
    state: &Order,
    order: &OrderId,
    facts: ProbeFacts,
) -> Result<Plan, Failure> {
    let build = context.ports.codec.build().await?;
    let config = &context.config;
    planner::plan(order.clone(), facts, &config.policy, &config.limits, &build, state.sequential)
}

/// Writes the plan and sets its hash in the state, unless another delivery did so first. Returns the state, which holds a plan, and whether
/// it is this one.
async fn set_plan(
    context: &Context,
    order: &OrderId,
    found: Versioned<Video>,
    plan: &Plan,
) -> Result<Option<(Versioned<Video>, bool)>, Failure> {
    let ports = &context.ports;
    let key =
        format!("out/{}/{}/plan-{}.json", order.video, order.number, ports.environment.uuid());
    let object = ports.store.write(&key, plans::encode(plan)?).await?;
    crash::point("ingest-after-plan-written");
    let steps = release::steps(plan);
    let left = |phase| release::left(&steps, phase, |_| false) as u32;
    let reference = PlanRef {
        object,
        class: plan.class,
        tiers: plan.tiers.iter().map(|tier| tier.name.clone()).collect(),
        tasks: plan.tasks.len() as u32,
        chunks: plan.chunks.len() as u32,
        urgent: left(Phase::First),
        bulk: Some(left(Phase::Bulk)),
    };
    let now = ports.environment.now();
    let mut own = false;
    let found = change::from(ports, found, |video| {
        own = video.order(order.number).is_some_and(|state| state.plan.is_none())
            && video.advance(order.number, Status::Encoding, now).is_ok();
        if own && let Some(state) = video.order_mut(order.number) {
            state.plan = Some(reference.clone());
            state.work = Shares::of(plan);
        }
        Ok(own)
    })
    .await?;
    crash::point("ingest-after-plan-set");
    let (tasks, tiers) = (plan.tasks.len(), plan.tiers.len());
    ports.environment.emit(Event::Planned { order: order.clone(), tasks, tiers });
    ports.environment.emit(Event::OrderMoved { order: order.clone(), to: Status::Encoding });
    Ok(found.map(|found| (found, own)))
}
