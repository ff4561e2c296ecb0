//! Documents of an earlier build, from before pictures could stand and sound tracks had numbers, are read with their old meaning.
//!
//! Never regenerate the files: their missing fields are the test.

use jetreel_domain::codec::job;
use jetreel_domain::codec::wire::{AudioJob, VideoJob};
use jetreel_domain::order::ledger::{Entry, Output, View};
use jetreel_domain::output::manifest::{self, Manifest};
use jetreel_domain::output::playlist;
use jetreel_domain::output::verify;
use jetreel_domain::plan::{Plan, Work};

const PLAN: &str = include_str!("../documents/plan.json");
const LEDGER: &str = include_str!("../documents/ledger.jsonl");
const MANIFEST: &str = include_str!("../documents/manifest.json");

fn plan() -> Plan {
    serde_json::from_str(PLAN).expect("a plan")
}

fn view() -> View {
    let mut view = View::default();
    for line in LEDGER.lines() {
        view.insert(serde_json::from_str::<Entry>(line).expect("an entry"));
    }
    view
}

#[test]
fn an_earlier_plan_lasts_as_long_as_its_picture() {
    let plan = plan();
    let video = plan.facts.video.as_ref().expect("a picture");
    assert_eq!((plan.end, plan.end()), (None, video.end));
    assert!(plan.facts.unused_audio.is_empty() && video.clock.is_empty());
    assert_eq!(plan.facts.audio[0].number, 0);
    for planned in &plan.tasks {
        let pictures = matches!(planned.work, Work::Video { .. });
        assert_eq!(job::video_job(&plan, &planned.work, Vec::new()).is_some(), pictures);
    }
}

#[test]
fn an_earlier_ledger_is_finished_by_its_plan() {
    let (plan, view) = (plan(), view());
    for planned in &plan.tasks {
        assert!(view.is_finished(planned.task), "{}", planned.task);
        for output in view.outputs(planned.task) {
            let Output::Chunk(chunk) = output else { continue };
            assert_eq!(chunk.repeats, 0);
            assert_eq!(verify::chunk(&plan, planned, chunk), Ok(()));
        }
    }
    assert!(playlist::video(&plan, &view, 0, true).ends_with("#EXT-X-ENDLIST\n"));
    let earlier: Manifest = serde_json::from_str(MANIFEST).expect("a manifest");
    assert_eq!(manifest::build(&plan, &view, Vec::new()), earlier);
}

#[test]
fn a_document_without_what_it_always_had_is_no_document() {
    let mut plan: serde_json::Value = serde_json::from_str(PLAN).expect("JSON");
    plan.as_object_mut().expect("an object").remove("origin");
    assert!(serde_json::from_value::<Plan>(plan).is_err());
}

#[test]
fn a_job_without_one_of_its_fields_is_refused() {
    let plan = plan();
    let video = job::video_job(&plan, &plan.tasks[0].work, Vec::new()).expect("pictures");
    let video = serde_json::to_value(video).expect("JSON");
    let audio = serde_json::to_value(job::audio_job(&plan, 0, Vec::new())).expect("JSON");
    let lacks = |job: &serde_json::Value, field: &str| {
        let mut job = job.clone();
        let removed = job.as_object_mut().expect("an object").remove(field);
        assert!(removed.is_some(), "{field}");
        job
    };
    for field in ["sizes", "threads", "rules", "composition_shift"] {
        assert!(serde_json::from_value::<VideoJob>(lacks(&video, field)).is_err(), "{field}");
    }
    for field in ["counted", "mixed", "end_seconds"] {
        assert!(serde_json::from_value::<AudioJob>(lacks(&audio, field)).is_err(), "{field}");
    }
}
