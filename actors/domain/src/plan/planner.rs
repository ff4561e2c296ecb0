//! Makes the plan of an order from probe facts, a policy and limits. Deterministic. A plan is written once and read by every worker.
//!
//! Invariants: chunks tile the presentation time without gap or overlap. No tier is larger than the source's picture in square pixels
//! ([`crate::plan::frame`]). Every task comes after the tasks it needs. [`crate::plan::chunking`] cuts, [`crate::plan::tasks`] makes the
//! task list.

use crate::codec::clock;
use crate::codec::limits::Limits;
use crate::id::OrderId;
use crate::plan::chunking;
use crate::plan::classify;
use crate::plan::framerate::{FrameRule, target_rate, within};
use crate::plan::h264::{self, Demand};
use crate::plan::ladder::{Fitted, Rung, TierPlan, display_size, select};
use crate::plan::media::{AudioTrack, ProbeFacts, VideoTrack};
use crate::plan::policy::PlanPolicy;
use crate::plan::refusal;
use crate::plan::soundtrack;
use crate::plan::still;
use crate::plan::tasks;
use crate::plan::{AudioPlan, Chunk, Class, ImagePlan, Plan};
use crate::words::failure::Failure;
use crate::words::reason::{ContentFault, OverLimit, Reason};
use crate::words::warning::Warning;

/// Pixels of the longer side of a thumbnail.
const TILE_SIDE: u32 = 160;

/// Thumbnails in a row and in a column of a sheet: 1600x900 pixels with 16:9 tiles, which every browser accepts as one image.
const SHEET_SIDE: u32 = 10;

/// Pictures come from the largest tier up to this shorter side: large enough for a poster, cheap to keep.
const PICTURE_SIDE_MAX: u32 = 480;

/// Plans an order.
///
/// # Errors
/// Permanent: the source is refused, or cannot be encoded as requested.
pub fn plan(
    order: OrderId,
    facts: ProbeFacts,
    policy: &PlanPolicy,
    limits: &Limits,
    codec_build: &str,
    force_class_b: bool,
) -> Result<Plan, Failure> {
    refusal::refuse(&facts, limits)?;
    let Some(video) = facts.video.clone() else {
        let nothing = ContentFault::NoVideo { sounds: facts.audio.len(), cover: false };
        return Err(Reason::from(nothing).into());
    };
    let timescale = clock::timescale(video.time_base)?;
    let tracks = soundtrack::chosen(&facts, limits.audio_tracks_max);
    let audio = soundtrack::plans(&tracks, policy);
    let fitted = select(&policy.ladder, display_size(&video), policy.tiers.as_deref());
    let tiers = tier_plans(&fitted, &video, &audio)?;
    let (class, class_reason) = if force_class_b {
        (
            Class::B,
            "decoded in one go: chunks of an earlier attempt did not fit together".to_owned(),
        )
    } else {
        classify::classify(&facts, policy)
    };
    let mut chunks = match class {
        Class::A => chunking::at_random_access(&video, policy),
        Class::B => chunking::by_time(&video, policy),
    };
    let (origin, before) = clock::origin(&video, &tracks, limits.gap_seconds_max);
    let (end, cut) = clock::end(&video, &tracks, origin, limits.seconds_max);
    if let Some(first) = chunks.first_mut()
        && still::leads(video.time_base.seconds(video.start - origin))
    {
        first.start = origin;
    }
    let chunks = chunking::to_the_end(chunks, class, &video, end, policy);
    let mut plan = Plan {
        v: 1,
        order,
        class,
        class_reason,
        origin,
        end: Some(end),
        time_base: video.time_base,
        timescale,
        target_duration: target_duration(&video, &chunks, end, &fitted, policy),
        images: policy.images.then(|| image_plan(&tiers, &video, policy)),
        tiers,
        audio,
        chunks,
        segment_seconds: policy.segment_seconds,
        gop_seconds: policy.gop_seconds,
        tasks: Vec::new(),
        preset: policy.preset.clone(),
        codec_build: codec_build.to_owned(),
        warnings: warnings(&facts, &video, &fitted, &tracks, policy)
            .into_iter()
            .chain(before.into_iter().chain(cut).map(|warning| warning.sentence()))
            .collect(),
        facts,
    };
    let lazy: Vec<bool> = fitted.iter().map(|fitted| fitted.rung.lazy).collect();
    plan.tasks = tasks::release_list(&plan, &lazy, policy);
    Ok(plan)
}

fn tier_plans(
    fitted: &[Fitted],
    video: &VideoTrack,
    audio: &[AudioPlan],
) -> Result<Vec<TierPlan>, Failure> {
    if fitted.is_empty() {
        let (width, height) = display_size(video);
        return Err(Reason::from(OverLimit::NoTier { width, height }).into());
    }
    let sound = audio.iter().map(|track| track.bit_rate).max().unwrap_or(0);
    fitted.iter().map(|fitted| tier_plan(fitted, video, sound)).collect()
}

fn tier_plan(fitted: &Fitted, video: &VideoTrack, sound: u32) -> Result<TierPlan, Failure> {
    let Fitted { name, width, height, rung } = fitted;
    let rule = FrameRule::new(video.frame_rate, rung.max_frame_rate, video.time_base);
    let frame_rate = tier_rate(video, rung);
    let (kbps, floor) = if within(frame_rate, 30.0) {
        (rung.max_rate_kbps, rung.level)
    } else {
        (rung.max_rate_high_kbps, rung.level_high)
    };
    let max_rate = kbps.saturating_mul(1000);
    let demand = Demand { width: *width, height: *height, frame_rate, max_rate };
    let level = h264::level_for(demand, floor).ok_or_else(|| {
        Reason::from(OverLimit::NoLevel { width: *width, height: *height, rate: frame_rate })
    })?;
    let declared = (u64::from(max_rate) + u64::from(sound)) * 11 / 10;
    Ok(TierPlan {
        name: name.clone(),
        width: *width,
        height: *height,
        crf: rung.crf,
        max_rate,
        level,
        rule,
        bandwidth: u32::try_from(declared).unwrap_or(u32::MAX),
        codecs: h264::codec_string(level),
    })
}

/// Frames per second that a tier of the rung keeps.
fn tier_rate(video: &VideoTrack, rung: &Rung) -> f64 {
    target_rate(video.frame_rate.as_f64(), f64::from(rung.max_frame_rate.max(1)))
}

fn image_plan(tiers: &[TierPlan], video: &VideoTrack, policy: &PlanPolicy) -> ImagePlan {
    let small = tiers.iter().position(|tier| tier.width.min(tier.height) <= PICTURE_SIDE_MAX);
    let tier = small.unwrap_or_else(|| tiers.len().saturating_sub(1));
    let (width, height) = tiers.get(tier).map_or((16, 9), |tier| (tier.width, tier.height));
    let scaled = |side: u32| {
        let exact = f64::from(side * TILE_SIDE) / f64::from(width.max(height));
        ((exact / 2.0).round() as u32 * 2).max(2)
    };
    ImagePlan {
        tier,
        interval: video.time_base.ticks(policy.thumbnail_seconds).max(1),
        tile_width: scaled(width),
        tile_height: scaled(height),
        columns: SHEET_SIDE,
        rows: SHEET_SIDE,
    }
}

/// The longest segment of the grid of [`crate::plan::gop`] in whole seconds. The outputs end at `end`.
///
/// A segment starts at the first frame at or after its instant that every tier keeps. So it exceeds its planned length by at most the
/// distance of such frames, or by the longest duration of a frame.
fn target_duration(
    video: &VideoTrack,
    chunks: &[Chunk],
    end: i64,
    fitted: &[Fitted],
    policy: &PlanPolicy,
) -> u32 {
    let segment = |chunk: &Chunk| {
        let seconds = video.time_base.seconds(chunk.end.min(end) - chunk.start);
        seconds / (seconds / policy.segment_seconds).round().max(1.0)
    };
    let longest = chunks.iter().map(segment).fold(policy.segment_seconds, f64::max);
    let fps = video.frame_rate.as_f64();
    let divisors =
        fitted.iter().map(|fitted| (fps / tier_rate(video, &fitted.rung)).round() as u64);
    let common = divisors.fold(1, |a, b| a / gcd(a, b.max(1)) * b.max(1));
    let gap = video.time_base.seconds(video.largest_gap.max(0));
    let frames = [common as f64 / fps, gap].map(|frame| still::longest(frame, policy.gop_seconds));
    let slack: f64 = frames.iter().sum();
    (longest + slack).ceil().max(1.0) as u32
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn warnings(
    facts: &ProbeFacts,
    video: &VideoTrack,
    fitted: &[Fitted],
    tracks: &[&AudioTrack],
    policy: &PlanPolicy,
) -> Vec<String> {
    let mut warnings = facts.warnings.clone();
    warnings.extend(soundtrack::warnings(facts, tracks));
    let mut others = Vec::new();
    if !facts.subtitles.is_empty() {
        others.push(Warning::SubtitlesLeftOut { languages: facts.subtitles.clone() });
    }
    if video.colour.is_hdr() {
        others.push(Warning::ToneMapped);
    }
    let missing = policy.tiers.iter().flatten();
    for name in missing.filter(|name| !fitted.iter().any(|fitted| fitted.name == **name)) {
        others.push(Warning::TierMissing { tier: name.clone() });
    }
    warnings.extend(others.iter().map(Warning::sentence));
    warnings
}

#[cfg(test)]
#[path = "planner_tests.rs"]
mod tests;
