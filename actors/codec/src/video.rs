//! The video job: decode intervals once, encode every tier of them from the same frames.
//!
//! Invariants: a frame belongs to exactly one chunk, by its timestamp; one pass in ascending time whatever the number of chunks;
//! only the first frame of a chunk and the first one after the last chunk are hashed.

use std::time::{Duration, Instant};

use ffmpeg_next::frame::Video;
use jetreel_domain::framerate::FrameRule;
use jetreel_domain::gop::{Grid, Mark};
use jetreel_domain::media::Rational;
use jetreel_domain::plan::{Chunk, ImagePlan};
use jetreel_domain::wire::{ChunkReport, FromCodec, Job, Report, TierReport, VideoJob};
use serde_bytes::ByteBuf;

use crate::cascade::{Cascade, Sink, Ticket};
use crate::clock;
use crate::decode::{Frames, Track, no_frames, picture_hash};
use crate::encode::Settings;
use crate::failure::Outcome;
use crate::input::Input;
use crate::jpeg;
use crate::link::Link;
use crate::tier::Tier;

/// Progress is told at most this often.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);
/// Packets are decoded this far behind the end of the last chunk before the seam frame is given up: timestamps of decoding
/// are guesses in several containers.
const OVERRUN_SECONDS: f64 = 2.0;

/// Does the job.
pub(crate) fn run(link: &Link, job: &Job, video: &VideoJob) -> Outcome<Report> {
    let mut frames = open(link, job, video)?;
    if let Some(end) = video.chunks.last().map(|chunk| chunk.end) {
        frames.stop_after(end.saturating_add(video.source.time_base.ticks(OVERRUN_SECONDS)));
    }
    let mut pass = Pass {
        link,
        video,
        cascade: Cascade::new(&video.picture, &video.tiers)?,
        frames,
        picture: Video::empty(),
        next: None,
        total: 0,
        told: Instant::now(),
    };
    for (index, chunk) in (video.first_chunk..).zip(&video.chunks) {
        let report = pass.chunk(index, chunk)?;
        if !video.done.contains(&index) {
            link.send(&FromCodec::ChunkDone(report))?;
        }
    }
    if pass.total == 0 {
        return Err(no_frames(pass.frames.damage()));
    }
    Ok(Report::Video)
}

/// The frames from the first chunk's random-access point on; from the start where a container cannot jump there.
fn open(link: &Link, job: &Job, video: &VideoJob) -> Outcome<Frames> {
    let size = job.objects.first().copied().unwrap_or(0);
    let track = Track {
        stream: video.source.stream,
        decoder_options: &video.source.decoder_options,
        frames_per_second: video.frame_rate.as_f64(),
    };
    let input = || Input::open_known(link, 0, size, &video.source.format, &job.budget);
    if let Some(dts) = video.chunks.first().and_then(|chunk| chunk.seek) {
        let jumped = Frames::open(input()?, &track, Some(dts), &job.budget);
        link.fault()?;
        if let Ok(frames) = jumped
            && frames.begins_by(dts)
        {
            return Ok(frames);
        }
    }
    Frames::open(input()?, &track, None, &job.budget)
}

/// One pass over the source.
struct Pass<'a> {
    link: &'a Link,
    video: &'a VideoJob,
    cascade: Cascade,
    frames: Frames,
    picture: Video,
    /// Timestamp of the frame in `picture` where it was read ahead.
    next: Option<i64>,
    total: u64,
    told: Instant,
}

impl Pass<'_> {
    fn chunk(&mut self, index: u32, chunk: &Chunk) -> Outcome<ChunkReport> {
        let before = clock::cpu_seconds();
        let end = if chunk.end == i64::MAX { self.video.end_estimate } else { chunk.end };
        let mut grid = Grid::new(
            chunk,
            end,
            self.video.source.time_base,
            self.video.segment_seconds,
            self.video.gop_seconds,
            &self.video.rules,
        );
        let mut work = Work::open(self.link, self.video, index, chunk)?;
        let mut seen = Seen::default();
        let mut seam_hash = None;
        while let Some(pts) = self.frame()? {
            if pts >= chunk.end {
                seam_hash = Some(picture_hash(&self.picture)?);
                self.next = Some(pts);
                break;
            }
            // Whatever lies before the first chunk is its own; elsewhere it belongs to the neighbour.
            if index > 0 && pts < chunk.start {
                continue;
            }
            if seen.frames == 0 {
                seen.head_hash = Some(picture_hash(&self.picture)?);
            }
            seen.add(pts);
            let mark = grid.mark(pts);
            if let Some(ticket) = work.ticket(pts, mark) {
                self.cascade.push(&mut self.picture, ticket, &mut work)?;
            }
            self.tell(pts)?;
        }
        self.cascade.flush(&mut work)?;
        let end = self.end(chunk, &seen);
        let tiers = work.finish(end)?;
        let encoders: f64 = tiers.iter().map(|tier| tier.cpu_seconds).sum();
        Ok(ChunkReport {
            chunk: index,
            source_frames: seen.frames,
            head_hash: seen.head_hash,
            seam_hash,
            largest_gap: seen.largest_gap,
            tiers,
            cpu_seconds: (clock::cpu_seconds() - before - encoders).max(0.0),
        })
    }

    /// The next frame, into `picture`.
    fn frame(&mut self) -> Outcome<Option<i64>> {
        match self.next.take() {
            Some(pts) => Ok(Some(pts)),
            None => self.frames.next(&mut self.picture),
        }
    }

    /// Where the last frame of a chunk ends, in output ticks.
    fn end(&self, chunk: &Chunk, seen: &Seen) -> i64 {
        let end = if chunk.end == i64::MAX {
            // The source does not say: as long as its frames last on average.
            let step = match seen.frames {
                0 => 0,
                1 => (1.0
                    / self.video.frame_rate.as_f64().max(0.001)
                    / self.video.source.time_base.as_f64())
                .round() as i64,
                frames => (seen.last - seen.first) / (frames as i64 - 1),
            };
            seen.last + step.max(1)
        } else {
            chunk.end
        };
        end.saturating_sub(self.video.origin).saturating_mul(self.video.tick_scale)
    }

    fn tell(&mut self, pts: i64) -> Outcome<()> {
        self.total += 1;
        if self.told.elapsed() < PROGRESS_INTERVAL {
            return Ok(());
        }
        self.told = Instant::now();
        self.link.send(&FromCodec::Progress { frames: self.total, pts })
    }
}

/// What was seen of a chunk's source frames.
#[derive(Debug, Default)]
struct Seen {
    frames: u64,
    first: i64,
    last: i64,
    largest_gap: i64,
    head_hash: Option<String>,
}

impl Seen {
    fn add(&mut self, pts: i64) {
        if self.frames == 0 {
            self.first = pts;
        } else {
            self.largest_gap = self.largest_gap.max(pts - self.last);
        }
        self.last = pts;
        self.frames += 1;
    }
}

/// The encoders of one chunk; none where its results are stored already.
struct Work<'a> {
    link: &'a Link,
    video: &'a VideoJob,
    chunk: u32,
    tiers: Vec<Tier>,
    images: Option<Images<'a>>,
}

impl<'a> Work<'a> {
    fn open(link: &'a Link, video: &'a VideoJob, index: u32, chunk: &Chunk) -> Outcome<Self> {
        let done = video.done.contains(&index);
        let specs = if done { &[][..] } else { &video.tiers };
        let tiers = (0..)
            .zip(specs)
            .map(|(tier, spec)| {
                let settings = Settings {
                    timescale: video.timescale,
                    frame_rate: frame_rate(video, spec.rule),
                    preset: &video.preset,
                };
                Tier::open(index, tier, spec, &settings)
            })
            .collect::<Outcome<Vec<Tier>>>()?;
        let images = video.images.as_ref().filter(|_| !done).map(|plan| Images {
            plan,
            interval: plan.interval.max(1).saturating_mul(video.tick_scale),
            shown: (index > 0)
                .then(|| chunk.start.saturating_sub(video.origin).saturating_mul(video.tick_scale))
                .map(|start| slot(start - 1, plan.interval.max(1) * video.tick_scale)),
        });
        Ok(Self { link, video, chunk: index, tiers, images })
    }

    /// What the tiers want of the frame at `pts` (source ticks); `None` where it is not to be encoded at all.
    fn ticket(&mut self, pts: i64, mark: Mark) -> Option<Ticket> {
        if self.tiers.is_empty() {
            return None;
        }
        let kept = self.tiers.iter_mut().map(|tier| tier.keeps(pts)).collect();
        let pts = pts.saturating_sub(self.video.origin).saturating_mul(self.video.tick_scale);
        Some(Ticket { pts, mark, kept })
    }

    fn finish(self, end: i64) -> Outcome<Vec<TierReport>> {
        self.tiers.into_iter().map(|tier| tier.finish(end, self.link)).collect()
    }
}

impl Sink for Work<'_> {
    fn frame(&mut self, tier: usize, frame: &mut Video, ticket: &Ticket) -> Outcome<()> {
        if let Some(images) = self.images.as_mut().filter(|images| images.plan.tier == tier)
            && images.wants(ticket.pts)
        {
            let bytes = ByteBuf::from(jpeg::encode(frame)?);
            let chunk = self.chunk;
            self.link.send(&FromCodec::Picture { chunk, pts: ticket.pts, bytes })?;
        }
        match self.tiers.get_mut(tier) {
            Some(tier) => tier.encode(frame, ticket.pts, ticket.mark, self.link),
            None => Ok(()),
        }
    }
}

/// Frames per second that a rule leaves of the source's: it keeps a frame half a frame before the next one is due.
fn frame_rate(video: &VideoJob, rule: FrameRule) -> Rational {
    let source = video.frame_rate.as_f64();
    if rule.spacing == 0 || source <= 0.0 {
        return video.frame_rate;
    }
    let spacing = video.source.time_base.seconds(rule.spacing) + 0.5 / source;
    Rational::new((1000.0 / spacing).round() as i64, 1000)
}

/// Which frames are kept as pictures: the first one of each interval.
struct Images<'a> {
    plan: &'a ImagePlan,
    /// Output ticks.
    interval: i64,
    /// The interval of the last frame.
    shown: Option<i64>,
}

impl Images<'_> {
    fn wants(&mut self, pts: i64) -> bool {
        let slot = slot(pts, self.interval);
        let wanted = self.shown != Some(slot);
        self.shown = Some(slot);
        wanted
    }
}

fn slot(pts: i64, interval: i64) -> i64 {
    pts.div_euclid(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_frame_of_each_interval_is_kept_whatever_the_chunk() {
        let plan =
            ImagePlan { tier: 0, interval: 10, tile_width: 1, tile_height: 1, columns: 1, rows: 1 };
        let wanted = |shown: Option<i64>, pts: &[i64]| {
            let mut images = Images { plan: &plan, interval: 10, shown };
            pts.iter().copied().filter(|pts| images.wants(*pts)).collect::<Vec<_>>()
        };
        assert_eq!(wanted(None, &[0, 4, 8, 12, 16, 20]), [0, 12, 20]);
        assert_eq!(wanted(Some(slot(15, 10)), &[16, 20]), [20]);
        assert_eq!(wanted(Some(slot(19, 10)), &[20, 24]), [20]);
    }
}
