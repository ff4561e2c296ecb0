//! The permitted frames of a picture task: the missing chunks in order, each with all of its tiers and its kept pictures.

use std::collections::VecDeque;

use super::breach::{Breach, Checked, ensure, nonsense};
use super::fragment::{self, INIT_BYTES_MAX, Row};
use super::text;
use crate::codec::wire::{
    Budget, ChunkReport, EncoderSpec, FRAME_BYTES_MAX, Segment, TierReport, VideoJob,
};
use crate::plan::gop::Grid;
use crate::plan::{Chunk, ImagePlan};

/// Seconds by which the pictures of an open-ended chunk may exceed the probed end, besides the longest gap. Decoders may shift the last
/// timestamps.
const TAIL_SECONDS: f64 = 10.0;
/// Factor by which a segment may exceed the rate cap. The cap bounds the rate over a buffer of one second, and a preset's first guess may
/// miss it.
const RATE_FACTOR: f64 = 4.0;
/// Seconds of the cap in addition to a segment's own: its buffer, and frames that come early.
const RATE_SECONDS: f64 = 2.0;
/// Bytes per pixel of a picture that cannot be compressed.
const PIXEL_BYTES: u64 = 3;
const JPEG_BYTES_BASE: u64 = 64 << 10;
/// Bytes of a tier's report besides its lists.
const REPORT_BYTES: u64 = 1 << 10;
/// Bytes of an instant in MessagePack.
const INSTANT_BYTES: u64 = 9;

/// A chunk still to be sent.
#[derive(Debug, Clone, Copy)]
struct Span {
    /// Plan index of the chunk.
    chunk: u32,
    /// Earliest start of a frame in output ticks.
    earliest: i64,
    /// Latest end of a frame in output ticks.
    latest: i64,
    segments_max: u64,
    idr_max: u64,
    /// Most repeated frames: one per group of pictures.
    repeats_max: u64,
    /// Length of its segments in seconds.
    segment_seconds: f64,
    /// Interval of the last picture that was kept before it.
    shown: Option<i64>,
}

/// Frames that a picture task may still send.
#[derive(Debug, Clone)]
pub(super) struct Pictures {
    spans: VecDeque<Span>,
    tiers: Vec<Tier>,
    images: Option<Images>,
    /// Source frames that may still be reported.
    frames: u64,
    gap_max: i64,
    lost_max: u64,
    cpu_seconds_max: f64,
    report_bytes_max: u64,
}

/// A tier of the current chunk.
#[derive(Debug, Clone)]
struct Tier {
    row: Row,
    /// Starts of its segments.
    starts: Vec<i64>,
    /// Initialisation segment of the first chunk.
    init: Option<Vec<u8>>,
    fragment_bytes_max: u64,
}

#[derive(Debug, Clone, Copy)]
struct Images {
    /// Distance of kept pictures in output ticks.
    interval: i64,
    shown: Option<i64>,
    bytes_max: u64,
}

impl Pictures {
    pub(super) fn new(job: &VideoJob, budget: &Budget, cpu_seconds_max: f64) -> Self {
        let chunks = (job.first_chunk..).zip(&job.chunks);
        let wanted = chunks.filter(|(index, _)| !job.done.contains(index));
        let spans: VecDeque<Span> =
            wanted.map(|(index, chunk)| span(job, budget, index, chunk)).collect();
        let longest = spans.iter().map(|span| span.segment_seconds).fold(0.0, f64::max);
        let idr = spans.iter().map(|span| span.idr_max).max().unwrap_or(0);
        let tier_bytes = idr.saturating_mul(INSTANT_BYTES) + INIT_BYTES_MAX as u64 + REPORT_BYTES;
        let mut pictures = Self {
            tiers: job.tiers.iter().map(|spec| Tier::new(spec, longest)).collect(),
            images: job.images.as_ref().map(|plan| Images::new(plan, job)),
            frames: budget.frames_max,
            lost_max: budget.damage_max,
            gap_max: job.source.time_base.ticks(budget.seconds_max),
            cpu_seconds_max,
            report_bytes_max: tier_bytes.saturating_mul(job.tiers.len() as u64 + 1),
            spans,
        };
        pictures.begin();
        pictures
    }

    /// Most frames of a progress message: decoded and repeated ones, including those of chunks that are not sent.
    pub(super) fn progress_max(job: &VideoJob, budget: &Budget) -> u64 {
        let spans =
            (job.first_chunk..).zip(&job.chunks).map(|(i, chunk)| span(job, budget, i, chunk));
        spans.fold(budget.frames_max, |sum, span| sum.saturating_add(span.repeats_max))
    }

    pub(super) fn fragment_bytes_max(&self) -> u64 {
        self.tiers.iter().map(|tier| tier.fragment_bytes_max).max().unwrap_or(0)
    }

    pub(super) fn picture_bytes_max(&self) -> u64 {
        self.images.map_or(0, |images| images.bytes_max)
    }

    pub(super) fn report_bytes_max(&self) -> u64 {
        self.report_bytes_max
    }

    pub(super) fn fragment(
        &mut self,
        chunk: u32,
        tier: u32,
        segment: &Segment,
        bytes: &[u8],
    ) -> Checked {
        let span = self.span(chunk)?;
        let tier = self.tiers.get_mut(tier as usize);
        let tier = tier.ok_or_else(|| nonsense("a tier that the job does not have"))?;
        let end = segment.start.saturating_add(segment.duration);
        let inside = segment.start >= span.earliest && end <= span.latest;
        ensure(inside, "a segment outside of its chunk")?;
        ensure(bytes.len() as u64 <= tier.fragment_bytes_max, "a segment above its rate cap")?;
        tier.row.append(segment, bytes)?;
        ensure(tier.row.segments <= span.segments_max, "more segments than the chunk has")?;
        let frames_max = self.frames.saturating_add(span.repeats_max);
        ensure(tier.row.frames <= frames_max, "more frames than the source has")?;
        tier.starts.push(segment.start);
        Ok(())
    }

    pub(super) fn picture(&mut self, chunk: u32, pts: i64, bytes: &[u8]) -> Checked {
        let span = self.span(chunk)?;
        let images =
            self.images.as_mut().ok_or_else(|| nonsense("a picture that is not wanted"))?;
        ensure((span.earliest..span.latest).contains(&pts), "a picture outside of its chunk")?;
        let slot = pts.div_euclid(images.interval);
        ensure(images.shown.is_none_or(|shown| slot > shown), "more pictures than are wanted")?;
        images.shown = Some(slot);
        ensure(bytes.len() as u64 <= images.bytes_max, "a picture that is too long")?;
        let jpeg = bytes.starts_with(&[0xff, 0xd8]) && bytes.ends_with(&[0xff, 0xd9]);
        ensure(jpeg, "a picture that is no JPEG")
    }

    /// Checks the report of a chunk.
    pub(super) fn done(&mut self, report: &ChunkReport) -> Checked {
        let ChunkReport {
            chunk,
            source_frames,
            repeats,
            head_hash,
            seam_hash,
            largest_gap,
            lost,
            tiers,
            cpu_seconds,
        } = report;
        let span = self.span(*chunk)?;
        ensure(*source_frames <= self.frames, "more frames than the source has")?;
        ensure(*repeats <= span.repeats_max, "a picture that is repeated too often")?;
        ensure(head_hash.is_some() == (*source_frames > 0), "a first frame without frames")?;
        head_hash.iter().chain(seam_hash).try_for_each(|hash| text::hash(hash))?;
        ensure((0..=self.gap_max).contains(largest_gap), "a gap longer than any source")?;
        ensure(*lost <= self.lost_max, "more lost pictures than are allowed")?;
        text::seconds(*cpu_seconds, self.cpu_seconds_max)?;
        ensure(tiers.len() == self.tiers.len(), "a chunk with other tiers than the job has")?;
        for (tier, report) in self.tiers.iter_mut().zip(tiers) {
            text::seconds(report.cpu_seconds, self.cpu_seconds_max)?;
            tier.done(report, &span, source_frames + repeats)?;
        }
        self.frames -= source_frames;
        self.spans.pop_front();
        self.begin();
        Ok(())
    }

    /// Whether all chunks were sent.
    pub(super) fn complete(&self) -> bool {
        self.spans.is_empty()
    }

    fn span(&self, chunk: u32) -> Result<Span, Breach> {
        let current = self.spans.front().filter(|span| span.chunk == chunk);
        current.copied().ok_or_else(|| nonsense("a chunk that is not at work"))
    }

    /// Resets the state for the next chunk.
    fn begin(&mut self) {
        for tier in &mut self.tiers {
            tier.row = Row::default();
            tier.starts.clear();
        }
        if let (Some(span), Some(images)) = (self.spans.front(), &mut self.images) {
            images.shown = span.shown;
        }
    }
}

/// Limits of the frames of a chunk.
fn span(job: &VideoJob, budget: &Budget, index: u32, chunk: &Chunk) -> Span {
    let VideoJob { source, segment_seconds, gop_seconds, .. } = job;
    let tick = |tick: i64| tick.saturating_sub(job.origin).saturating_mul(job.tick_scale);
    let tail = source.time_base.ticks(budget.gap_seconds_max + TAIL_SECONDS);
    let open = chunk.end == i64::MAX;
    let planned = if open { job.end_estimate } else { chunk.end };
    let end = if open { job.end_estimate.saturating_add(tail) } else { chunk.end };
    let grid =
        Grid::new(chunk, planned, source.time_base, *segment_seconds, *gop_seconds, &job.rules);
    let (idr_max, segments_max) = grid.most(end);
    let interval = job.images.as_ref().map_or(1, |images| interval(images, job));
    // The first chunk also holds earlier frames.
    let before = (index > 0).then(|| tick(chunk.start));
    Span {
        chunk: index,
        earliest: before.unwrap_or(0),
        latest: tick(end),
        segments_max,
        idr_max,
        repeats_max: idr_max,
        segment_seconds: grid.segment_ticks() * source.time_base.as_f64(),
        shown: before.map(|start| start.saturating_sub(1).div_euclid(interval)),
    }
}

fn interval(images: &ImagePlan, job: &VideoJob) -> i64 {
    images.interval.max(1).saturating_mul(job.tick_scale).max(1)
}

impl Images {
    fn new(plan: &ImagePlan, job: &VideoJob) -> Self {
        let pixels = job.tiers.get(plan.tier).map_or(0, pixels);
        Self {
            interval: interval(plan, job),
            shown: None,
            bytes_max: pixels.saturating_mul(PIXEL_BYTES) + JPEG_BYTES_BASE,
        }
    }
}

impl Tier {
    fn new(spec: &EncoderSpec, segment_seconds: f64) -> Self {
        let rate = f64::from(spec.max_rate) / 8.0 * RATE_FACTOR;
        let bytes = rate * (segment_seconds + RATE_SECONDS);
        // The rate cap does not bound a single key picture.
        let bytes = (bytes as u64).saturating_add(pixels(spec) * PIXEL_BYTES);
        let fragment_bytes_max = bytes.saturating_add(JPEG_BYTES_BASE).min(FRAME_BYTES_MAX as u64);
        Self { row: Row::default(), starts: Vec::new(), init: None, fragment_bytes_max }
    }

    /// Checks the report of a tier: `all` frames were decoded or repeated.
    fn done(&mut self, report: &TierReport, span: &Span, all: u64) -> Checked {
        let TierReport { init, frames, frames_in, pts_hash, start, end, idr, cpu_seconds: _ } =
            report;
        fragment::init(init)?;
        let known = self.init.get_or_insert_with(|| init.to_vec());
        ensure(known == init.as_ref(), "chunks with different initialisation segments")?;
        ensure(*frames == self.row.frames, "other frames than were sent")?;
        ensure(*frames <= all && *frames_in <= all, "more frames than there are pictures")?;
        text::hash(pts_hash)?;
        text::tick(*start)?;
        text::tick(*end)?;
        let ends = (Some(*start), Some(*end)) == (self.row.start, self.row.next);
        ensure(if *frames > 0 { ends } else { start == end }, "a chunk that ends elsewhere")?;
        ensure(idr.len() as u64 <= span.idr_max.min(*frames), "more key pictures than planned")?;
        let ascending = idr.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = idr.iter().all(|instant| (*start..*end).contains(instant));
        ensure(ascending && inside, "key pictures out of order")?;
        let cut = |start: &i64| idr.binary_search(start).is_ok();
        ensure(self.starts.iter().all(cut), "a segment without a key picture")
    }
}

fn pixels(spec: &EncoderSpec) -> u64 {
    u64::from(spec.width) * u64::from(spec.height)
}
