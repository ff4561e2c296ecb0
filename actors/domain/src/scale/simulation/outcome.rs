//! What a simulation shows.

use std::collections::BTreeMap;

use serde::Serialize;

/// Most samples that are kept for drawing.
const SAMPLES_MAX: usize = 600;
/// Seconds of an hour.
const HOUR: f64 = 3600.0;

/// The outcome.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    pub uploads: usize,
    pub tasks: usize,
    /// Encode seconds of all tasks.
    pub encode_seconds: f64,
    /// Time from the first upload until the last one is complete.
    pub drain_seconds: f64,
    /// Time for which nodes existed, added up, from the beginning of their start to their end. The simulation ends when all work is done and
    /// the scaler has taken away what it can.
    pub node_hours: f64,
    /// The same in vCPUs.
    pub vcpu_hours: f64,
    /// Share of the nodes' slots that had a task, over that time.
    pub busy_share: f64,
    /// Most nodes at once, starting and draining ones included.
    pub nodes_peak: u32,
    /// Nodes that were lost.
    pub nodes_lost: u32,
    /// Tasks that were begun again: of lost nodes, and of draining nodes whose grace ended.
    pub tasks_again: usize,
    /// Slot time that was lost with them.
    pub seconds_again: f64,
    /// Waits by lane.
    pub lanes: BTreeMap<String, Waits>,
    /// Waits by owner; empty if there is only one.
    pub owners: BTreeMap<String, Waits>,
    /// The run in equal steps, for drawing.
    pub samples: Vec<Sample>,
}

/// Waits of uploads.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Waits {
    pub uploads: usize,
    /// Time from an upload until its first task is taken.
    pub start_median_seconds: f64,
    pub start_worst_seconds: f64,
    /// Time from an upload until it is complete.
    pub complete_median_seconds: f64,
    pub complete_worst_seconds: f64,
}

/// The cluster at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sample {
    pub seconds: f64,
    pub nodes_working: u32,
    pub nodes_starting: u32,
    pub nodes_draining: u32,
    pub nodes_wanted: u32,
    /// Slots with a task.
    pub slots_busy: u32,
    pub backlog_encode_seconds: f64,
    /// Uploads that are not complete.
    pub videos_open: usize,
    /// Of these, uploads of which nothing was begun.
    pub videos_waiting: usize,
}

impl Outcome {
    /// Node-hours and what follows from them.
    pub(super) fn with_nodes(self, node_seconds: f64, vcpus: u32, busy: (f64, u32)) -> Self {
        let (busy_seconds, slots) = busy;
        let slot_seconds = node_seconds * f64::from(slots);
        let node_hours = node_seconds / HOUR;
        let busy_share = if slot_seconds > 0.0 { busy_seconds / slot_seconds } else { 0.0 };
        Self { node_hours, vcpu_hours: node_hours * f64::from(vcpus), busy_share, ..self }
    }
}

impl Waits {
    /// The waits of uploads, each with its time to the start and to the end.
    pub(super) fn of(waits: &[(f64, f64)]) -> Self {
        let (start_median_seconds, start_worst_seconds) = spread(waits.iter().map(|wait| wait.0));
        let (complete_median_seconds, complete_worst_seconds) =
            spread(waits.iter().map(|wait| wait.1));
        Self {
            uploads: waits.len(),
            start_median_seconds,
            start_worst_seconds,
            complete_median_seconds,
            complete_worst_seconds,
        }
    }
}

/// Median and largest value.
fn spread(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(0.0);
    (at(values.len() / 2), at(values.len().saturating_sub(1)))
}

/// Every n-th sample, so that at most [`SAMPLES_MAX`] are left, and the last one.
pub(super) fn thinned(samples: &[Sample]) -> Vec<Sample> {
    let every = samples.len().div_ceil(SAMPLES_MAX).max(1);
    let mut left: Vec<Sample> = samples.iter().copied().step_by(every).collect();
    left.extend(samples.last().filter(|_| samples.len() % every != 1 && every > 1).copied());
    left
}
