//! A codec for tests: the frames of an honest process for a job, without the content of pictures and audio.

use jetreel_domain::codec::wire::{
    AAC_CODECS, AAC_UNIT, AudioJob, AudioReport, ChunkReport, FromCodec, ImagesJob, JobWork,
    OUTPUT_BYTES, PackageJob, Report, Segment, TierReport, Verified, VideoJob,
};
use jetreel_domain::plan::framerate::Keeper;
use jetreel_domain::plan::gop::Grid;
use jetreel_domain::plan::thumbnails;
use serde_bytes::ByteBuf;

/// Frames for work on a source with pictures at `instants` (source ticks) and `samples` audio samples. Probes are answered elsewhere.
pub(crate) fn transcript(work: &JobWork, instants: &[i64], samples: i64) -> Vec<FromCodec> {
    match work {
        JobWork::Hello => vec![FromCodec::Done(Report::Hello)],
        JobWork::Trespass => vec![FromCodec::Done(Report::Trespass(Vec::new()))],
        JobWork::Probe => Vec::new(),
        JobWork::Video(job) => pictures(job, instants),
        JobWork::Audio(job) => sound(job, samples),
        JobWork::Images(job) => images(job),
        JobWork::Package(job) => package(job),
        JobWork::Batch(pieces) => {
            let (mut frames, mut reports) = (Vec::new(), Vec::new());
            for frame in pieces.iter().flat_map(|piece| transcript(piece, instants, samples)) {
                if let FromCodec::Done(report) = frame {
                    reports.push(report)
                } else {
                    frames.push(frame)
                }
            }
            frames.push(FromCodec::Done(Report::Batch(reports)));
            frames
        }
    }
}

fn boxed(kind: &[u8; 4], content: usize) -> Vec<u8> {
    let length = (content + 8) as u32;
    [&length.to_be_bytes()[..], kind, &vec![0; content]].concat()
}

fn init() -> ByteBuf {
    [boxed(b"ftyp", 20), boxed(b"moov", 600)].concat().into()
}

fn hash() -> String {
    "0123456789abcdef".repeat(2)
}

/// Consecutive segments of one object.
#[derive(Default)]
struct Object(u64);

impl Object {
    fn segment(&mut self, start: i64, end: i64, frames: u32) -> (Segment, ByteBuf) {
        let header = boxed(b"moof", 80 + 16 * frames as usize);
        let bytes = [header.clone(), boxed(b"mdat", 10 * frames as usize)].concat();
        let segment = Segment {
            offset: self.0,
            bytes: bytes.len() as u64,
            header_bytes: header.len() as u32,
            start,
            duration: end - start,
            frames,
        };
        self.0 += segment.bytes;
        (segment, bytes.into())
    }
}

fn pictures(job: &VideoJob, instants: &[i64]) -> Vec<FromCodec> {
    let mut frames = Vec::new();
    let mut decoded = 0;
    for (chunk, span) in (job.first_chunk..).zip(&job.chunks) {
        let inside = |pts: &&i64| (chunk == 0 || **pts >= span.start) && **pts < span.end;
        let held: Vec<i64> = instants.iter().filter(inside).copied().collect();
        decoded += held.len() as u64;
        let pts = held.last().copied().unwrap_or(span.start);
        frames.push(FromCodec::Progress { frames: decoded, pts });
        if !job.done.contains(&chunk) {
            chunk_frames(job, chunk, &held, &mut frames);
        }
    }
    frames.push(FromCodec::Done(Report::Video));
    frames
}

fn chunk_frames(job: &VideoJob, chunk: u32, held: &[i64], frames: &mut Vec<FromCodec>) {
    let span = job.chunks[(chunk - job.first_chunk) as usize];
    let tick = |pts: i64| (pts - job.origin) * job.tick_scale;
    let end = if span.end == i64::MAX { job.end_estimate } else { span.end };
    if let Some(images) = &job.images {
        let interval = images.interval * job.tick_scale;
        let mut shown = (chunk > 0).then(|| (tick(span.start) - 1).div_euclid(interval));
        for pts in held.iter().map(|pts| tick(*pts)) {
            let slot = pts.div_euclid(interval);
            if shown != Some(slot) {
                let bytes = ByteBuf::from([0xff, 0xd8, 0, 0xff, 0xd9]);
                frames.push(FromCodec::Picture { chunk, pts, bytes });
            }
            shown = Some(slot);
        }
    }
    let tiers = (0..)
        .zip(&job.tiers)
        .map(|(tier, spec)| {
            let (segment, gop) = (job.segment_seconds, job.gop_seconds);
            let mut grid = Grid::new(&span, end, job.source.time_base, segment, gop, &job.rules);
            let mut keeper = Keeper::new(spec.rule);
            let marked = held.iter().map(|pts| (*pts, grid.mark(*pts), keeper.keep(*pts)));
            let kept: Vec<_> = marked.filter(|(_, _, kept)| *kept).collect();
            let starts =
                kept.iter().filter(|(_, mark, _)| mark.segment).map(|(pts, ..)| tick(*pts));
            let bounds: Vec<i64> = starts.chain([tick(end)]).collect();
            let mut object = Object::default();
            for pair in bounds.windows(2) {
                let inside = |pts: i64| (pair[0]..pair[1]).contains(&tick(pts));
                let count = kept.iter().filter(|(pts, ..)| inside(*pts)).count() as u32;
                let (segment, bytes) = object.segment(pair[0], pair[1], count);
                frames.push(FromCodec::Fragment { chunk, tier, segment, bytes });
            }
            let idr = kept.iter().filter(|(_, mark, _)| mark.idr).map(|(pts, ..)| tick(*pts));
            TierReport {
                init: init(),
                frames: kept.len() as u64,
                frames_in: kept.len() as u64,
                pts_hash: hash(),
                start: bounds[0],
                end: tick(end),
                idr: idr.collect(),
                cpu_seconds: 0.5,
            }
        })
        .collect();
    frames.push(FromCodec::ChunkDone(ChunkReport {
        chunk,
        source_frames: held.len() as u64,
        repeats: 0,
        head_hash: held.first().map(|_| hash()),
        seam_hash: Some(hash()),
        largest_gap: 1,
        lost: 0,
        tiers,
        cpu_seconds: 0.5,
    }));
}

fn sound(job: &AudioJob, samples: i64) -> Vec<FromCodec> {
    let unit = i64::from(AAC_UNIT);
    let (units, per_segment) = ((samples + unit - 1) / unit, i64::from(job.segment_units()));
    let segments = (units + per_segment - 1) / per_segment;
    let parts = (segments + i64::from(job.part_segments()) - 1) / i64::from(job.part_segments());
    let mut frames = Vec::new();
    for part in 0..parts as u32 {
        let first = i64::from(part) * i64::from(job.part_segments());
        let last = (first + i64::from(job.part_segments())).min(segments);
        let mut object = Object::default();
        for segment in first..last {
            let (start, end) = (segment * per_segment, ((segment + 1) * per_segment).min(units));
            let count = (end - start) as u32;
            let (segment, bytes) = object.segment(start * unit, end * unit, count);
            if !job.done.contains(&part) {
                frames.push(FromCodec::AudioFragment { part, segment, bytes });
            }
            frames.push(FromCodec::Progress { frames: end as u64, pts: end });
        }
        let (start, end) = (first * per_segment, (last * per_segment).min(units));
        let report = AudioReport {
            part,
            init: init(),
            frames: (end - start) as u64,
            start: start * unit,
            end: end * unit,
            codecs: AAC_CODECS.to_owned(),
            lost_seconds: 0.0,
            cpu_seconds: 0.5,
        };
        if !job.done.contains(&part) {
            frames.push(FromCodec::AudioPartDone(report));
        }
    }
    frames.push(FromCodec::Done(Report::Audio { parts: parts as u32 }));
    frames
}

fn output(name: &str, bytes: &[u8], frames: &mut Vec<FromCodec>) {
    let whole = bytes.len() / OUTPUT_BYTES * OUTPUT_BYTES;
    for (piece, end) in
        bytes[..whole].chunks(OUTPUT_BYTES).map(|p| (p, false)).chain([(&bytes[whole..], true)])
    {
        let bytes = ByteBuf::from(piece);
        frames.push(FromCodec::Output { name: name.to_owned(), bytes, end });
    }
}

fn images(job: &ImagesJob) -> Vec<FromCodec> {
    let mut frames = Vec::new();
    let sprites: Vec<String> = thumbnails::sheets(job).map(|sheet| sheet.name).collect();
    for sprite in &sprites {
        output(sprite, b"a sheet", &mut frames);
    }
    output(thumbnails::POSTER, b"a poster", &mut frames);
    output(thumbnails::INDEX, thumbnails::index(job).as_bytes(), &mut frames);
    let (poster, vtt) = (thumbnails::POSTER.to_owned(), thumbnails::INDEX.to_owned());
    frames.push(FromCodec::Done(Report::Images { poster, vtt, sprites }));
    frames
}

fn package(job: &PackageJob) -> Vec<FromCodec> {
    let mut frames = Vec::new();
    let tracks = [Some(&job.video), job.audio.as_ref()];
    let segments = tracks.into_iter().flatten().flat_map(|track| &track.segments);
    let bytes: u64 = segments.map(|(_, segment)| segment.bytes).sum();
    output(&job.name, &vec![0; bytes as usize + 500], &mut frames);
    let count: u64 = job.video.segments.iter().map(|(_, s)| u64::from(s.frames)).sum();
    let verified = Verified { frames: count, start: 0, pts_hash: hash() };
    let verified = job.verify.then_some(verified);
    frames.push(FromCodec::Done(Report::Package { verified }));
    frames
}
