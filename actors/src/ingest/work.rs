//! What ingest does with one upload.

use std::collections::BTreeSet;
use std::sync::Arc;

use jetreel_domain::budget;
use jetreel_domain::failure::Failure;
use jetreel_domain::id::OrderId;
use jetreel_domain::ledger::View;
use jetreel_domain::media::ProbeFacts;
use jetreel_domain::plan::Plan;
use jetreel_domain::planner;
use jetreel_domain::state::{Order, PlanRef, Status, Video};
use jetreel_domain::wire::{self, FromCodec, Job, JobWork, Report};

use crate::change;
use crate::config::Context;
use crate::crash;
use crate::event::Event;
use crate::lease::{self, Lost, Watch};
use crate::parts;
use crate::plans;
use crate::ports::{Delivery, PortFuture, Ports};
use crate::releases;

/// How work on an upload ended, when it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The upload is dealt with.
    Done,
    /// Interrupted; somebody else goes on.
    PutDown,
}

/// Brings an upload to the point where its first tasks are queued.
pub(super) async fn run(
    context: &Context,
    delivery: &Arc<dyn Delivery>,
    order: &OrderId,
) -> Result<Outcome, Failure> {
    let Some(video) = begin(context, order).await? else { return Ok(Outcome::Done) };
    crash::point("ingest-after-begin");
    let Some(state) = video.order(order.number) else { return Ok(Outcome::Done) };
    let video = if state.plan.is_some() {
        video
    } else {
        let Some(facts) = probe(context, delivery, &video, order).await? else {
            return Ok(Outcome::PutDown);
        };
        let plan = make_plan(context, state, order, facts).await?;
        let Some(video) = set_plan(context, order, &plan).await? else { return Ok(Outcome::Done) };
        video
    };
    release(context, &video, order).await?;
    Ok(Outcome::Done)
}

/// Releases the first tasks of the plan that state names, which may be another delivery's.
async fn release(context: &Context, video: &Video, order: &OrderId) -> Result<(), Failure> {
    let encoding = |state: &&Order| state.status == Status::Encoding;
    let Some(state) = video.order(order.number).filter(encoding) else { return Ok(()) };
    let Some(object) = state.plan.as_ref().map(|reference| &reference.object) else {
        return Ok(());
    };
    let store = context.ports.store.as_ref();
    let plan = context.plans.get(store, order, &object.key, &object.sha256).await?;
    releases::due(context, state, &plan, &View::default(), &mut BTreeSet::new()).await
}

/// Moves the order to INGESTING. `None` where there is nothing left to do.
async fn begin(context: &Context, order: &OrderId) -> Result<Option<Video>, Failure> {
    let now = context.ports.environment.now();
    let video = change::video(&context.ports, &order.video, |video| {
        // A message out of turn must not take an upload that is still arriving.
        let arriving = |state: &Order| state.status == Status::Receiving;
        let ready = video.order(order.number).is_some_and(|state| !arriving(state));
        Ok(ready && video.advance(order.number, Status::Ingesting, now).is_ok())
    })
    .await?;
    Ok(video.filter(|video| {
        video.order(order.number).is_some_and(|state| {
            !state.is_closed() && matches!(state.status, Status::Ingesting | Status::Encoding)
        })
    }))
}

async fn probe(
    context: &Context,
    delivery: &Arc<dyn Delivery>,
    video: &Video,
    order: &OrderId,
) -> Result<Option<ProbeFacts>, Failure> {
    let job = Job {
        version: wire::VERSION,
        objects: Vec::new(),
        budget: context.config.limits.budget(),
        work: JobWork::Probe,
    };
    let source = parts::original(context, video, order.number).await?;
    let limits = budget::probe(&context.config.limits, source.bytes());
    let mut session = context.ports.codec.start(job, vec![source], limits.into()).await?;
    let watch = Arc::new(OrderWatch { ports: context.ports.clone(), order: order.clone() });
    let mut heartbeat = lease::keep(Arc::clone(delivery), context.config.lease, watch);
    loop {
        tokio::select! {
            _ = &mut heartbeat.lost => return Ok(None),
            () = context.put_down.cancelled() => return Ok(None),
            frame = session.next() => if let FromCodec::Done(report) = frame? {
                return match report {
                    Report::Probe(facts) => Ok(Some(*facts)),
                    Report::Hello | Report::Trespass(_) | Report::Video | Report::Audio { .. }
                    | Report::Images { .. } | Report::Package { .. } | Report::Batch(_) => {
                        Err(Failure::task("codec-protocol", "The codec reported another job."))
                    }
                };
            }
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

/// Writes the plan and sets its hash into state, unless another delivery was faster. Gives the state with a plan in it.
async fn set_plan(
    context: &Context,
    order: &OrderId,
    plan: &Plan,
) -> Result<Option<Video>, Failure> {
    let ports = &context.ports;
    let key =
        format!("out/{}/{}/plan-{}.json", order.video, order.number, ports.environment.uuid());
    let object = ports.store.write(&key, plans::encode(plan)?).await?;
    crash::point("ingest-after-plan-written");
    let reference = PlanRef {
        object,
        class: plan.class,
        tiers: plan.tiers.iter().map(|tier| tier.name.clone()).collect(),
        tasks: plan.tasks.len() as u32,
        chunks: plan.chunks.len() as u32,
    };
    let now = ports.environment.now();
    let video = change::video(ports, &order.video, |video| {
        if video.order(order.number).is_none_or(|state| state.plan.is_some()) {
            return Ok(false);
        }
        if video.advance(order.number, Status::Encoding, now).is_err() {
            return Ok(false);
        }
        if let Some(state) = video.order_mut(order.number) {
            state.plan = Some(reference.clone());
        }
        Ok(true)
    })
    .await?;
    crash::point("ingest-after-plan-set");
    let (tasks, tiers) = (plan.tasks.len(), plan.tiers.len());
    ports.environment.emit(Event::Planned { order: order.clone(), tasks, tiers });
    ports.environment.emit(Event::OrderMoved { order: order.clone(), to: Status::Encoding });
    Ok(video)
}

/// Ends a probe whose order was closed meanwhile.
struct OrderWatch {
    ports: Ports,
    order: OrderId,
}

impl Watch for OrderWatch {
    fn check(&self) -> PortFuture<'_, Option<Lost>> {
        Box::pin(async move {
            let found = self.ports.broker.video(&self.order.video).await?;
            let open = found
                .as_ref()
                .and_then(|found| found.value.order(self.order.number))
                .is_some_and(|order| !order.is_closed());
            Ok((!open).then_some(Lost::Closed))
        })
    }

    fn failed(&self) {
        let failure = Failure::dependency("lease-renewal", "The lease could not be renewed.");
        self.ports.environment.emit(Event::StageFault { stage: "ingest", failure });
    }
}
