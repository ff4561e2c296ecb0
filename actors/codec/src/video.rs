//! The video job: decodes intervals once and encodes every tier from the same frames.
//!
//! Invariants: a frame belongs to exactly one chunk, by its timestamp. There is one pass in ascending time for any number of chunks. Only
//! the first frame of a chunk and the first one after the last chunk are hashed. A picture that stands for long is repeated by the rule of
//! [`still`], so that a rendition has frames from the beginning of the output's clock to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ffmpeg_next::frame::Video;
use jetreel_domain::codec::wire::{ChunkReport, FromCodec, Job, Report, TierReport, VideoJob};
use jetreel_domain::plan::framerate::{FrameRule, Keeper};
use jetreel_domain::plan::gop::{Grid, Mark};
use jetreel_domain::plan::rational::Rational;
use jetreel_domain::plan::still;
use jetreel_domain::plan::{Chunk, ImagePlan};
use serde_bytes::ByteBuf;

use crate::cascade::{Cascade, Sink, Ticket};
use crate::clock;
use crate::cores::Cores;
use crate::decode::{Frames, Track, no_frames, picture_hash, reference};
use crate::encode::Settings;
use crate::encoders::Encoders;
use crate::failure::Outcome;
use crate::input::Input;
use crate::jpeg;
use crate::link::Link;
use crate::tier::Tier;

/// Shortest time between two progress messages.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);
/// Longest duration of a frame that declares none, in seconds.
const FRAME_SECONDS_MAX: f64 = 1.0;
/// Seconds after the end of the last chunk that are decoded before the seam frame is given up. Decode times are guesses in several
/// containers.
const OVERRUN_SECONDS: f64 = 2.0;

/// Runs a video job.
pub(crate) fn run(link: &Link, job: &Job, video: &VideoJob) -> Outcome<Report> {
    let mut frames = open(link, job, video)?;
    if let Some(end) = video.chunks.last().map(|chunk| chunk.end) {
        frames.stop_after(end.saturating_add(video.source.time_base.ticks(OVERRUN_SECONDS)));
    }
    let cores = (video.threads > 1).then(|| Arc::new(Cores::new(video.threads)));
    if let Some(cores) = &cores {
        cores.take();
    }
    let mut pass = Pass {
        link,
        cores,
        video,
        cascade: Cascade::new(video, frames.container_aspect())?,
        frames,
        picture: Video::empty(),
        next: None,
        held: None,
        lost: None,
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

/// The frames from the first chunk's random-access point on, or from the start if the container cannot seek there.
fn open(link: &Link, job: &Job, video: &VideoJob) -> Outcome<Frames> {
    let size = job.objects.first().copied().unwrap_or(0);
    let track = Track {
        stream: video.source.stream,
        decoder_options: &video.source.decoder_options,
        frames_per_second: video.frame_rate.as_f64(),
        lasting: video.lasting,
        continued: &video.source.continued,
        clock: &video.source.clock,
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
    /// Shared with encoders in their own threads; this thread holds one core. `None` without such encoders.
    cores: Option<Arc<Cores>>,
    video: &'a VideoJob,
    cascade: Cascade,
    frames: Frames,
    picture: Video,
    /// Timestamp of the frame in `picture` if it was read ahead.
    next: Option<i64>,
    /// The last frame before `picture`.
    held: Option<Held>,
    /// Pictures lost before the current chunk; `None` before the first frame. A recording that begins in the middle of a group of pictures
    /// loses some before it.
    lost: Option<u64>,
    total: u64,
    told: Instant,
}

/// A frame and its duration.
struct Held {
    picture: Video,
    pts: i64,
    /// Duration in source ticks.
    lasts: i64,
}

/// A chunk being encoded.
struct Open<'a> {
    index: u32,
    chunk: &'a Chunk,
    grid: Grid,
    work: Work<'a>,
    seen: Seen,
    repeats: u64,
}

impl<'a> Pass<'a> {
    fn chunk(&mut self, index: u32, chunk: &Chunk) -> Outcome<ChunkReport> {
        let before = clock::cpu_seconds();
        let mut open = self.open(index, chunk)?;
        let mut behind = None;
        let mut seam_hash = None;
        while let Some(pts) = self.frame()? {
            if pts >= chunk.end {
                seam_hash = Some(picture_hash(&self.picture)?);
                behind = Some(pts);
                self.next = behind;
                break;
            }
            // Frames before the first chunk belong to it. Elsewhere they belong to the neighbour.
            if index > 0 && pts < chunk.start {
                self.hold(pts)?;
                continue;
            }
            self.fill_before(&mut open, pts)?;
            self.take(&mut open, pts)?;
        }
        self.fill_behind(&mut open, behind)?;
        self.cascade.flush(&mut open.work)?;
        let end = self.end(chunk);
        let end = end.saturating_sub(self.video.origin).saturating_mul(self.video.tick_scale);
        let tiers = open.work.finish(end)?;
        let encoders: f64 = tiers.iter().map(|tier| tier.cpu_seconds).sum();
        Ok(ChunkReport {
            chunk: index,
            source_frames: open.seen.frames,
            repeats: open.repeats,
            head_hash: open.seen.head_hash,
            seam_hash,
            largest_gap: open.seen.largest_gap,
            lost: self.lost(),
            tiers,
            cpu_seconds: (clock::cpu_seconds() - before - encoders).max(0.0),
        })
    }

    /// Number of the chunk's pictures that could not be decoded.
    fn lost(&mut self) -> u64 {
        let before = self.lost;
        self.lost = before.map(|_| self.frames.lost());
        self.lost.zip(before).map_or(0, |(all, before)| all.saturating_sub(before))
    }

    fn open<'c>(&self, index: u32, chunk: &'c Chunk) -> Outcome<Open<'c>>
    where
        'a: 'c,
    {
        let video = self.video;
        let end = if chunk.end == i64::MAX { video.end_estimate } else { chunk.end };
        let (segment, gop) = (video.segment_seconds, video.gop_seconds);
        Ok(Open {
            index,
            chunk,
            grid: Grid::new(chunk, end, video.source.time_base, segment, gop, &video.rules),
            work: Work::open(self, index, chunk)?,
            seen: Seen::default(),
            repeats: 0,
        })
    }

    /// Passes the frame in `picture` to the tiers.
    fn take(&mut self, open: &mut Open<'_>, pts: i64) -> Outcome<()> {
        if open.seen.frames == 0 {
            open.seen.head_hash = Some(picture_hash(&self.picture)?);
        }
        self.lost.get_or_insert_with(|| self.frames.lost());
        open.seen.add(pts);
        self.hold(pts)?;
        let mark = open.grid.mark(pts);
        if let Some(ticket) = open.work.ticket(pts, mark) {
            self.cascade.push(&mut self.picture, ticket, &mut open.work)?;
        }
        self.tell(pts)
    }

    /// Repeats the picture before the frame at `pts`: the previous frame, or the frame itself at the beginning.
    fn fill_before(&mut self, open: &mut Open<'_>, pts: i64) -> Outcome<()> {
        let from = open.chunk.start.saturating_sub(1);
        let Some(held) = &self.held else {
            if open.index > 0 || !still::leads(self.seconds(pts - open.chunk.start)) {
                return Ok(());
            }
            let mut first = reference(&self.picture)?;
            let start = open.chunk.start;
            let instants = std::iter::once(start).chain(open.grid.between(start, pts));
            return self.repeat(open, &mut first, instants);
        };
        if !still::stands(self.seconds(pts - held.pts), false, self.video.gop_seconds) {
            return Ok(());
        }
        let (mut picture, from) = (reference(&held.picture)?, held.pts.max(from));
        // An absurd timestamp must not make a picture stand beyond the end.
        let instants = open.grid.between(from, pts.min(self.video.end_estimate));
        self.repeat(open, &mut picture, instants)
    }

    /// Repeats the last picture of a chunk up to the chunk's end. `behind` is the first frame after the chunk.
    fn fill_behind(&mut self, open: &mut Open<'_>, behind: Option<i64>) -> Outcome<()> {
        let Some(held) = &self.held else { return Ok(()) };
        let end = self.end(open.chunk);
        let until = behind.unwrap_or(end);
        let gop = self.video.gop_seconds;
        if !still::stands(self.seconds(until - held.pts), behind.is_none(), gop) {
            return Ok(());
        }
        let from = held.pts.max(open.chunk.start.saturating_sub(1));
        let mut picture = reference(&held.picture)?;
        let instants = open.grid.between(from, end);
        self.repeat(open, &mut picture, instants)
    }

    /// Encodes `picture` again at `instants`.
    fn repeat(
        &mut self,
        open: &mut Open<'_>,
        picture: &mut Video,
        instants: impl Iterator<Item = i64>,
    ) -> Outcome<()> {
        for pts in instants {
            let mark = open.grid.mark(pts);
            if let Some(ticket) = open.work.ticket(pts, mark) {
                self.cascade.push(picture, ticket, &mut open.work)?;
            }
            open.repeats += 1;
            self.tell(pts)?;
        }
        Ok(())
    }

    /// Keeps a reference to the frame in `picture`.
    fn hold(&mut self, pts: i64) -> Outcome<()> {
        let (told, last) = (self.picture.packet().duration, self.video.lasting.last);
        let lasts = match told {
            _ if last > 0 => last,
            0 | i64::MIN..0 => self.nominal(),
            _ => told,
        };
        self.held = Some(Held { picture: reference(&self.picture)?, pts, lasts });
        Ok(())
    }

    /// Duration of a frame that declares none, in ticks.
    fn nominal(&self) -> i64 {
        let seconds = (1.0 / self.video.frame_rate.as_f64().max(0.001)).min(FRAME_SECONDS_MAX);
        self.video.source.time_base.ticks(seconds).max(1)
    }

    fn seconds(&self, ticks: i64) -> f64 {
        self.video.source.time_base.seconds(ticks)
    }

    /// End of the last frame of a chunk, in source ticks.
    fn end(&self, chunk: &Chunk) -> i64 {
        if chunk.end < i64::MAX {
            return chunk.end;
        }
        let Some(held) = &self.held else { return chunk.start.saturating_add(1) };
        // Limited by the probed end, because a frame's own duration may be absurd.
        let told = held.pts.saturating_add(held.lasts).min(self.video.end_estimate);
        let end = told.max(held.pts.saturating_add(1));
        self.video.hold_until.map_or(end, |until| end.max(until))
    }

    /// Reads the next frame into `picture`.
    fn frame(&mut self) -> Outcome<Option<i64>> {
        match self.next.take() {
            Some(pts) => Ok(Some(pts)),
            None => self.frames.next(&mut self.picture),
        }
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

/// Facts of a chunk's source frames.
#[derive(Debug, Default)]
struct Seen {
    frames: u64,
    last: i64,
    largest_gap: i64,
    head_hash: Option<String>,
}

impl Seen {
    fn add(&mut self, pts: i64) {
        if self.frames > 0 {
            self.largest_gap = self.largest_gap.max(pts - self.last);
        }
        self.last = pts;
        self.frames += 1;
    }
}

/// The encoders of one chunk. None if its results are stored already.
struct Work<'a> {
    link: &'a Link,
    video: &'a VideoJob,
    chunk: u32,
    /// Frame keeper of each tier.
    keepers: Vec<Keeper>,
    encoders: Encoders,
    images: Option<Images<'a>>,
}

impl<'a> Work<'a> {
    fn open(pass: &Pass<'a>, index: u32, chunk: &Chunk) -> Outcome<Self> {
        let Pass { link, video, cores, .. } = pass;
        let done = video.done.contains(&index);
        let specs = if done { &[][..] } else { &video.tiers };
        let tiers = (0..)
            .zip(specs)
            .map(|(tier, spec)| {
                let settings = Settings {
                    timescale: video.timescale,
                    composition_shift: video.composition_shift,
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
        let keepers = specs.iter().map(|spec| Keeper::new(spec.rule)).collect();
        let encoders = Encoders::new(tiers, link, cores.as_ref())?;
        Ok(Self { link, video, chunk: index, keepers, encoders, images })
    }

    /// The tiers that encode the frame at `pts` (source ticks); `None` if no tier does.
    fn ticket(&mut self, pts: i64, mark: Mark) -> Option<Ticket> {
        if self.keepers.is_empty() {
            return None;
        }
        let kept = self.keepers.iter_mut().map(|keeper| keeper.keep(pts)).collect();
        let pts = pts.saturating_sub(self.video.origin).saturating_mul(self.video.tick_scale);
        Some(Ticket { pts, mark, kept })
    }

    fn finish(self, end: i64) -> Outcome<Vec<TierReport>> {
        self.encoders.finish(end)
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
        self.encoders.encode(tier, frame, ticket.pts, ticket.mark)
    }
}

/// Frames per second that a rule keeps of the source: it keeps a frame half a frame before the next one is due.
fn frame_rate(video: &VideoJob, rule: FrameRule) -> Rational {
    let source = video.frame_rate.as_f64();
    if rule.spacing == 0 || source <= 0.0 {
        return video.frame_rate;
    }
    let spacing = video.source.time_base.seconds(rule.spacing) + 0.5 / source;
    Rational::new((1000.0 / spacing).round() as i64, 1000)
}

/// Selects the frames that are kept as pictures: the first one of each interval.
struct Images<'a> {
    plan: &'a ImagePlan,
    /// Length of an interval in output ticks.
    interval: i64,
    /// Interval of the last frame.
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
