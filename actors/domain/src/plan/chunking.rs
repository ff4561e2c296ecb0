//! Cuts a source into chunks: at random-access points (class A) or at instants (class B, and where its last picture stands).
//!
//! Invariant: chunks are consecutive from the first picture on; only the last is open-ended.

use crate::plan::media::{RandomAccess, VideoTrack};
use crate::plan::policy::PlanPolicy;
use crate::plan::{Chunk, Class};

/// Seconds without a frame up to which every chunk that is cut at an instant still holds frames.
const STILL_SECONDS: f64 = 1.0;

/// Packets up to which a source is one chunk, whatever its duration: six seconds at 25 frames per second. Rate control needs frames, not
/// seconds, to settle (a 12-frame source cut in two lost 0.29 dB of SSIM, measured).
const FEW_PACKETS: u64 = 150;

/// CPU time of a second of moving pictures divided by that of a second of a standing picture: 2.6 s and 0.028 s with the tiers of a 1080p
/// source at 25 frames per second (measured).
const STANDING_FACTOR: f64 = 90.0;

/// Shortest chunk of a standing picture, as a share of the usual length. Starting the process costs less than a tenth of it.
const STANDING_SHARE_MIN: f64 = 0.1;

/// A cut, and the DTS to seek to for what follows it.
type Cut = (i64, Option<i64>);

/// The policy in ticks of one source.
struct Lengths {
    first_min: i64,
    first_max: i64,
    min: i64,
    target: i64,
    max: i64,
}

impl Lengths {
    fn new(video: &VideoTrack, policy: &PlanPolicy) -> Self {
        // At least one second each whatever the settings, so that the number of chunks is bounded.
        let ticks = |seconds: f64| video.time_base.ticks(seconds.max(1.0)).max(1);
        Self {
            first_min: ticks(policy.first_seconds_min),
            first_max: ticks(policy.first_seconds_max.max(policy.first_seconds_min)),
            min: ticks(policy.chunk_seconds_min),
            target: ticks(policy.chunk_seconds_target.max(policy.chunk_seconds_min)),
            max: ticks(policy.chunk_seconds_max.max(policy.chunk_seconds_target)),
        }
    }

    /// Whether a source is so short that one chunk is best: a cut would only cost quality.
    fn whole(&self, video: &VideoTrack) -> bool {
        video.packets <= FEW_PACKETS
            || video.end - video.start <= self.min.max(self.first_min + self.first_max)
    }

    /// The same for a source that is decoded in one go. Its chunks are encoded one after the other, so cutting a short one gains nothing
    /// (and cost a 10-second clip 0.27 dB of SSIM, measured).
    fn whole_in_one_go(&self, video: &VideoTrack) -> bool {
        self.whole(video) || video.end - video.start <= self.target + self.first_min
    }

    /// The first cut if the source offers none.
    fn first_instant(&self, video: &VideoTrack) -> i64 {
        video.start + (self.first_min + self.first_max) / 2
    }
}

/// Chunks of a class A source.
#[must_use]
pub fn at_random_access(video: &VideoTrack, policy: &PlanPolicy) -> Vec<Chunk> {
    let lengths = Lengths::new(video, policy);
    if lengths.whole(video) {
        return tile(video.start, &[]);
    }
    let Some(first) = first_cut(video, &lengths) else { return tile(video.start, &[]) };
    let mut cuts = vec![first];
    let mut start = first.0;
    while let Some(point) = next_cut(video, &lengths, start) {
        cuts.push((point.pts, Some(point.dts)));
        start = point.pts;
    }
    tile(video.start, &cuts)
}

/// Chunks of a class B source.
#[must_use]
pub fn by_time(video: &VideoTrack, policy: &PlanPolicy) -> Vec<Chunk> {
    let lengths = Lengths::new(video, policy);
    if lengths.whole_in_one_go(video) {
        return tile(video.start, &[]);
    }
    let mut cuts: Vec<Cut> = Vec::new();
    let mut next = lengths.first_instant(video);
    loop {
        cuts.push((next, None));
        next += lengths.target;
        if video.end - next < lengths.min {
            return tile(video.start, &cuts);
        }
    }
}

/// `chunks` with further cuts after the end of the pictures, up to `end`, the end of the outputs: hours of audio over one last picture
/// become several chunks. Chunks before a further cut have whole segments. Tasks of class A decode the last picture again from the last
/// random-access point.
#[must_use]
pub fn to_the_end(
    mut chunks: Vec<Chunk>,
    class: Class,
    video: &VideoTrack,
    end: i64,
    policy: &PlanPolicy,
) -> Vec<Chunk> {
    let Some(start) = chunks.last().map(|last| last.start) else { return chunks };
    let segment = policy.segment_seconds.max(1.0);
    let target = policy.chunk_seconds_target.max(1.0) * STANDING_FACTOR;
    let per_chunk = (target / segment).round().max(1.0);
    let least = video.time_base.ticks(target * STANDING_SHARE_MIN).max(1);
    let instant = |segments: f64| start.saturating_add(video.time_base.ticks(segments * segment));
    let seek = match class {
        Class::A => video.random_access.last().map(|point| point.dts),
        Class::B => None,
    };
    let mut segments = (video.time_base.seconds(video.end - start) / segment).ceil().max(1.0);
    while let Some(last) = chunks.last_mut() {
        let cut = instant(segments);
        if cut <= last.start || end.saturating_sub(cut) < least {
            break;
        }
        last.end = cut;
        chunks.push(Chunk { start: cut, end: i64::MAX, seek });
        segments += per_chunk;
    }
    chunks
}

/// The end of the first chunk: a random-access point if one is near, else an instant. Then the next chunk is decoded from the point before
/// it. An instant needs frames on both sides, so a source that stands still for long is cut at a point, however far, or not at all.
fn first_cut(video: &VideoTrack, lengths: &Lengths) -> Option<Cut> {
    let (from, to) = (video.start + lengths.first_min, video.start + lengths.first_max);
    let last = video.end - lengths.first_min;
    let point = video.random_access.iter().find(|point| (from..=last).contains(&point.pts));
    let still = video.time_base.seconds(video.largest_gap) > STILL_SECONDS;
    match point {
        Some(point) if still || point.pts <= to => Some((point.pts, Some(point.dts))),
        None if still => None,
        Some(_) | None => {
            let instant = lengths.first_instant(video);
            let before = video.random_access.iter().rev().find(|point| point.pts <= instant);
            Some((instant, before.map(|point| point.dts)))
        }
    }
}

/// The end of the chunk that starts at `start`; `None` if it reaches to the end of the source.
fn next_cut(video: &VideoTrack, lengths: &Lengths, start: i64) -> Option<RandomAccess> {
    if video.end - start < lengths.target + lengths.min {
        return None;
    }
    // A short tail is not worth a chunk, so no cut leaves less than the minimum on either side.
    let window = start + lengths.min..=video.end - lengths.min;
    let at_target = start + lengths.target;
    let from = video.random_access.partition_point(|point| point.pts < *window.start());
    let points = video.random_access[from..].iter().take_while(|point| point.pts <= *window.end());
    let (mut early, mut late) = (None, None);
    for point in points {
        if point.pts >= at_target {
            late = Some(*point);
            break;
        }
        early = Some(*point);
    }
    match (early, late) {
        (Some(early), Some(late)) if late.pts - start > lengths.max => Some(early),
        (early, late) => late.or(early),
    }
}

fn tile(start: i64, cuts: &[Cut]) -> Vec<Chunk> {
    let starts = std::iter::once((start, None)).chain(cuts.iter().copied());
    let ends = cuts.iter().map(|cut| cut.0).chain(std::iter::once(i64::MAX));
    starts.zip(ends).map(|((start, seek), end)| Chunk { start, end, seek }).collect()
}
