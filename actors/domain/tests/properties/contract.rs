//! What holds for every contract: honest work is permitted, and whatever else is sent, no more than it.

use jetreel_domain::codec::contract::Contract;
use jetreel_domain::codec::job;
use jetreel_domain::codec::wire::{FromCodec, Job, JobWork, VERSION};
use jetreel_domain::order::ledger::View;
use jetreel_domain::plan::batch;
use jetreel_domain::plan::{Plan, PlannedTask, Work};
use proptest::prelude::*;

use crate::sources::{Source, source};
use crate::transcript::transcript;
use crate::{sample, simulate};

const CPU_SECONDS: f64 = 100.0;

fn view(plan: &Plan, source: &Source) -> View {
    let mut view = View::default();
    for planned in &plan.tasks {
        let entries = simulate::entries(plan, planned, &source.frames);
        entries.into_iter().for_each(|entry| view.insert(entry));
    }
    view
}

fn job_of(plan: &Plan, planned: &PlannedTask, view: &View, done: Vec<u32>) -> Job {
    let work = match &planned.work {
        Work::Video { .. } => JobWork::Video(
            job::video_job(plan, &planned.work, done).expect("a source with pictures"),
        ),
        Work::Audio(track) => JobWork::Audio(job::audio_job(plan, *track, done)),
        Work::Images => JobWork::Images(job::images_job(plan, view).0),
        Work::Package { tier, verify } => {
            JobWork::Package(job::package_job(plan, view, *tier, *verify).0)
        }
        Work::Batch(pieces) => JobWork::Batch(batch::jobs(plan, view, pieces).0),
    };
    let budget = sample::limits().task_budget(plan, planned);
    Job { version: VERSION, objects: vec![plan.facts.bytes], budget, work }
}

/// The jobs of a plan with honest answers; those of sequential tasks with `stored` parts stored already.
fn answered(source: &Source, stored: u32) -> Vec<(Job, Vec<FromCodec>)> {
    let plan = source.plan();
    let view = view(&plan, source);
    let samples = |track: usize| {
        let rate = f64::from(plan.audio[track].sample_rate);
        (plan.seconds() * rate) as i64
    };
    let answered = plan.tasks.iter().map(|planned| {
        let (done, samples) = match &planned.work {
            Work::Video { chunks, .. } => (stored.min(chunks.len() as u32 - 1), 0),
            Work::Audio(track) => (stored, samples(*track)),
            Work::Images | Work::Package { .. } | Work::Batch(_) => (0, 0),
        };
        let job = job_of(&plan, planned, &view, (0..done).collect());
        let frames = transcript(&job.work, &source.frames, samples);
        (job, frames)
    });
    // A track of fewer parts than are stored is none.
    let whole = |(_, frames): &(Job, Vec<FromCodec>)| !matches!(frames.last(), Some(FromCodec::Done(jetreel_domain::codec::wire::Report::Audio { parts })) if *parts < stored);
    answered.filter(whole).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn honest_work_on_any_source_is_permitted(source in source(), stored in 0_u32..4) {
        for (job, frames) in answered(&source, stored) {
            let mut contract = Contract::new(&job, CPU_SECONDS);
            for frame in &frames {
                let admitted = contract.admit(frame);
                prop_assert!(admitted.is_ok(), "{admitted:?} {frame:?}");
            }
        }
    }

    #[test]
    fn whatever_is_sent_for_as_long_as_it_is_sent_no_more_results_are_permitted(
        source in source(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 500),
    ) {
        for (job, frames) in answered(&source, 0) {
            let result = |frame: &&FromCodec| !matches!(frame, FromCodec::Progress { .. });
            let results = frames.iter().filter(result).count();
            let mut contract = Contract::new(&job, CPU_SECONDS);
            let mut admitted = 0;
            // In order first, so that it comes far; then in any order.
            let (honest, rest) = frames.split_at(order[0].index(frames.len()));
            let picked = order.iter().filter(|_| !rest.is_empty()).map(|at| &frames[at.index(frames.len())]);
            for frame in honest.iter().chain(picked) {
                admitted += usize::from(contract.admit(frame).is_ok() && result(&frame));
            }
            prop_assert!(admitted <= results, "{admitted} of {results}");
        }
    }
}
