//! How far an order is, from its plan and the ledger.
//!
//! Invariant: nothing here ever goes back when an entry is added, and 100 % means complete.

use crate::assembly;
use crate::ledger::View;
use crate::plan::{Plan, PlannedTask, Work};

/// Whether a viewer can start: the first chunk of every tier is stored, and the first part of the default sound.
#[must_use]
pub fn playable(plan: &Plan, view: &View) -> bool {
    let picture =
        (0..plan.tiers.len()).all(|tier| assembly::tier(plan, view, tier).contains_key(&0));
    picture && sounds(plan, view, |track| !assembly::audio_prefix(view, track).is_empty())
}

/// Tiers whose every chunk is stored, with the whole of the default sound.
#[must_use]
pub fn ready_tiers(plan: &Plan, view: &View) -> Vec<usize> {
    if !sounds(plan, view, |_| false) {
        return Vec::new();
    }
    let ready = |tier: &usize| plan.video_tasks(*tier).all(|(task, _)| view.is_finished(task));
    (0..plan.tiers.len()).filter(ready).collect()
}

/// Whether every task of the order is finished.
#[must_use]
pub fn complete(plan: &Plan, view: &View) -> bool {
    plan.tasks.iter().all(|planned| view.is_finished(planned.task))
}

/// Per cent of the order's cost that is done; 100 only when it is complete.
#[must_use]
pub fn percent(plan: &Plan, view: &View) -> u8 {
    if complete(plan, view) {
        return 100;
    }
    share(plan.tasks.iter().map(|planned| (planned.cost, done(plan, view, planned))))
}

/// Per cent of a tier's picture that is done; 100 only when the tier is ready.
#[must_use]
pub fn tier_percent(plan: &Plan, view: &View, tier: usize) -> u8 {
    if ready_tiers(plan, view).contains(&tier) {
        return 100;
    }
    let chunks = assembly::tier(plan, view, tier);
    share((0..plan.chunks.len() as u32).map(|chunk| {
        let done = if chunks.contains_key(&chunk) { 1.0 } else { 0.0 };
        (plan.chunk_seconds(chunk), done)
    }))
}

/// Whether the default track, where there is one, is finished or otherwise enough.
fn sounds(plan: &Plan, view: &View, enough: impl Fn(usize) -> bool) -> bool {
    plan.audio.is_empty() || view.is_finished(assembly::audio_task(0)) || enough(0)
}

/// The share of a task that is done, 0 to 1.
fn done(plan: &Plan, view: &View, planned: &PlannedTask) -> f64 {
    if view.is_finished(planned.task) {
        return 1.0;
    }
    let parts = view.parts(planned.task);
    let share = match &planned.work {
        Work::Video { chunks, .. } => {
            let seconds = |indices: &[u32]| {
                indices.iter().map(|chunk| plan.chunk_seconds(*chunk)).sum::<f64>()
            };
            seconds(&parts) / seconds(chunks).max(f64::MIN_POSITIVE)
        }
        Work::Audio(track) => {
            let part = plan.audio.get(*track).map_or(0, |audio| audio.part_seconds);
            parts.len() as f64 * f64::from(part) / plan.audio_seconds(*track).max(1.0)
        }
        Work::Images | Work::Package { .. } => 0.0,
    };
    share.clamp(0.0, 1.0)
}

/// Weighted per cent of `(weight, done)`, at most 99.
fn share(items: impl Iterator<Item = (f64, f64)>) -> u8 {
    let (mut all, mut reached) = (0.0, 0.0);
    for (weight, done) in items {
        all += weight;
        reached += weight * done;
    }
    if all > 0.0 { (reached / all * 100.0).floor().clamp(0.0, 99.0) as u8 } else { 0 }
}
