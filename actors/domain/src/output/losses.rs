//! Warnings about an encoded video: those of its plan, and content that could not be decoded.

use std::collections::BTreeMap;

use crate::order::ledger::View;
use crate::output::assembly;
use crate::plan::Plan;
use crate::plan::soundtrack;
use crate::words::warning::Warning;

/// Shortest loss of audio that is reported, in seconds.
const SECONDS_MIN: f64 = 0.1;

/// Warnings about an order, as far as its results are known.
#[must_use]
pub fn warnings(plan: &Plan, view: &View) -> Vec<String> {
    let losses = pictures(plan, view).into_iter();
    let losses = losses.chain((0..plan.audio.len()).filter_map(|track| sound(plan, view, track)));
    plan.warnings.iter().cloned().chain(losses.map(|warning| warning.sentence())).collect()
}

fn pictures(plan: &Plan, view: &View) -> Option<Warning> {
    // Each task that encodes tiers of a chunk decodes the chunk.
    let mut lost: BTreeMap<u32, u64> = BTreeMap::new();
    for (_, chunk) in assembly::chunks(plan, view) {
        let known = lost.entry(chunk.chunk).or_default();
        *known = chunk.lost.max(*known);
    }
    let pictures = lost.into_values().fold(0_u64, u64::saturating_add);
    (pictures > 0).then_some(Warning::PicturesLost { pictures })
}

fn sound(plan: &Plan, view: &View, track: usize) -> Option<Warning> {
    let parts = assembly::audio_prefix(view, track);
    let name = || {
        let found = plan.audio_track(track);
        found.map_or_else(String::new, |f| soundtrack::named(f.number, &f.language, &f.codec))
    };
    if parts.is_empty() {
        let finished = view.is_finished(assembly::audio_task(track));
        return finished.then(|| Warning::SoundAllLost { track: name() });
    }
    let seconds: f64 = parts.iter().map(|part| part.lost_seconds).sum();
    (seconds >= SECONDS_MIN).then(|| Warning::SoundLost { track: name(), seconds })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::ledger::{Entry, Output};
    use crate::plan::planner;
    use crate::sample;
    use crate::simulate;

    fn plan() -> Plan {
        let order = crate::id::OrderId::new(crate::id::VideoId::from_bits(1), 1);
        let (policy, limits) = (sample::policy(), sample::limits());
        planner::plan(order, sample::facts(), &policy, &limits, "build", false).unwrap()
    }

    fn view(plan: &Plan, change: impl Fn(&mut Output)) -> View {
        let frames: Vec<i64> = (0..1500).map(|index| index * 3600).collect();
        let entries = plan.tasks.iter().flat_map(|task| simulate::entries(plan, task, &frames));
        let mut view = View::default();
        for mut entry in entries {
            entry.outputs.iter_mut().for_each(&change);
            view.insert(entry);
        }
        view
    }

    #[test]
    fn a_whole_video_has_the_warnings_of_its_plan() {
        let mut plan = plan();
        plan.warnings = vec!["A sentence.".to_owned()];
        assert_eq!(warnings(&plan, &view(&plan, |_| {})), plan.warnings);
        assert_eq!(warnings(&plan, &View::default()), plan.warnings);
    }

    #[test]
    fn what_is_lost_is_added_up_once() {
        let plan = plan();
        let view = view(&plan, |output| match output {
            Output::Chunk(chunk) => chunk.lost = u64::from(chunk.chunk == 1) * 30,
            Output::Audio(part) => part.lost_seconds = 1.5,
            Output::Images(_) | Output::Package(_) => {}
        });
        let seconds = assembly::audio_prefix(&view, 0).len() as f64 * 1.5;
        let expected = [
            Warning::PicturesLost { pictures: 30 },
            Warning::SoundLost { track: "1 (en, aac)".to_owned(), seconds },
        ];
        assert!(plan.tiers.len() > 1);
        assert_eq!(warnings(&plan, &view), expected.map(|warning| warning.sentence()));
    }

    #[test]
    fn a_track_without_any_sound_is_named() {
        let plan = plan();
        let entry =
            view(&plan, |_| {}).finished().find(|e| e.task == assembly::audio_task(0)).cloned();
        let mut view = View::default();
        view.insert(Entry { parts: 0, outputs: Vec::new(), ..entry.unwrap() });
        let expected = Warning::SoundAllLost { track: "1 (en, aac)".to_owned() };
        assert_eq!(warnings(&plan, &view), [expected.sentence()]);
    }
}
