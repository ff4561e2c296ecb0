//! What holds for every playlist and manifest.

use std::collections::BTreeSet;

use jetreel_domain::order::ledger::View;
use jetreel_domain::output::assembly;
use jetreel_domain::output::manifest;
use jetreel_domain::output::playlist;
use jetreel_domain::plan::Plan;
use proptest::prelude::*;

use crate::simulate;
use crate::sources::{Source, source};

/// Target duration and segment lengths of a playlist.
fn read(text: &str) -> (f64, Vec<f64>) {
    let value = |line: &str, tag: &str| -> Option<f64> {
        line.strip_prefix(tag)?.trim_end_matches(',').parse().ok()
    };
    let target = text
        .lines()
        .find_map(|line| value(line, "#EXT-X-TARGETDURATION:"))
        .expect("every list has a target duration");
    (target, text.lines().filter_map(|line| value(line, "#EXTINF:")).collect())
}

fn finished(source: &Source, plan: &Plan) -> View {
    let mut view = View::default();
    for planned in &plan.tasks {
        for entry in simulate::entries(plan, planned, &source.frames) {
            view.insert(entry);
        }
    }
    view
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn finished_lists_are_as_long_as_their_renditions(source in source()) {
        let plan = source.plan();
        let view = finished(&source, &plan);
        for tier in 0..plan.tiers.len() {
            let text = playlist::video(&plan, &view, tier, true);
            let (target, lengths) = read(&text);
            prop_assert!(text.ends_with("#EXT-X-ENDLIST\n"));
            prop_assert_eq!(target, f64::from(plan.target_duration));
            prop_assert!(lengths.iter().all(|length| length.round() <= target));
            let parts = assembly::tier_prefix(&plan, &view, tier);
            let ticks = parts[parts.len() - 1].end - parts[0].start;
            let exact = ticks as f64 / f64::from(plan.timescale);
            let sum: f64 = lengths.iter().sum();
            prop_assert!((sum - exact).abs() < 1e-6 * (lengths.len() as f64 + 1.0), "{sum} {exact}");
        }
        for track in 0..plan.audio.len() {
            let (target, lengths) = read(&playlist::audio(&plan, &view, track, true));
            prop_assert!(lengths.iter().all(|length| length.round() <= target));
            let parts = assembly::audio_prefix(&view, track);
            let samples: u64 = parts.iter().map(|part| part.frames * 1024).sum();
            let exact = samples as f64 / f64::from(plan.audio[track].sample_rate);
            prop_assert!((lengths.iter().sum::<f64>() - exact).abs() < 1e-4);
        }
    }

    #[test]
    fn open_lists_only_grow_at_their_end(
        source in source(),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 64),
    ) {
        let plan = source.plan();
        let mut view = View::default();
        let mut waiting: Vec<_> = plan
            .tasks
            .iter()
            .flat_map(|planned| simulate::entries(&plan, planned, &source.frames))
            .collect();
        let mut before = vec![String::new(); plan.tiers.len()];
        for step in 0..waiting.len() {
            let pick = picks[step % picks.len()].index(waiting.len());
            view.insert(waiting.swap_remove(pick));
            for (tier, before) in before.iter_mut().enumerate() {
                let now = playlist::video(&plan, &view, tier, false);
                prop_assert!(now.starts_with(before.as_str()));
                *before = now;
            }
        }
    }

    #[test]
    fn a_manifest_lists_every_object_once(source in source()) {
        let plan = source.plan();
        let view = finished(&source, &plan);
        let found = manifest::build(&plan, &view, Vec::new());
        let keys: Vec<&str> = found.objects().map(|object| object.key.as_str()).collect();
        let unique: BTreeSet<&str> = keys.iter().copied().collect();
        prop_assert_eq!(keys.len(), unique.len());
        let chunks = plan.chunks.len();
        let parts: usize =
            (0..plan.audio.len()).map(|track| assembly::audio_prefix(&view, track).len()).sum();
        prop_assert_eq!(keys.len(), chunks * plan.tiers.len() + plan.tiers.len() + parts + 3 + chunks);
        prop_assert_eq!(found.source.frames as usize, source.frames.len());
        for tier in &found.tiers {
            prop_assert!(tier.bandwidth >= tier.average_bandwidth && tier.average_bandwidth > 0);
        }
        let master = playlist::master(&plan, Some(&view));
        for tier in &found.tiers {
            let line = format!("#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},", tier.bandwidth, tier.average_bandwidth);
            prop_assert!(master.contains(&line), "{master}");
        }
    }
}
