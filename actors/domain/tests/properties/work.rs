//! What holds while an order is worked on, whatever the order in which tasks finish.

use std::collections::BTreeSet;

use jetreel_domain::codec::job;
use jetreel_domain::id::TaskId;
use jetreel_domain::order::ledger::{Output, View};
use jetreel_domain::order::progress;
use jetreel_domain::order::release::{self, Windows};
use jetreel_domain::output::verify;
use proptest::prelude::*;

use crate::simulate;
use crate::sources::source;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_task_falls_due_and_percentages_only_grow(
        source in source(),
        window in 1_usize..12,
        picks in prop::collection::vec(any::<prop::sample::Index>(), 64),
    ) {
        let plan = source.plan();
        let windows = Windows { first: window, bulk: window };
        let mut view = View::default();
        let mut last = (0, vec![0; plan.tiers.len()], false);
        let mut queued = BTreeSet::new();
        for step in 0..plan.tasks.len() {
            let due = release::due(&plan, &view, windows);
            prop_assert!(!due.is_empty(), "nothing is due after {step} tasks");
            // What was due stays due until it is finished, and never more than the window is queued.
            prop_assert!(queued.iter().all(|task| due.contains(task) || view.is_finished(*task)));
            let needy = |task: &TaskId| !plan.task(*task).unwrap().needs.is_empty();
            prop_assert!(due.iter().filter(|task| !needy(task)).count() <= 2 * window);
            for task in &due {
                let needs = &plan.task(*task).unwrap().needs;
                prop_assert!(needs.iter().all(|need| view.is_finished(*need)), "{task} is early");
            }
            queued.extend(due.iter().copied());
            let pick = picks[step % picks.len()].index(due.len());
            let planned = plan.task(due[pick]).unwrap();
            for entry in simulate::entries(&plan, planned, &source.frames) {
                if let Some(Output::Chunk(chunk)) = entry.outputs.first() {
                    prop_assert_eq!(verify::chunk(&plan, planned, chunk), Ok(()));
                }
                prop_assert!(!progress::complete(&plan, &view));
                view.insert(entry);
                let now = (
                    progress::percent(&plan, &view),
                    (0..plan.tiers.len()).map(|t| progress::tier_percent(&plan, &view, t)).collect(),
                    progress::playable(&plan, &view),
                );
                prop_assert!(now.0 >= last.0 && now.2 >= last.2);
                let tiers: &Vec<u8> = &now.1;
                prop_assert!(tiers.iter().zip(&last.1).all(|(now, before)| now >= before));
                prop_assert_eq!(now.0 == 100, progress::complete(&plan, &view));
                last = now;
            }
            prop_assert_eq!(verify::seam(&plan, &view), None);
        }
        prop_assert!(release::due(&plan, &view, windows).is_empty());
        prop_assert!(progress::complete(&plan, &view));
        prop_assert_eq!(progress::ready_tiers(&plan, &view).len(), plan.tiers.len());
        prop_assert!(last.1.iter().all(|percent| *percent == 100));
        prop_assert_eq!(verify::asset(&plan, &view), Ok(()));
    }

    #[test]
    fn progressive_files_copy_every_frame_once(source in source()) {
        let plan = source.plan();
        let mut view = View::default();
        for planned in &plan.tasks {
            simulate::entries(&plan, planned, &source.frames).into_iter().for_each(|e| view.insert(e));
        }
        for tier in 0..plan.tiers.len() {
            let (package, objects) = job::package_job(&plan, &view, tier, false);
            let frames: u32 = package.video.segments.iter().map(|(_, s)| s.frames).sum();
            if plan.tiers[tier].rule.spacing == 0 {
                prop_assert_eq!(frames as usize, source.frames.len());
            }
            prop_assert!(package.video.segments.windows(2).all(|pair| pair[0].1.start < pair[1].1.start));
            prop_assert_eq!(package.audio.is_some(), !plan.audio.is_empty());
            let sound = package.audio.iter().flat_map(|audio| &audio.segments);
            for (index, segment) in package.video.segments.iter().chain(sound) {
                prop_assert!(segment.offset + segment.bytes <= objects[*index as usize].bytes);
            }
        }
        let (images, objects) = job::images_job(&plan, &view);
        prop_assert_eq!(objects.len(), plan.chunks.len());
        prop_assert!(images.pictures.windows(2).all(|pair| pair[0].pts < pair[1].pts));
        prop_assert!(images.pictures.iter().all(|p| (p.object as usize) < objects.len()));
    }
}
