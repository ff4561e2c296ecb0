//! The log line of an event.

use jetreel_actors::event::{Event, Reconciled};
use jetreel_domain::delivery::stage::{Stage, Unit};
use jetreel_domain::id::OrderId;
use jetreel_domain::output::cost::CostSheet;
use jetreel_domain::scale::load::Load;
use jetreel_domain::words::failure::Failure;
use jetreel_domain::words::redact::redact;
use tracing::{debug, error, info, trace, warn};

/// Writes the log line of an event.
pub(super) fn event(event: &Event) {
    match event {
        Event::OrderMoved { order, to } => info!(%order, status = %to, "order changed its status"),
        Event::CostCounted { order, sheet } => cost_counted(order, sheet),
        Event::Planned { order, tasks, tiers } => info!(%order, tasks, tiers, "order planned"),
        Event::Released { order, task } => debug!(%order, %task, "task released"),
        Event::TaskStarted { order, task, attempt } => {
            info!(%order, %task, attempt, "task started");
        }
        Event::TierProgress { order, task, tier, seconds } => {
            debug!(%order, %task, tier, seconds, "tier progressed");
        }
        Event::TaskFinished { order, task, seconds, cpu_seconds, won, .. } => {
            info!(%order, %task, seconds, cpu_seconds, won, "task finished");
        }
        Event::AttemptFailed { stage, order, unit, attempt, failure, again } => {
            let (stage, code, detail) = (stage.as_str(), &failure.code, redact(&failure.detail));
            warn!(stage, %order, what = %unit, attempt, code, detail, again,
                "attempt failed: {}", failure.message);
        }
        Event::ClaimLost { stage, order, unit } => {
            warn!(stage = stage.as_str(), %order, what = %unit, "another worker holds the claim");
        }
        Event::Buried { stage, order, unit, failure } => {
            buried(*stage, order.as_ref(), unit, failure);
        }
        Event::Refused { order, failure } => {
            info!(%order, code = failure.code, "refused: {}", failure.message);
        }
        Event::Unburied { stage, failure } => unburied(*stage, failure),
        Event::HookCalled { refused: None } => info!("the hook was called about a dead letter"),
        Event::HookCalled { refused: Some(failure) } => {
            let (code, detail) = (&failure.code, redact(&failure.detail));
            warn!(code, detail, "the hook will be called again: {}", failure.message);
        }
        Event::Revived { stage, order, unit } => {
            info!(stage = stage.as_str(), %order, what = %unit, "dead letter replayed");
        }
        Event::OrphanSettled { stream, end } => {
            warn!(stream, end, "a message that the broker gave up was handled");
        }
        Event::Undeliverable { stream, sequence, subject, why } => {
            warn!(stream, sequence, subject, why, "a message that no node can receive was removed");
        }
        Event::BreakerOpened { failure } => breaker_opened(failure),
        Event::BreakerClosed => info!("a probe succeeded: the node pulls again"),
        Event::Announced { order, fact } => info!(%order, %fact, "fact announced"),
        Event::RenewFailed { stage, subject } => warn!(stage, subject, "lease was not renewed"),
        Event::SwapConflict { bucket } => debug!(bucket, "compare-and-set met another writer"),
        Event::StageFault { stage, failure } => stage_fault(stage, failure),
        Event::Reconciled(what) => log_reconciled(what),
        Event::Leading { office, leads } => {
            info!(office = office.as_str(), leads, "a lease was won or lost");
        }
        Event::LoadMeasured(load) => measured(load),
        Event::Scaled(what) => super::scaler::log(what),
        Event::Pulled { answer } => trace!(answer = answer.as_str(), "queue answered"),
        Event::SlotsBusy { group, busy } => debug!(%group, busy, "slots busy"),
    }
}

fn stage_fault(stage: &str, failure: &Failure) {
    let (code, detail, message) = (&failure.code, redact(&failure.detail), &failure.message);
    warn!(stage, code, detail, "a stage failed and will try again: {message}");
}

fn measured(load: &Load) {
    let (slots, busy, seconds) = (load.slots, load.slots_busy, load.backlog_seconds);
    debug!(slots, busy, seconds, "measured the load");
}

fn breaker_opened(failure: &Failure) {
    let (code, detail) = (&failure.code, redact(&failure.detail));
    warn!(code, detail, "the node pulls nothing until a probe succeeds: {}", failure.message);
}

fn cost_counted(order: &OrderId, sheet: &CostSheet) {
    let (cpu_seconds, bytes) = (sheet.cpu_seconds(), sheet.stored_bytes());
    info!(%order, cpu_seconds, bytes, "cost counted");
}

fn buried(stage: Stage, order: Option<&OrderId>, unit: &Unit, failure: &Failure) {
    let order = order.map(ToString::to_string);
    let (code, message) = (&failure.code, &failure.message);
    error!(stage = stage.as_str(), order, what = %unit, code, "dead letter: {message}");
}

fn unburied(stage: Stage, failure: &Failure) {
    let (stage, code, detail) = (stage.as_str(), &failure.code, redact(&failure.detail));
    let message = &failure.message;
    error!(stage, code, detail, "a message cannot be buried and waits in its queue: {message}");
}

fn log_reconciled(what: &Reconciled) {
    match what {
        Reconciled::QueuesWait { unservable, opens } => {
            debug!(unservable = unservable.len(), closed = opens.len(), "looked which queues wait");
        }
        Reconciled::Repaired { order, repair } => {
            warn!(%order, repair = repair.as_str(), "the reconciler made a repair");
        }
        Reconciled::OrphanDeleted { key, bytes } => info!(key, bytes, "orphan deleted"),
        Reconciled::StoreWalked { objects, orphans, unread: 0 } => {
            debug!(objects, orphans, "walked through the store");
        }
        Reconciled::StoreWalked { objects, orphans, unread } => {
            warn!(
                objects,
                orphans, unread, "walked through the store; some folders could not be read"
            );
        }
    }
}
