//! An encoder for tests: does the tasks of a plan for a list of timestamps, and returns the ledger entries of a worker.

use std::collections::BTreeMap;

use jetreel_domain::codec::wire::{PictureRef, Segment, Verified};
use jetreel_domain::order::ledger::{
    AudioOutput, ChunkOutput, Entry, ImagesOutput, Object, Output, PackageOutput, PicturesOutput,
    TierOutput,
};
use jetreel_domain::plan::framerate::Keeper;
use jetreel_domain::plan::gop::{Grid, Mark};
use jetreel_domain::plan::{Plan, PlannedTask, Work};

/// Samples of an access unit of AAC.
const UNIT: i64 = 1024;

/// The entries of a task, checkpoints first, its own entry last.
pub(crate) fn entries(plan: &Plan, planned: &PlannedTask, frames: &[i64]) -> Vec<Entry> {
    let outputs = |work: &Work| match work {
        Work::Video { chunks, tiers, images } => chunks
            .iter()
            .map(|index| Output::Chunk(chunk(plan, planned, *index, tiers, *images, frames)))
            .collect::<Vec<_>>(),
        Work::Audio(track) => audio(plan, *track).into_iter().map(Output::Audio).collect(),
        Work::Images => vec![Output::Images(images(plan))],
        Work::Package { tier, verify } => {
            vec![Output::Package(package(plan, *tier, *verify, frames))]
        }
        Work::Batch(_) => Vec::new(),
    };
    let parts: Vec<Output> = planned.work.pieces().iter().flat_map(outputs).collect();
    let sequential = matches!(&planned.work, Work::Video { chunks, .. } if chunks.len() > 1);
    if !sequential && !matches!(planned.work, Work::Audio(_)) {
        return vec![entry(plan, planned, None, 0, parts)];
    }
    let count = parts.len() as u32;
    let mut entries: Vec<Entry> = (0..)
        .zip(parts)
        .map(|(part, output)| entry(plan, planned, Some(part), 0, vec![output]))
        .collect();
    entries.push(entry(plan, planned, None, count, Vec::new()));
    entries
}

fn entry(
    plan: &Plan,
    planned: &PlannedTask,
    part: Option<u32>,
    parts: u32,
    outputs: Vec<Output>,
) -> Entry {
    Entry {
        v: 1,
        writer: "writer".to_owned(),
        order: plan.order.clone(),
        task: planned.task,
        part,
        parts,
        outputs,
        node: "node".to_owned(),
        attempt: 1,
        codec_build: plan.codec_build.clone(),
        confinement: "FULL".to_owned(),
        cpu_seconds: 1.0,
        wall_seconds: 1.0,
    }
}

fn object(plan: &Plan, name: &str, bytes: u64) -> Object {
    let key = format!("out/{}/{}/{name}", plan.order.video, plan.order.number);
    Object { key, bytes, sha256: "00".repeat(32) }
}

/// The frames inside a chunk, and the first frame after it.
fn inside(plan: &Plan, index: u32, frames: &[i64]) -> (Vec<i64>, Option<i64>) {
    let chunk = plan.chunks[index as usize];
    let held = |pts: &&i64| (index == 0 || **pts >= chunk.start) && **pts < chunk.end;
    let after = frames.iter().find(|pts| **pts >= chunk.end).copied();
    (frames.iter().filter(held).copied().collect(), after)
}

fn chunk(
    plan: &Plan,
    planned: &PlannedTask,
    index: u32,
    tiers: &[usize],
    images: bool,
    frames: &[i64],
) -> ChunkOutput {
    let (held, after) = inside(plan, index, frames);
    let hash = |pts: i64| format!("frame {pts}");
    let done = tiers.iter().map(|tier| (*tier, tier_output(plan, planned, index, *tier, &held)));
    let pictures = images.then(|| PicturesOutput {
        object: object(plan, &format!("{}/{index}.jpg", planned.task), 10),
        pictures: held
            .first()
            .map(|pts| PictureRef { object: 0, offset: 0, bytes: 10, pts: plan.output_tick(*pts) })
            .into_iter()
            .collect(),
    });
    ChunkOutput {
        chunk: index,
        source_frames: held.len() as u64,
        repeats: 0,
        lost: 0,
        head_hash: held.first().map(|pts| hash(*pts)),
        seam_hash: after.map(hash),
        tiers: done.collect(),
        pictures,
        decode_cpu_seconds: 0.1,
    }
}

/// Every frame with its mark, the same in all tiers.
fn marks(plan: &Plan, index: u32, held: &[i64]) -> Vec<(i64, Mark)> {
    let chunk = plan.chunks[index as usize];
    let end = chunk.end.min(plan.end());
    let rules: Vec<_> = plan.tiers.iter().map(|tier| tier.rule).collect();
    let (segment, gop) = (plan.segment_seconds, plan.gop_seconds);
    let mut grid = Grid::new(&chunk, end, plan.time_base, segment, gop, &rules);
    held.iter().map(|pts| (*pts, grid.mark(*pts))).collect()
}

fn tier_output(
    plan: &Plan,
    planned: &PlannedTask,
    index: u32,
    tier: usize,
    held: &[i64],
) -> TierOutput {
    let chunk = plan.chunks[index as usize];
    let step = match held {
        [.., before, last] => last - before,
        _ => 1,
    };
    let last = held.last().copied().unwrap_or(chunk.start);
    let end = plan.output_tick(if chunk.end == i64::MAX { last + step } else { chunk.end });
    let mut keeper = Keeper::new(plan.tiers[tier].rule);
    let kept: Vec<(i64, Mark)> = marks(plan, index, held)
        .into_iter()
        .filter(|(pts, _)| keeper.keep(*pts))
        .map(|(pts, mark)| (plan.output_tick(pts), mark))
        .collect();
    let mut segments: Vec<Segment> = Vec::new();
    for (pts, mark) in &kept {
        if mark.segment {
            let offset = segments.last().map_or(0, |last| last.offset + last.bytes);
            let header_bytes = 100;
            let start = *pts;
            let empty = Segment { offset, bytes: 100, header_bytes, start, duration: 0, frames: 0 };
            segments.push(empty);
        }
        let open = segments.last_mut().expect("the first kept frame starts a segment");
        open.frames += 1;
        open.bytes += 1000;
    }
    let starts: Vec<i64> = segments.iter().map(|segment| segment.start).skip(1).collect();
    for (segment, next) in segments.iter_mut().zip(starts.into_iter().chain([end])) {
        segment.duration = next - segment.start;
    }
    let bytes = segments.iter().map(|segment| segment.bytes).sum();
    let name = &plan.tiers[tier].name;
    TierOutput {
        object: (!kept.is_empty())
            .then(|| object(plan, &format!("{}/{index}-{name}.m4s", planned.task), bytes)),
        init: format!("init {name}").into_bytes().into(),
        frames: kept.len() as u64,
        pts_hash: format!("{:?}", kept.iter().map(|(pts, _)| pts).collect::<Vec<_>>()),
        start: kept.first().map_or(end, |(pts, _)| *pts),
        end,
        idr: kept.iter().filter(|(_, mark)| mark.idr).map(|(pts, _)| *pts).collect(),
        segments,
        cpu_seconds: 0.5,
    }
}

fn audio(plan: &Plan, track: usize) -> Vec<AudioOutput> {
    let planned = &plan.audio[track];
    let rate = i64::from(planned.sample_rate);
    let seconds = plan.seconds();
    let units = (seconds * rate as f64 / UNIT as f64).ceil() as i64;
    let segment = ((plan.segment_seconds * rate as f64 / UNIT as f64).round() as i64).max(1);
    let part = (i64::from(planned.part_seconds) * rate / UNIT / segment).max(1) * segment;
    let mut parts = Vec::new();
    for (index, first) in (0..).zip((0..units).step_by(part as usize)) {
        let last = (first + part).min(units);
        let mut offset = 0;
        let mut segments = Vec::new();
        for start in (first..last).step_by(segment as usize) {
            let count = segment.min(last - start);
            let bytes = count as u64 * 300;
            segments.push(Segment {
                offset,
                bytes,
                header_bytes: 100,
                start: start * UNIT,
                duration: count * UNIT,
                frames: count as u32,
            });
            offset += bytes;
        }
        parts.push(AudioOutput {
            track,
            part: index,
            object: object(plan, &format!("audio-{track:04}/{index}.m4s"), offset),
            init: b"init audio".to_vec().into(),
            frames: (last - first) as u64,
            start: first * UNIT,
            end: last * UNIT,
            codecs: "mp4a.40.2".to_owned(),
            lost_seconds: 0.0,
            segments,
            cpu_seconds: 0.2,
        });
    }
    parts
}

fn images(plan: &Plan) -> ImagesOutput {
    let names = ["poster.jpg", "sprite-000.jpg", "thumbnails.vtt"];
    let file = |name: &str| (name.to_owned(), object(plan, &format!("images-0000/{name}"), 10));
    ImagesOutput {
        files: names.into_iter().map(file).collect::<BTreeMap<_, _>>(),
        poster: names[0].to_owned(),
        vtt: names[2].to_owned(),
    }
}

fn package(plan: &Plan, tier: usize, verify: bool, frames: &[i64]) -> PackageOutput {
    let chunks = 0..plan.chunks.len() as u32;
    let kept = chunks.map(|index| {
        let mut keeper = Keeper::new(plan.tiers[tier].rule);
        inside(plan, index, frames).0.into_iter().filter(|pts| keeper.keep(*pts)).count() as u64
    });
    let verified =
        verify.then(|| Verified { frames: kept.sum(), start: 0, pts_hash: String::new() });
    let name = format!("package-{tier:04}/{}.mp4", plan.tiers[tier].name);
    PackageOutput { tier, object: object(plan, &name, 1_000_000), verified }
}
