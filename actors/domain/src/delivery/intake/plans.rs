//! Checks plans and manifests against the orders that name them.

use super::contradiction::{Contradiction, ensure, object};
use crate::id::OrderId;
use crate::order::owner::Owner;
use crate::output::manifest::Manifest;
use crate::plan::{Plan, Work};

/// Checks the plan of `order` that was found at `key`.
///
/// # Errors
/// The first contradiction.
pub fn plan(key: &str, order: &OrderId, plan: &Plan) -> Result<(), Contradiction> {
    if plan.order != *order {
        return Err(Contradiction::new(key, format!("the plan is that of {}", plan.order)));
    }
    let works = plan.tasks.iter().flat_map(|task| task.work.pieces());
    let known = |work: &Work| match work {
        Work::Video { chunks, tiers, .. } => {
            chunks.iter().all(|chunk| (*chunk as usize) < plan.chunks.len())
                && tiers.iter().all(|tier| *tier < plan.tiers.len())
        }
        Work::Audio(track) => *track < plan.audio.len(),
        Work::Package { tier, .. } => *tier < plan.tiers.len(),
        Work::Images => true,
        Work::Batch(_) => false,
    };
    let mut works = works;
    ensure(works.all(known), key, "a task makes what the plan does not have")
}

/// Checks the manifest of `order` that was found at `key`.
///
/// # Errors
/// The first contradiction.
pub fn manifest(key: &str, order: &OrderId, manifest: &Manifest) -> Result<(), Contradiction> {
    let own = OrderId::new(manifest.video.clone(), manifest.order);
    if own != *order {
        return Err(Contradiction::new(key, format!("the manifest is that of {own}")));
    }
    let prefix = Owner::Order(own).prefix();
    manifest.objects().try_for_each(|found| object(key, found, &prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::VideoId;
    use crate::order::ledger::View;
    use crate::output::manifest::build;
    use crate::plan::planner;
    use crate::sample;
    use crate::simulate;

    fn order(bits: u128) -> OrderId {
        OrderId::new(VideoId::from_bits(bits), 1)
    }

    fn planned() -> Plan {
        let (policy, limits) = (sample::policy(), sample::limits());
        planner::plan(order(1), sample::facts(), &policy, &limits, "build", false).unwrap()
    }

    #[test]
    fn a_plan_is_that_of_one_order_and_whole() {
        let mut found = planned();
        assert_eq!(plan("x", &order(1), &found), Ok(()));
        assert!(plan("x", &order(2), &found).is_err());
        found.audio.clear();
        assert!(plan("x", &order(1), &found).is_err());
    }

    #[test]
    fn a_manifest_names_objects_of_its_order_alone() {
        let plan = planned();
        let frames: Vec<i64> = (0..1500).map(|index| index * 3600).collect();
        let mut view = View::default();
        let entries = plan.tasks.iter().flat_map(|task| simulate::entries(&plan, task, &frames));
        entries.for_each(|entry| view.insert(entry));
        let mut found = build(&plan, &view, Vec::new());
        assert_eq!(manifest("x", &order(1), &found), Ok(()));
        assert!(manifest("x", &order(2), &found).is_err());
        found.tiers[0].objects[0].key = format!("raw/{}/00000", order(2).video);
        assert!(manifest("x", &order(1), &found).is_err());
    }
}
