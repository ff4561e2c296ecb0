//! [`Codec`] without codecs: it answers with the frames and reports that the job permits, for the few pictures of a script.

use std::cmp::Ordering;
use std::collections::VecDeque;

use jetreel_actors::ports::{Codec, CodecSession, PortFuture, ProcessBudget, Readable};
use jetreel_domain::codec::death::CodecDeath;
use jetreel_domain::codec::wire::{
    AAC_CODECS, AAC_UNIT, AudioJob, AudioReport, ChunkReport, CodecFailure, FailureCode, FromCodec,
    Job, JobWork, PackageJob, Report, Segment, TierReport, Verified, VideoJob,
};
use jetreel_domain::id::VideoId;
use jetreel_domain::order::state::Order;
use jetreel_domain::words::failure::Failure;
use serde_bytes::ByteBuf;

use super::port::Port;
use super::script::{ATTEMPTS, Cut, FRAME, Poison, Script};
use super::world::{self, Fate, Kind};

const BUILD: &str = "memory";
const HEADER: u32 = 8;

/// Reads of the ledger that fail when it cannot be read.
const UNREAD: usize = 8;

/// Longest that a worker may begin work of an order that was closed, seconds: two leases.
const UNNOTICED_MAX: i64 = 120;

impl Codec for Port {
    fn start(
        &self,
        job: Job,
        objects: Vec<Readable>,
        _: ProcessBudget,
    ) -> PortFuture<'_, Box<dyn CodecSession>> {
        Box::pin(async move {
            let pieces: Vec<String> = objects
                .iter()
                .flat_map(|object| object.parts.iter().map(|part| part.key()))
                .collect();
            let video = pieces.first().and_then(|key| key.split('/').nth(1)?.parse().ok());
            let Some(video) = video else {
                return Err(Failure::task("codec-protocol", "The job reads nothing."));
            };
            let missing = self
                .call("start codec", move |server| {
                    pieces.iter().find(|key| !server.objects.contains_key(*key)).cloned()
                })
                .await?;
            if let Some(key) = missing {
                self.world.with(|server| server.violations.push(format!("{key} is read and gone")));
                return Err(failed(FailureCode::SourceUnavailable));
            }
            self.look_for_closed(&video);
            Ok(Box::new(self.session(&job.work, &video)) as Box<dyn CodecSession>)
        })
    }

    fn build(&self) -> PortFuture<'_, String> {
        Box::pin(async { Ok(BUILD.to_owned()) })
    }
}

fn failed(code: FailureCode) -> Failure {
    let (message, detail) = ("The script wants it so.".to_owned(), String::new());
    CodecFailure { code, message, detail }.into()
}

/// The kind of a work, and its own name.
fn label(work: &JobWork) -> (&'static str, String) {
    match work {
        JobWork::Video(job) => {
            let kind = if job.first_chunk == 0 && job.chunks.len() == 1 { "first" } else { "main" };
            let tiers: Vec<&str> = job.tiers.iter().map(|tier| tier.name.as_str()).collect();
            (kind, format!("{} {}", job.first_chunk, tiers.join(" ")))
        }
        JobWork::Audio(_) => ("audio", "audio".to_owned()),
        JobWork::Probe => ("probe", "probe".to_owned()),
        JobWork::Images(_) => ("tail", "images".to_owned()),
        JobWork::Package(job) => ("tail", job.name.clone()),
        JobWork::Batch(_) => ("tail", "batch".to_owned()),
        JobWork::Hello | JobWork::Trespass => ("none", String::new()),
    }
}

impl Port {
    /// Checks for work on a video whose orders were all closed long ago.
    fn look_for_closed(&self, video: &VideoId) {
        let now = self.world.seconds();
        let ended = self.world.look(|server| {
            let found = server.videos.get(video.as_str())?.value;
            let all = found.orders.iter().all(Order::is_closed);
            all.then(|| found.orders.iter().filter_map(|order| order.ended).max())?
        });
        if let Some(ended) = ended.filter(|ended| now - ended > UNNOTICED_MAX) {
            let late = format!("{video}: work began {} s after its end", now - ended);
            self.world.with(|server| server.violations.push(late));
        }
    }

    fn session(&self, work: &JobWork, video: &VideoId) -> Session {
        let (kind, name) = label(work);
        let (poison, frames, starts, blinds) = {
            let mut scripts = self.world.scripts();
            let script = scripts.get_mut(video).expect("a video of this run");
            let starts = script.starts.entry(name.clone()).or_default();
            *starts += 1;
            let starts = *starts;
            let poison = script.poison.get(kind).copied();
            (poison, frames(work, script), starts, script.blinds == Some(starts))
        };
        let blinds = blinds && poison.is_some();
        let crash = self.world.faults().crash;
        let crashes = poison == Some(Poison::Crash) || self.world.draw(|rng| rng.chance(crash));
        let pace = self.world.draw(|rng| match rng.below(20) {
            0 => 40_000,
            1 | 2 => 12_000,
            _ => 1500,
        });
        let mut crashes_at = crashes.then(|| self.world.draw(|rng| rng.below(frames.len() as u64)));
        if poison == Some(Poison::Limp) {
            let part = frames.iter().position(|frame| matches!(frame, FromCodec::ChunkDone(_)));
            let further = part.map(|part| part as u64 + 1);
            crashes_at = match starts.cmp(&ATTEMPTS) {
                Ordering::Less => Some(0),
                Ordering::Equal => further,
                Ordering::Greater => None,
            };
        }
        let (port, video) = (self.clone(), video.clone());
        Session { port, video, name, frames: frames.into(), poison, crashes_at, pace, blinds }
    }
}

/// All frames that the process will send, including the final one.
fn frames(work: &JobWork, script: &Script) -> Vec<FromCodec> {
    let hello = FromCodec::Hello {
        version: jetreel_domain::codec::wire::VERSION,
        build: BUILD.to_owned(),
        confinement: "NONE".to_owned(),
        weaknesses: Vec::new(),
    };
    let mut frames = vec![hello];
    let report = perform(work, script, &mut frames);
    frames.push(FromCodec::Done(report));
    frames
}

fn perform(work: &JobWork, script: &Script, frames: &mut Vec<FromCodec>) -> Report {
    match work {
        JobWork::Probe => Report::Probe(Box::new(script.facts(8))),
        JobWork::Video(job) => video(job, script, frames),
        JobWork::Audio(job) => audio(job, frames),
        JobWork::Images(_) => {
            let names = ["poster.jpg", "sprite-000.jpg", "thumbnails.vtt"].map(ToOwned::to_owned);
            frames.extend(names.iter().map(|name| output(name)));
            let [poster, sprite, vtt] = names;
            Report::Images { poster, vtt, sprites: vec![sprite] }
        }
        JobWork::Package(job) => package(job, frames),
        JobWork::Batch(pieces) => {
            Report::Batch(pieces.iter().map(|piece| perform(piece, script, frames)).collect())
        }
        JobWork::Hello | JobWork::Trespass => Report::Hello,
    }
}

fn output(name: &str) -> FromCodec {
    let bytes = ByteBuf::from(name.as_bytes().to_vec());
    FromCodec::Output { name: name.to_owned(), bytes, end: true }
}

fn video(job: &VideoJob, script: &Script, frames: &mut Vec<FromCodec>) -> Report {
    let all: Vec<i64> =
        (0..).map(|i| i * FRAME).take_while(|pts| *pts < job.end_estimate).collect();
    let tick = |pts: i64| (pts - job.origin) * job.tick_scale;
    for (index, chunk) in (job.first_chunk..).zip(&job.chunks) {
        if job.done.contains(&index) {
            continue;
        }
        let end = chunk.end.min(job.end_estimate);
        let held = all.iter().filter(|pts| **pts >= chunk.start && **pts < end).count();
        for tier in 0..job.tiers.len() as u32 {
            let bytes = format!("{index} {tier} {held}").into_bytes();
            let segment = Segment {
                offset: 0,
                bytes: bytes.len() as u64,
                header_bytes: HEADER,
                start: tick(chunk.start),
                duration: tick(end) - tick(chunk.start),
                frames: held as u32,
            };
            frames.push(FromCodec::Fragment { chunk: index, tier, segment, bytes: bytes.into() });
        }
        if job.images.is_some() {
            let bytes = ByteBuf::from(b"jpg".to_vec());
            frames.push(FromCodec::Picture { chunk: index, pts: tick(chunk.start), bytes });
        }
        let torn = script.cut == Cut::Torn && job.chunks.len() == 1;
        let hash = |pts: i64| format!("frame {pts}");
        let seam = if torn { "another frame".to_owned() } else { hash(end) };
        let tier = |name: &str| TierReport {
            init: ByteBuf::from(format!("init {name}").into_bytes()),
            frames: held as u64,
            frames_in: held as u64,
            pts_hash: hash(held as i64),
            start: tick(chunk.start),
            end: tick(end),
            idr: vec![tick(chunk.start)],
            cpu_seconds: 0.1,
        };
        frames.push(FromCodec::ChunkDone(ChunkReport {
            chunk: index,
            source_frames: held as u64,
            repeats: 0,
            lost: 0,
            head_hash: Some(hash(chunk.start)),
            seam_hash: (end < job.end_estimate).then_some(seam),
            largest_gap: FRAME,
            tiers: job.tiers.iter().map(|encoder| tier(&encoder.name)).collect(),
            cpu_seconds: 0.1,
        }));
    }
    Report::Video
}

fn audio(job: &AudioJob, frames: &mut Vec<FromCodec>) -> Report {
    let unit = i64::from(AAC_UNIT);
    let seconds_to_units = f64::from(job.audio.sample_rate) / f64::from(AAC_UNIT);
    let units = (job.end_seconds * seconds_to_units).ceil() as u32;
    let length = job.segment_units() * job.part_segments();
    let parts = units.div_ceil(length);
    for part in (0..parts).filter(|part| !job.done.contains(part)) {
        let (first, last) = (part * length, (part * length + length).min(units));
        let bytes = format!("sound {part}").into_bytes();
        let (start, end) = (i64::from(first) * unit, i64::from(last) * unit);
        let segment = Segment {
            offset: 0,
            bytes: bytes.len() as u64,
            header_bytes: HEADER,
            start,
            duration: end - start,
            frames: last - first,
        };
        frames.push(FromCodec::AudioFragment { part, segment, bytes: bytes.into() });
        frames.push(FromCodec::AudioPartDone(AudioReport {
            part,
            init: ByteBuf::from(b"init audio".to_vec()),
            frames: u64::from(last - first),
            start,
            end,
            codecs: AAC_CODECS.to_owned(),
            lost_seconds: 0.0,
            cpu_seconds: 0.1,
        }));
    }
    Report::Audio { parts }
}

fn package(job: &PackageJob, frames: &mut Vec<FromCodec>) -> Report {
    frames.push(output(&job.name));
    let count = job.video.segments.iter().map(|(_, segment)| u64::from(segment.frames)).sum();
    let verified = Verified { frames: count, start: 0, pts_hash: String::new() };
    Report::Package { verified: job.verify.then_some(verified) }
}

/// A running process.
struct Session {
    port: Port,
    video: VideoId,
    name: String,
    frames: VecDeque<FromCodec>,
    poison: Option<Poison>,
    /// Frames before it crashes.
    crashes_at: Option<u64>,
    /// Longest time between two frames, milliseconds.
    pace: u64,
    /// With its end the ledger cannot be read for a while.
    blinds: bool,
}

impl Session {
    /// Makes the next reads of the ledger fail.
    fn blind(&self) {
        let fate = Fate { before: 1, kind: Kind::Refused, after: 1, tie: 0 };
        for _ in 0..if self.blinds { UNREAD } else { 0 } {
            self.port.world.order(world::Order { call: "read entries", fate });
        }
    }

    fn note_kill(&self) {
        let mut scripts = self.port.world.scripts();
        if let Some(script) = scripts.get_mut(&self.video) {
            *script.kills.entry(self.name.clone()).or_default() += 1;
        }
    }
}

impl CodecSession for Session {
    fn next(&mut self) -> PortFuture<'_, FromCodec> {
        Box::pin(async move {
            let mut dice = self.port.world.dice(&self.port.body, &self.name);
            self.port.step(dice.below(self.pace), dice.next()).await;
            if self.poison == Some(Poison::Kill) {
                self.note_kill();
                self.blind();
                self.port.world.kill(&self.port.body);
                std::future::pending::<()>().await;
            }
            if self.poison == Some(Poison::Refuse) {
                return Err(failed(FailureCode::TooDamaged));
            }
            if self.crashes_at == Some(0) {
                let mut scripts = self.port.world.scripts();
                if let Some(script) = scripts.get_mut(&self.video) {
                    *script.crashes.entry(self.name.clone()).or_default() += 1;
                }
                drop(scripts);
                self.blind();
                return Err(CodecDeath::Signal(11).into());
            }
            self.crashes_at = self.crashes_at.map(|left| left - 1);
            let ended = || Failure::task("codec-protocol", "The process has ended.");
            self.frames.pop_front().ok_or_else(ended)
        })
    }

    fn cpu_seconds(&self) -> f64 {
        1.0
    }
}
