//! The ledger of an order, arranged by chunk, tier and track. Only this module knows which task wrote which result.
//!
//! A result counts once it is in the ledger, in a task's entry or in a checkpoint. If a chunk is there twice, the first entry counts, as in
//! the stream.

use std::collections::BTreeMap;

use crate::id::{Group, TaskId};
use crate::order::ledger::{
    AudioOutput, ChunkOutput, ImagesOutput, Output, PackageOutput, TierOutput, View,
};
use crate::plan::{Plan, PlannedTask, Work};

/// Every stored chunk with its task, in the plan's order of tasks.
pub fn chunks<'a>(
    plan: &'a Plan,
    view: &'a View,
) -> impl Iterator<Item = (&'a PlannedTask, &'a ChunkOutput)> {
    plan.tasks.iter().flat_map(move |planned| {
        view.outputs(planned.task).filter_map(move |output| match output {
            Output::Chunk(chunk) => Some((planned, chunk)),
            Output::Audio(_) | Output::Images(_) | Output::Package(_) => None,
        })
    })
}

/// Chunks of a tier by index, with the tier's part of each.
#[must_use]
pub fn tier<'a>(
    plan: &'a Plan,
    view: &'a View,
    tier: usize,
) -> BTreeMap<u32, (&'a ChunkOutput, &'a TierOutput)> {
    let mut found = BTreeMap::new();
    for (task, _) in plan.video_tasks(tier) {
        for output in view.outputs(task) {
            let Output::Chunk(chunk) = output else { continue };
            if let Some(part) = chunk.tiers.get(&tier) {
                found.entry(chunk.chunk).or_insert((chunk, part));
            }
        }
    }
    found
}

/// The contiguous chunks of a tier from the first one on.
#[must_use]
pub fn tier_prefix<'a>(plan: &'a Plan, view: &'a View, tier: usize) -> Vec<&'a TierOutput> {
    let found = self::tier(plan, view, tier);
    (0..plan.chunks.len() as u32).map_while(|i| found.get(&i).map(|(_, part)| *part)).collect()
}

/// The task that encodes a track.
#[must_use]
pub fn audio_task(track: usize) -> TaskId {
    TaskId::new(Group::Audio, u32::try_from(track).unwrap_or(u32::MAX))
}

/// The contiguous parts of a track from the first one on.
#[must_use]
pub fn audio_prefix(view: &View, track: usize) -> Vec<&AudioOutput> {
    let mut found = BTreeMap::new();
    for output in view.outputs(audio_task(track)) {
        let Output::Audio(part) = output else { continue };
        if part.track == track {
            found.entry(part.part).or_insert(part);
        }
    }
    (0..found.len() as u32).map_while(|part| found.get(&part).copied()).collect()
}

/// Poster, sprites and WebVTT.
#[must_use]
pub fn images<'a>(plan: &'a Plan, view: &'a View) -> Option<&'a ImagesOutput> {
    let makes = |piece: &Work| matches!(piece, Work::Images);
    let planned = plan.tasks.iter().find(|planned| planned.work.pieces().iter().any(makes))?;
    view.outputs(planned.task).find_map(|output| match output {
        Output::Images(images) => Some(images),
        Output::Chunk(_) | Output::Audio(_) | Output::Package(_) => None,
    })
}

/// The progressive file of a tier.
#[must_use]
pub fn package<'a>(plan: &'a Plan, view: &'a View, tier: usize) -> Option<&'a PackageOutput> {
    let makes = |piece: &Work| matches!(piece, Work::Package { tier: t, .. } if *t == tier);
    let planned = plan.tasks.iter().find(|planned| planned.work.pieces().iter().any(makes))?;
    view.outputs(planned.task).find_map(|output| match output {
        Output::Package(package) => (package.tier == tier).then_some(package),
        Output::Chunk(_) | Output::Audio(_) | Output::Images(_) => None,
    })
}
