//! Label values of events.

use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::order::state::Fact;
use jetreel_domain::words::failure::Failure;
use prometheus::IntCounterVec;

/// Counts by a label.
pub(super) fn count_one(counters: &IntCounterVec, label: &str) {
    counters.with_label_values(&[label]).inc();
}

/// Counts a failure by reason.
pub(super) fn count_reason(counter: &IntCounterVec, failure: &Failure) {
    counter.with_label_values(&[failure.code.as_str()]).inc();
}

/// Counts a failure by stage and reason.
pub(super) fn count_fault(counter: &IntCounterVec, stage: Stage, failure: &Failure) {
    counter.with_label_values(&[stage.as_str(), failure.code.as_str()]).inc();
}

/// Kind of a fact, without its varying parts.
pub(super) fn fact_kind(fact: &Fact) -> &'static str {
    match fact {
        Fact::Playable => "playable",
        Fact::Tier(_) => "tier",
        Fact::Completed => "completed",
        Fact::Failed(_) => "failed",
        Fact::Cancelled => "cancelled",
        Fact::Deleted => "deleted",
    }
}
