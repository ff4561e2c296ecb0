//! Tests that good results pass and each fault is found and named.

use super::*;
use crate::id::{Group, OrderId, TaskId, VideoId};
use crate::order::ledger::{AudioOutput, Entry, Output, PicturesOutput};
use crate::plan::planner;
use crate::sample;
use crate::simulate;

fn plan(sequential: bool) -> Plan {
    let order = OrderId::new(VideoId::from_bits(1), 1);
    let (policy, limits) = (sample::policy(), sample::limits());
    planner::plan(order, sample::facts(), &policy, &limits, "build", sequential).unwrap()
}

fn entries(plan: &Plan) -> Vec<Entry> {
    let frames: Vec<i64> = (0..1500).map(|i| i * 3600).collect();
    plan.tasks.iter().flat_map(|planned| simulate::entries(plan, planned, &frames)).collect()
}

fn view(entries: Vec<Entry>) -> View {
    let mut view = View::default();
    entries.into_iter().for_each(|entry| view.insert(entry));
    view
}

/// The order with one changed chunk result.
fn changed(plan: &Plan, task: TaskId, change: impl Fn(&mut ChunkOutput)) -> View {
    let mut entries = entries(plan);
    let outputs =
        entries.iter_mut().filter(|entry| entry.task == task).flat_map(|e| &mut e.outputs);
    for output in outputs {
        if let Output::Chunk(chunk) = output {
            change(chunk);
        }
    }
    view(entries)
}

fn main(index: u32) -> TaskId {
    TaskId::new(Group::Main, index)
}

#[test]
fn a_chunk_as_planned_passes() {
    let plan = plan(false);
    for entry in entries(&plan) {
        for output in &entry.outputs {
            let Output::Chunk(output) = output else { continue };
            assert_eq!(chunk(&plan, plan.task(entry.task).unwrap(), output), Ok(()));
        }
    }
}

#[test]
fn every_way_in_which_a_chunk_can_be_wrong_has_its_code() {
    type Change = fn(&mut ChunkOutput);
    fn tier(output: &mut ChunkOutput) -> &mut TierOutput {
        output.tiers.get_mut(&1).unwrap()
    }
    let cases: [(&str, Change); 21] = [
        ("verify-chunk", |o| o.chunk = 99),
        ("verify-chunk", |o| o.chunk = 0),
        ("verify-tiers", |o| o.tiers.retain(|tier, _| *tier != 1)),
        ("verify-head", |o| o.head_hash = None),
        ("verify-frames", |o| o.source_frames += 1),
        ("verify-frames", |o| tier(o).frames -= 1),
        ("verify-frames", |o| tier(o).segments[0].frames -= 1),
        ("verify-object", |o| tier(o).object = None),
        ("verify-init", |o| tier(o).init.clear()),
        ("verify-bytes", |o| tier(o).segments[1].offset += 1),
        ("verify-bytes", |o| tier(o).object.iter_mut().for_each(|object| object.bytes += 1)),
        ("verify-times", |o| tier(o).segments[0].duration -= 1),
        ("verify-times", |o| tier(o).segments[1].duration -= 1),
        ("verify-times", |o| tier(o).start += 1),
        ("verify-idr", |o| tier(o).idr[0] += 1),
        ("verify-idr", |o| tier(o).idr.reverse()),
        ("verify-idr", |o| tier(o).idr.truncate(2)),
        ("verify-pts", |o| tier(o).pts_hash.push('x')),
        ("verify-interval", |o| {
            let tier = tier(o);
            let last = tier.segments.last_mut().unwrap();
            last.duration += 90_000;
            tier.end += 90_000;
        }),
        ("verify-pictures", |o| {
            o.pictures.iter_mut().for_each(|kept| kept.pictures[0].offset = 1);
        }),
        ("verify-pictures", |o| {
            o.pictures.iter_mut().for_each(|kept| {
                let again = kept.pictures[0].clone();
                kept.pictures.push(again);
            });
        }),
    ];
    let plan = plan(false);
    let planned = plan.task(main(1)).unwrap();
    let view = view(entries(&plan));
    let Some(Output::Chunk(good)) = view.outputs(main(1)).next() else { panic!("no chunk") };
    for (number, (code, change)) in cases.into_iter().enumerate() {
        let mut output = good.clone();
        change(&mut output);
        let failure = chunk(&plan, planned, &output).expect_err(&format!("case {number}: {code}"));
        assert_eq!(failure.code, code, "case {number}: {failure}");
    }
}

#[test]
fn a_task_that_was_not_asked_for_pictures_must_not_keep_any() {
    let plan = plan(false);
    let first = TaskId::new(Group::First, 0);
    let view = view(entries(&plan));
    let Some(Output::Chunk(good)) = view.outputs(first).next() else { panic!("no chunk") };
    let object = good.tiers[&0].object.clone().unwrap();
    let pictures = Some(PicturesOutput { object, pictures: Vec::new() });
    let output = ChunkOutput { pictures, ..good.clone() };
    let failure = chunk(&plan, plan.task(first).unwrap(), &output).unwrap_err();
    assert_eq!(failure.code, "verify-pictures");
}

#[test]
fn a_seam_that_does_not_match_names_the_later_chunk() {
    let plan = plan(false);
    assert_eq!(seam(&plan, &view(entries(&plan))), None);
    // main-0002 holds chunk 3.
    let wrong_head = changed(&plan, main(2), |o| o.head_hash = Some("other".to_owned()));
    assert_eq!(seam(&plan, &wrong_head).map(|mismatch| mismatch.chunk), Some(3));
    let wrong_seam = changed(&plan, main(2), |o| o.seam_hash = Some("other".to_owned()));
    assert_eq!(seam(&plan, &wrong_seam).map(|mismatch| mismatch.chunk), Some(4));
}

#[test]
fn a_seam_is_judged_only_when_both_sides_are_known() {
    let plan = plan(false);
    let mut half = entries(&plan);
    half.retain(|entry| entry.task != main(3));
    for output in half.iter_mut().filter(|entry| entry.task == main(2)).flat_map(|e| &mut e.outputs)
    {
        let Output::Chunk(chunk) = output else { continue };
        chunk.seam_hash = Some("other".to_owned());
    }
    assert_eq!(seam(&plan, &view(half)), None);
    let unknown = changed(&plan, main(2), |o| o.seam_hash = None);
    assert_eq!(seam(&plan, &unknown), None);
}

#[test]
fn tasks_of_one_chunk_must_have_seen_the_same_first_frame() {
    let plan = plan(false);
    let first = TaskId::new(Group::First, 2);
    let other = changed(&plan, first, |o| o.head_hash = Some("other".to_owned()));
    assert_eq!(seam(&plan, &other).map(|mismatch| mismatch.chunk), Some(0));
    let other = changed(&plan, first, |o| o.seam_hash = Some("other".to_owned()));
    assert_eq!(seam(&plan, &other).map(|mismatch| mismatch.chunk), Some(1));
}

#[test]
fn a_sequential_order_has_no_seams() {
    let plan = plan(true);
    let other = changed(&plan, main(0), |o| o.seam_hash = Some("other".to_owned()));
    assert_eq!(seam(&plan, &other), None);
}

#[test]
fn a_complete_order_passes_cut_or_sequential() {
    for sequential in [false, true] {
        let plan = plan(sequential);
        assert_eq!(asset(&plan, &view(entries(&plan))), Ok(()));
    }
}

#[test]
fn an_asset_with_anything_missing_or_out_of_place_is_refused() {
    let plan = plan(false);
    let shift = |by: i64| {
        move |o: &mut ChunkOutput| {
            for part in o.tiers.values_mut() {
                part.start += by;
            }
        }
    };
    let other_init = |o: &mut ChunkOutput| o.tiers.get_mut(&0).unwrap().init.push(1);
    let other_idr = |o: &mut ChunkOutput| o.tiers.get_mut(&2).unwrap().idr.push(0);
    let cases = [
        ("verify-chunk", changed(&plan, main(1), |o| o.tiers.clear())),
        ("verify-init", changed(&plan, main(1), other_init)),
        ("verify-idr", changed(&plan, main(1), other_idr)),
        ("verify-tiling", changed(&plan, main(1), shift(-1))),
        ("verify-frames", changed(&plan, TaskId::new(Group::First, 1), |o| o.source_frames += 1)),
    ];
    for (code, view) in cases {
        assert_eq!(asset(&plan, &view).unwrap_err().code, code);
    }
}

#[test]
fn a_hole_between_chunks_passes_only_where_both_sides_saw_the_same_frame_behind_it() {
    let plan = plan(false);
    let holed = |by: i64, seam: Option<&str>| {
        let mut entries = entries(&plan);
        for entry in &mut entries {
            let Some(Output::Chunk(output)) = entry.outputs.first_mut() else { continue };
            if entry.task == main(1) {
                output.tiers.values_mut().for_each(|part| part.start += by);
            } else if let Some(seam) = seam.filter(|_| entry.task == main(0)) {
                output.seam_hash = Some(seam.to_owned());
            }
        }
        asset(&plan, &view(entries)).map_err(|failure| failure.code)
    };
    // The source's largest gap is one frame; a rule may leave out two more.
    assert_eq!(holed(3 * 3600, Some("other")), Ok(()));
    assert_eq!(holed(3 * 3600 + 1, Some("other")), Err("verify-tiling".to_owned()));
    assert_eq!(holed(3 * 3600 + 1, None), Ok(()));
}

#[test]
fn sound_must_be_whole_tiled_and_no_longer_than_the_picture() {
    let plan = plan(false);
    let sound = |change: fn(&mut Entry)| {
        let mut entries = entries(&plan);
        entries.iter_mut().filter(|e| e.task.group == Group::Audio).for_each(change);
        asset(&plan, &view(entries)).unwrap_err().code
    };
    assert_eq!(sound(|entry| entry.parts += 1), "verify-parts");
    assert_eq!(sound(|entry| part(entry, 1, |part| part.start += 1)), "verify-tiling");
    assert_eq!(sound(|entry| part(entry, 1, |part| part.init.push(1))), "verify-init");
    assert_eq!(sound(|entry| part(entry, 2, |part| part.end += 96_000)), "verify-sync");
}

fn part(entry: &mut Entry, index: u32, change: fn(&mut AudioOutput)) {
    let wanted = entry.part == Some(index);
    if let Some(Output::Audio(part)) = entry.outputs.first_mut().filter(|_| wanted) {
        change(part);
    }
}

#[test]
fn a_progressive_file_must_decode_to_as_many_frames_as_were_encoded() {
    let plan = plan(false);
    let mut entries = entries(&plan);
    for output in entries.iter_mut().flat_map(|entry| &mut entry.outputs) {
        let Output::Package(package) = output else { continue };
        package.verified.iter_mut().for_each(|verified| verified.frames -= 1);
    }
    assert_eq!(asset(&plan, &view(entries)).unwrap_err().code, "verify-decode");
}
