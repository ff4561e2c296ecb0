//! Translates a planned task into a codec's job. It decides nothing.
//!
//! If a job reads more than the source, the returned list of objects is in the order of [`crate::codec::wire::Job::objects`].

use crate::codec::wire::{
    AudioJob, EncoderSpec, ImagesJob, PackageJob, PackageTrack, PicturePlan, PictureRef, Segment,
    SourceSpec, VideoJob,
};
use crate::order::ledger::{Object, TierOutput, View};
use crate::output::assembly;
use crate::output::language;
use crate::plan::frame::FirstPicture;
use crate::plan::{ImagePlan, Plan, Work};

/// Used if a plan makes no images.
const NO_PICTURES: ImagePlan =
    ImagePlan { tier: 0, interval: i64::MAX, tile_width: 2, tile_height: 2, columns: 1, rows: 1 };

/// The job of a picture task. `done_parts` are its parts whose results are stored. `None` for other work.
#[must_use]
pub fn video_job(plan: &Plan, work: &Work, done_parts: Vec<u32>) -> Option<VideoJob> {
    let Work::Video { chunks, tiers, images } = work else { return None };
    let video = plan.facts.video.as_ref()?;
    let first_chunk = *chunks.first()?;
    let encoders =
        tiers.iter().filter_map(|index| plan.tiers.get(*index)).map(|tier| EncoderSpec {
            name: tier.name.clone(),
            width: tier.width,
            height: tier.height,
            crf: tier.crf,
            max_rate: tier.max_rate,
            level: tier.level,
            rule: tier.rule,
        });
    let kept = plan.images.filter(|_| *images).and_then(|images| {
        let tier = tiers.iter().position(|tier| *tier == images.tier)?;
        Some(ImagePlan { tier, ..images })
    });
    Some(VideoJob {
        source: SourceSpec {
            format: plan.facts.format.clone(),
            stream: video.stream,
            time_base: video.time_base,
            decoder_options: video.decoder_options.clone(),
            continued: video.continued.clone(),
            clock: video.clock.clone(),
        },
        first_chunk,
        chunks: chunks.iter().filter_map(|i| plan.chunks.get(*i as usize)).copied().collect(),
        done: done_parts.into_iter().map(|part| first_chunk + part).collect(),
        end_estimate: plan.end(),
        hold_until: (!plan.audio.is_empty()).then(|| plan.end()),
        origin: plan.origin,
        tick_scale: plan.tick_scale(),
        timescale: plan.timescale,
        composition_shift: plan.composition_shift(),
        frame_rate: video.frame_rate,
        lasting: video.lasting,
        picture: PicturePlan {
            deinterlace: video.interlaced,
            rotation: video.rotation,
            mirrored: video.mirrored,
            tone_map: video.colour.is_hdr(),
            colour: video.colour.clone(),
            first: Some(FirstPicture::from(video)),
        },
        tiers: encoders.collect(),
        sizes: sizes(plan, tiers),
        rules: plan.tiers.iter().map(|tier| tier.rule).collect(),
        segment_seconds: plan.segment_seconds,
        gop_seconds: plan.gop_seconds,
        preset: plan.preset.clone(),
        images: kept,
        threads: 1,
    })
}

/// Sizes that pictures of `tiers` are scaled through.
fn sizes(plan: &Plan, tiers: &[usize]) -> Vec<(u32, u32)> {
    let count = tiers.iter().max().map_or(0, |last| last + 1);
    plan.tiers.iter().take(count).map(|tier| (tier.width, tier.height)).collect()
}

/// The job of an audio task. `done` are its parts whose results are stored.
///
/// # Panics
/// The plan has no such track. Tracks come from [`Work::Audio`] of the same plan.
#[must_use]
pub fn audio_job(plan: &Plan, track: usize, done: Vec<u32>) -> AudioJob {
    let audio = plan.audio[track].clone();
    let found = plan.audio_track(track);
    AudioJob {
        source: SourceSpec {
            format: plan.facts.format.clone(),
            stream: audio.stream,
            time_base: found.map_or(plan.time_base, |found| found.time_base),
            decoder_options: Vec::new(),
            continued: found.map(|found| found.continued.clone()).unwrap_or_default(),
            clock: found.map(|found| found.clock.clone()).unwrap_or_default(),
        },
        audio,
        counted: found.is_some_and(|found| found.counted),
        mixed: found.is_some_and(|found| found.mixed),
        origin_seconds: plan.time_base.seconds(plan.origin),
        end_seconds: plan.seconds(),
        done,
        segment_seconds: plan.segment_seconds,
    }
}

/// The job that composes the kept pictures, and the objects that hold them. Without pictures if the plan makes none.
#[must_use]
pub fn images_job(plan: &Plan, view: &View) -> (ImagesJob, Vec<Object>) {
    let images = plan.images.unwrap_or(NO_PICTURES);
    let kept = assembly::tier(plan, view, images.tier);
    let (mut objects, mut pictures) = (Vec::new(), Vec::new());
    for stored in kept.values().filter_map(|(chunk, _)| chunk.pictures.as_ref()) {
        let object = objects.len() as u32;
        pictures.extend(stored.pictures.iter().map(|p| PictureRef { object, ..p.clone() }));
        objects.push(stored.object.clone());
    }
    let end = kept.values().map(|(_, part)| part.end).max().unwrap_or(0);
    (ImagesJob { images, timescale: plan.timescale, end, pictures }, objects)
}

/// The job that makes the progressive file of a tier, and the objects it copies from.
#[must_use]
pub fn package_job(
    plan: &Plan,
    view: &View,
    tier: usize,
    verify: bool,
) -> (PackageJob, Vec<Object>) {
    let mut objects = Vec::new();
    let chunks = assembly::tier_prefix(plan, view, tier);
    let video = PackageTrack {
        init: first_init(&chunks),
        language: String::new(),
        segments: chunks
            .iter()
            .filter_map(|part| Some((part.object.as_ref()?, part.segments.as_slice())))
            .flat_map(|(object, segments)| place(&mut objects, object, segments))
            .collect(),
    };
    let parts = assembly::audio_prefix(view, 0);
    let audio = parts.first().filter(|_| !plan.audio.is_empty()).map(|first| PackageTrack {
        init: first.init.clone(),
        language: plan
            .audio
            .first()
            .and_then(|track| language::iso_639_2(&track.language))
            .unwrap_or_default(),
        segments: parts
            .iter()
            .flat_map(|part| place(&mut objects, &part.object, &part.segments))
            .collect(),
    });
    (PackageJob { name: package_name(plan, tier), video, audio, verify }, objects)
}

/// File name of a tier's progressive file.
#[must_use]
pub fn package_name(plan: &Plan, tier: usize) -> String {
    plan.tiers.get(tier).map_or_else(String::new, |tier| format!("{}.mp4", tier.name))
}

/// Adds an object. Returns its segments with its index.
fn place(objects: &mut Vec<Object>, object: &Object, segments: &[Segment]) -> Vec<(u32, Segment)> {
    let index = objects.len() as u32;
    objects.push(object.clone());
    segments.iter().map(|segment| (index, segment.clone())).collect()
}

fn first_init(chunks: &[&TierOutput]) -> serde_bytes::ByteBuf {
    let stored = chunks.iter().find(|part| part.object.is_some());
    stored.map(|part| part.init.clone()).unwrap_or_default()
}
