//! Checks that the output matches the plan: per chunk on the worker, between neighbouring chunks, and per asset.
//!
//! Invariant: everything published has passed these checks. They compare results with each other and with the plan, never with packet
//! counts: packets are not frames.

use std::collections::BTreeMap;

use crate::codec::wire::Segment;
use crate::order::ledger::{ChunkOutput, TierOutput, View};
use crate::output::assembly;
use crate::plan::framerate::FrameRule;
use crate::plan::{Chunk, Class, Plan, PlannedTask, Work};
use crate::words::failure::Failure;

/// Most seconds by which the end of an audio track may differ from that of the outputs: an access unit of 1024 samples at 44.1 kHz.
const SOUND_END_TOLERANCE: f64 = 0.03;

/// Two neighbouring chunks disagree about the first frame of the later one. The cut is not exact, so the source is class B.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeamMismatch {
    /// Index of the later chunk.
    pub chunk: u32,
    /// Hash of the frame after the earlier chunk's end.
    pub expected: String,
    /// Hash of the later chunk's first frame.
    pub found: String,
}

fn bad(code: &str, message: String) -> Failure {
    Failure::task(code, format!("The result is not what was planned ({message}). Try again."))
}

/// Checks one chunk of a task.
///
/// # Errors
/// A task fault that names the first wrong fact.
pub fn chunk(plan: &Plan, task: &PlannedTask, output: &ChunkOutput) -> Result<(), Failure> {
    let Work::Video { chunks, tiers, images } = &task.work else {
        return Err(bad("verify-task", format!("{} encodes no pictures", task.task)));
    };
    let index = output.chunk;
    let planned = plan.chunks.get(index as usize).filter(|_| chunks.contains(&index));
    let Some(planned) = planned else {
        return Err(bad("verify-chunk", format!("{} has no chunk {index}", task.task)));
    };
    if !output.tiers.keys().eq(sorted(tiers).iter()) {
        return Err(bad("verify-tiers", format!("chunk {index} has other tiers than planned")));
    }
    if output.repeats > repeats_max(plan, index) {
        return Err(bad("verify-repeats", format!("chunk {index} repeats frames too often")));
    }
    if (output.source_frames > 0) != output.head_hash.is_some() {
        return Err(bad("verify-head", format!("chunk {index} has frames without a first one")));
    }
    if output.pictures.is_some() && !images {
        return Err(bad("verify-pictures", format!("chunk {index} keeps pictures unasked")));
    }
    for (tier, part) in &output.tiers {
        let Some(tier_plan) = plan.tiers.get(*tier) else { continue };
        let fail = |code: &str, what: &str| {
            bad(code, format!("chunk {index} of {}: {what}", tier_plan.name))
        };
        counts(tier_plan.rule, output.source_frames.saturating_add(output.repeats), part)
            .and_then(|()| segments(part))
            .and_then(|()| interval(plan, index, planned, part))
            .map_err(|(code, what)| fail(code, what))?;
    }
    pictures(output)?;
    agree(plan, index, output.tiers.iter().map(|(tier, part)| (*tier, part)))
}

fn sorted(tiers: &[usize]) -> Vec<usize> {
    let mut tiers = tiers.to_vec();
    tiers.sort_unstable();
    tiers
}

/// Code and description of a failed check.
type Wrong = (&'static str, &'static str);

fn check(holds: bool, wrong: Wrong) -> Result<(), Wrong> {
    if holds { Ok(()) } else { Err(wrong) }
}

/// Most repeated frames of a chunk: one per group of pictures.
fn repeats_max(plan: &Plan, chunk: u32) -> u64 {
    (2.0 * plan.chunk_seconds(chunk) / plan.gop_seconds.max(0.1)) as u64 + 2
}

/// Checks that a tier has every frame that its rule keeps of `all` decoded and repeated ones.
fn counts(rule: FrameRule, all: u64, part: &TierOutput) -> Result<(), Wrong> {
    let kept = if rule == FrameRule::ALL {
        part.frames == all
    } else {
        part.frames <= all && (part.frames > 0) == (all > 0)
    };
    check(kept, ("verify-frames", "frames are missing or doubled"))?;
    let stored = part.object.is_some();
    check(stored == (part.frames > 0), ("verify-object", "frames and object do not go together"))?;
    check(!stored || !part.init.is_empty(), ("verify-init", "there is no initialisation segment"))
}

/// Checks that the fragments fill the object, follow each other, begin with an IDR and hold all frames.
fn segments(part: &TierOutput) -> Result<(), Wrong> {
    let (mut offset, mut instant, mut frames) = (0, part.start, 0_u64);
    for segment in &part.segments {
        let Segment { start, duration, .. } = segment;
        check(segment.offset == offset, ("verify-bytes", "fragments leave a hole"))?;
        check(*start == instant && *duration > 0, ("verify-times", "fragments do not tile"))?;
        check(part.idr.binary_search(start).is_ok(), ("verify-idr", "a segment has no IDR"))?;
        offset += segment.bytes;
        instant = start.saturating_add(*duration);
        frames += u64::from(segment.frames);
    }
    let bytes = part.object.as_ref().map_or(0, |object| object.bytes);
    check(offset == bytes, ("verify-bytes", "fragments and object differ in size"))?;
    check(frames == part.frames, ("verify-frames", "fragments hold other frames than counted"))?;
    let ends = part.segments.is_empty() || instant == part.end;
    check(ends, ("verify-times", "fragments end elsewhere than the chunk"))?;
    let ascending = part.idr.windows(2).all(|pair| pair[0] < pair[1]);
    let first = part.segments.is_empty() || part.idr.first() == Some(&part.start);
    check(ascending && first, ("verify-idr", "the first frame is no IDR, or IDRs go back"))
}

/// Checks that the frames lie within the planned interval. The first chunk also holds earlier frames.
fn interval(plan: &Plan, index: u32, planned: &Chunk, part: &TierOutput) -> Result<(), Wrong> {
    if part.frames == 0 {
        return Ok(());
    }
    let last_idr = part.idr.last().copied().unwrap_or(part.start);
    let after = index == 0 || part.start >= plan.output_tick(planned.start);
    let before = planned.end == i64::MAX || last_idr < plan.output_tick(planned.end);
    let ends = planned.end == i64::MAX || part.end <= plan.output_tick(planned.end);
    check(after && before && ends, ("verify-interval", "frames lie outside the interval"))
}

fn pictures(output: &ChunkOutput) -> Result<(), Failure> {
    let Some(kept) = &output.pictures else { return Ok(()) };
    let fits = kept.pictures.iter().all(|picture| {
        picture.offset.saturating_add(u64::from(picture.bytes)) <= kept.object.bytes
    });
    let ascending = kept.pictures.windows(2).all(|pair| pair[0].pts < pair[1].pts);
    if fits && ascending {
        return Ok(());
    }
    let message = format!("chunk {}: kept pictures are out of place", output.chunk);
    Err(bad("verify-pictures", message))
}

/// Checks that all tiers of a chunk have the same IDR instants, and the same frames if their rules are equal.
fn agree<'a>(
    plan: &Plan,
    index: u32,
    tiers: impl Iterator<Item = (usize, &'a TierOutput)>,
) -> Result<(), Failure> {
    let mut idr: Option<&[i64]> = None;
    let mut by_rule: BTreeMap<FrameRule, &str> = BTreeMap::new();
    for (tier, part) in tiers {
        let Some(planned) = plan.tiers.get(tier) else { continue };
        if *idr.get_or_insert(&part.idr) != part.idr {
            let message = format!("chunk {index}: {} has IDRs of its own", planned.name);
            return Err(bad("verify-idr", message));
        }
        if *by_rule.entry(planned.rule).or_insert(&part.pts_hash) != part.pts_hash {
            let message = format!("chunk {index}: {} has frames of its own", planned.name);
            return Err(bad("verify-pts", message));
        }
    }
    Ok(())
}

/// The first seam of a class A order at which neighbours disagree. Only seams reported by both sides count.
#[must_use]
pub fn seam(plan: &Plan, view: &View) -> Option<SeamMismatch> {
    match plan.class {
        Class::A => {}
        Class::B => return None,
    }
    // All hashes of a chunk's first frame: its own (once per task), and its predecessor's.
    let (mut heads, mut seams) = (BTreeMap::new(), BTreeMap::new());
    for (_, output) in assembly::chunks(plan, view) {
        let head = heads.entry(output.chunk).or_insert(output.head_hash.as_deref());
        if *head != output.head_hash.as_deref() {
            return Some(mismatch(output.chunk, *head, output.head_hash.as_deref()));
        }
        if let Some(hash) = output.seam_hash.as_deref() {
            let known = *seams.entry(output.chunk).or_insert(hash);
            if known != hash {
                return Some(mismatch(output.chunk + 1, Some(known), Some(hash)));
            }
        }
    }
    seams.into_iter().find_map(|(chunk, seam)| {
        // If a chunk has no frames, its successor is compared instead.
        let later = (chunk + 1..).map_while(|next| Some((next, *heads.get(&next)?)));
        let (next, head) = later.into_iter().find_map(|(next, head)| Some((next, head?)))?;
        (head != seam).then(|| mismatch(next, Some(seam), Some(head)))
    })
}

fn mismatch(chunk: u32, expected: Option<&str>, found: Option<&str>) -> SeamMismatch {
    let text = |hash: Option<&str>| hash.unwrap_or("no frame").to_owned();
    SeamMismatch { chunk, expected: text(expected), found: text(found) }
}

/// Checks a complete order before it is published.
///
/// # Errors
/// A task fault that names the first wrong fact.
pub fn asset(plan: &Plan, view: &View) -> Result<(), Failure> {
    let tiers: Vec<BTreeMap<u32, (&ChunkOutput, &TierOutput)>> =
        (0..plan.tiers.len()).map(|tier| assembly::tier(plan, view, tier)).collect();
    for (planned, chunks) in plan.tiers.iter().zip(&tiers) {
        for index in 0..plan.chunks.len() as u32 {
            if !chunks.contains_key(&index) {
                let message = format!("chunk {index} of {} is missing", planned.name);
                return Err(bad("verify-chunk", message));
            }
        }
        let parts: Vec<(&ChunkOutput, &TierOutput)> = chunks.values().copied().collect();
        tier_tiles(plan, &planned.name, &parts)?;
    }
    for index in 0..plan.chunks.len() as u32 {
        let parts = || tiers.iter().enumerate().filter_map(|(t, c)| Some((t, c.get(&index)?)));
        agree(plan, index, parts().map(|(tier, (_, part))| (tier, *part)))?;
        let mut frames = parts().map(|(_, (chunk, _))| chunk.source_frames);
        let first = frames.next();
        if !frames.all(|other| Some(other) == first) {
            let message = format!("chunk {index}: its tasks decoded different frames");
            return Err(bad("verify-frames", message));
        }
    }
    for track in 0..plan.audio.len() {
        audio(plan, view, track)?;
    }
    decoded(plan, view)
}

/// Checks a tier from end to end: one initialisation segment, no overlap, and no gap except the source's own.
fn tier_tiles(
    plan: &Plan,
    name: &str,
    chunks: &[(&ChunkOutput, &TierOutput)],
) -> Result<(), Failure> {
    let fail = |code: &str, what: &str| bad(code, format!("{name}: {what}"));
    let stored: Vec<_> = chunks.iter().filter(|(_, part)| part.frames > 0).collect();
    if stored.is_empty() {
        return Err(fail("verify-frames", "no frame was encoded"));
    }
    // If the source stands still, so does the rendition: by the largest gap and a frame that the rule left out.
    let video = plan.facts.video.as_ref();
    let gap = video.map_or(0, |video| video.largest_gap.max(0));
    let frame = video.map_or(0, |video| plan.time_base.ticks(2.0 / video.frame_rate.as_f64()));
    let hole_max = gap.saturating_add(frame).saturating_mul(plan.tick_scale());
    for pair in stored.windows(2) {
        let ((before, ending), (after, starting)) = (pair[0], pair[1]);
        if ending.init != starting.init {
            return Err(fail("verify-init", "chunks have different initialisation segments"));
        }
        if starting.start < ending.end {
            return Err(fail("verify-tiling", "chunks overlap"));
        }
        // Damaged frames leave a gap too. Then both decoders found the same frame after it.
        let same = before.seam_hash.is_some() && before.seam_hash == after.head_hash;
        if !same && starting.start.saturating_sub(ending.end) > hole_max {
            return Err(fail("verify-tiling", "there is a hole between chunks"));
        }
    }
    Ok(())
}

/// Checks a track from end to end: all parts, one initialisation segment, no gap, from the beginning of the outputs to their end.
fn audio(plan: &Plan, view: &View, track: usize) -> Result<(), Failure> {
    let Some(planned) = plan.audio.get(track) else { return Ok(()) };
    let fail = |code: &str, what: &str| bad(code, format!("{}: {what}", planned.name));
    let parts = assembly::audio_prefix(view, track);
    let promised = view.entry(assembly::audio_task(track)).map_or(0, |entry| entry.parts);
    if parts.len() < promised as usize {
        return Err(fail("verify-parts", "parts are missing"));
    }
    for pair in parts.windows(2) {
        if pair[0].init != pair[1].init {
            return Err(fail("verify-init", "parts have different initialisation segments"));
        }
        if pair[0].end != pair[1].start {
            return Err(fail("verify-tiling", "parts do not tile"));
        }
    }
    // A track without decodable audio has no parts.
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return Ok(()) };
    if first.start != 0 {
        return Err(fail("verify-sync", "the sound does not begin with the video"));
    }
    let seconds = last.end as f64 / f64::from(planned.sample_rate.max(1));
    if (seconds - plan.seconds()).abs() > SOUND_END_TOLERANCE {
        return Err(fail("verify-sync", "the sound does not end with the video"));
    }
    Ok(())
}

/// Checks the full decodes of progressive files, as far as they were requested.
fn decoded(plan: &Plan, view: &View) -> Result<(), Failure> {
    for (tier, planned) in plan.tiers.iter().enumerate() {
        let package = assembly::package(plan, view, tier);
        let Some(verified) = package.and_then(|package| package.verified.as_ref()) else {
            continue;
        };
        let parts = assembly::tier_prefix(plan, view, tier);
        let frames: u64 = parts.iter().map(|part| part.frames).sum();
        if verified.frames != frames {
            let message = format!(
                "{}: {frames} frames were encoded, {} can be decoded",
                planned.name, verified.frames
            );
            return Err(bad("verify-decode", message));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
