//! Progress of an order, from its plan and the ledger.
//!
//! Invariant: a new entry never reduces progress, and 100 % means complete.

use crate::order::ledger::View;
use crate::output::assembly;
use crate::plan::{Plan, PlannedTask, Work};

/// Whether playback can start: the first chunk of every tier and the first part of the default audio are stored.
#[must_use]
pub fn playable(plan: &Plan, view: &View) -> bool {
    let picture =
        (0..plan.tiers.len()).all(|tier| assembly::tier(plan, view, tier).contains_key(&0));
    picture && sounds(plan, view, |track| !assembly::audio_prefix(view, track).is_empty())
}

/// Tiers with all their chunks stored, if the default audio is complete.
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

/// Percentage of the order's cost that is done. 100 only if the order is complete.
#[must_use]
pub fn percent(plan: &Plan, view: &View) -> u8 {
    if complete(plan, view) {
        return 100;
    }
    share(plan.tasks.iter().map(|planned| (planned.cost, done(plan, view, planned))))
}

/// Percentage of a tier's pictures that is done. 100 only if the tier is ready.
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

/// Whether the default audio track, if there is one, is finished or satisfies `enough`.
fn sounds(plan: &Plan, view: &View, enough: impl Fn(usize) -> bool) -> bool {
    plan.audio.is_empty() || view.is_finished(assembly::audio_task(0)) || enough(0)
}

/// The done share of a task, from 0 to 1.
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
            parts.len() as f64 * f64::from(part) / plan.seconds().max(1.0)
        }
        Work::Images | Work::Package { .. } | Work::Batch(_) => 0.0,
    };
    share.clamp(0.0, 1.0)
}

/// Weighted percentage of `(weight, done)`, at most 99.
fn share(items: impl Iterator<Item = (f64, f64)>) -> u8 {
    let (mut all, mut reached) = (0.0, 0.0);
    for (weight, done) in items {
        all += weight;
        reached += weight * done;
    }
    if all > 0.0 { (reached / all * 100.0).floor().clamp(0.0, 99.0) as u8 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Group, OrderId, TaskId, VideoId};
    use crate::plan::planner;
    use crate::sample;
    use crate::simulate;

    fn plan(sequential: bool) -> Plan {
        let order = OrderId::new(VideoId::from_bits(1), 1);
        let (policy, limits) = (sample::policy(), sample::limits());
        planner::plan(order, sample::facts(), &policy, &limits, "build", sequential).unwrap()
    }

    fn entries(plan: &Plan, group: Group) -> Vec<crate::order::ledger::Entry> {
        let frames: Vec<i64> = (0..1500).map(|i| i * 3600).collect();
        plan.group(group).flat_map(|planned| simulate::entries(plan, planned, &frames)).collect()
    }

    #[test]
    fn a_viewer_can_start_with_the_first_chunk_of_every_tier_and_the_first_sound() {
        let plan = plan(false);
        let mut view = View::default();
        for entry in entries(&plan, Group::First) {
            assert!(!playable(&plan, &view));
            view.insert(entry);
        }
        assert!(!playable(&plan, &view));
        view.insert(entries(&plan, Group::Audio).remove(0));
        assert!(playable(&plan, &view));
        assert_eq!(ready_tiers(&plan, &view), Vec::<usize>::new());
    }

    #[test]
    fn a_sequential_order_is_playable_with_its_first_parts() {
        let plan = plan(true);
        let mut view = View::default();
        view.insert(entries(&plan, Group::Main).remove(0));
        assert!(!playable(&plan, &view));
        view.insert(entries(&plan, Group::Audio).remove(0));
        assert!(playable(&plan, &view));
    }

    #[test]
    fn a_track_that_turns_out_to_hold_no_sound_holds_up_nobody() {
        let plan = plan(false);
        let mut view = View::default();
        entries(&plan, Group::First).into_iter().for_each(|entry| view.insert(entry));
        let mut finished = entries(&plan, Group::Audio).remove(2);
        (finished.part, finished.parts, finished.outputs) = (None, 0, Vec::new());
        view.insert(finished);
        assert!(playable(&plan, &view));
    }

    #[test]
    fn parts_of_a_sequential_task_count_by_their_length() {
        let plan = plan(true);
        let mut view = View::default();
        let main = TaskId::new(Group::Main, 0);
        let share = |view: &View| {
            (tier_percent(&plan, view, 0), done(&plan, view, plan.task(main).unwrap()))
        };
        let mut shares = Vec::new();
        for entry in entries(&plan, Group::Main) {
            view.insert(entry);
            shares.push(share(&view));
        }
        // Chunks of 3, 10, 10, 10, 10, 10 and 7 seconds; the tier waits for its audio.
        let tiers: Vec<u8> = shares.iter().map(|share| share.0).collect();
        assert_eq!(tiers, [5, 21, 38, 55, 71, 88, 99, 99]);
        assert!((shares[2].1 - 23.0 / 60.0).abs() < 1e-9);
        entries(&plan, Group::Audio).into_iter().for_each(|entry| view.insert(entry));
        assert_eq!(share(&view).0, 100);
    }

    #[test]
    fn only_a_complete_order_is_at_a_hundred_per_cent() {
        let plan = plan(false);
        let mut view = View::default();
        for group in Group::ALL {
            assert!(percent(&plan, &view) < 100);
            entries(&plan, group).into_iter().for_each(|entry| view.insert(entry));
        }
        assert_eq!(percent(&plan, &view), 100);
    }
}
