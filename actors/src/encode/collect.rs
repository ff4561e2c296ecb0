//! Turns the frames of a codec process into stored objects and a ledger entry.
//!
//! Invariants: an entry names only objects that are closed and synced, under keys of this attempt. A failed attempt leaves no object that
//! no entry can name. Names, counts and order are the plan's, because the session passes on no other frame
//! ([`jetreel_domain::codec::contract`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jetreel_domain::codec::job;
use jetreel_domain::codec::wire::{
    AudioReport, ChunkReport, FromCodec, PictureRef, Report, Segment,
};
use jetreel_domain::order::ledger::{
    AudioOutput, ChunkOutput, Entry, ImagesOutput, Object, Output, PackageOutput, PicturesOutput,
    TierOutput,
};
use jetreel_domain::output::verify;
use jetreel_domain::plan::{Plan, PlannedTask, Work};
use jetreel_domain::words::failure::Failure;
use ractor::{Actor, ActorCell, ActorRef};
use tokio::sync::Semaphore;
use tokio_util::bytes::Bytes;

use super::encoder::{self, Encoder};
use crate::claims::Held;
use crate::config::Context;
use crate::crash;
use crate::event::Event;

/// Bytes per task that may wait for the store.
const BYTES_WAITING_MAX: u32 = 32 << 20;
/// Bytes that each waiting message counts in addition to its own.
const MESSAGE_BYTES: u32 = 256;

/// Collects the output of one codec process.
pub(super) struct Collector<'a> {
    context: &'a Context,
    plan: &'a Arc<Plan>,
    planned: &'a PlannedTask,
    held: &'a Held,
    codec_build: String,
    /// Confinement of the codec process, as the process reports it.
    confinement: String,
    slot: &'a ActorCell,
    /// Encoders by rendition name.
    encoders: BTreeMap<String, ActorRef<encoder::Message>>,
    /// Fragments of the open objects, by rendition name.
    segments: BTreeMap<String, Vec<Segment>>,
    pictures: Vec<PictureRef>,
    picture_bytes: u64,
    outputs: Vec<Output>,
    files: BTreeMap<String, Object>,
    /// Keys of closed objects that no entry names yet.
    unnamed: Vec<String>,
    parts: u32,
    permits: Arc<Semaphore>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(
        context: &'a Context,
        plan: &'a Arc<Plan>,
        planned: &'a PlannedTask,
        held: &'a Held,
        codec_build: String,
        slot: &'a ActorCell,
    ) -> Self {
        Self {
            context,
            plan,
            planned,
            held,
            codec_build,
            confinement: String::new(),
            slot,
            encoders: BTreeMap::new(),
            segments: BTreeMap::new(),
            pictures: Vec::new(),
            picture_bytes: 0,
            outputs: Vec::new(),
            files: BTreeMap::new(),
            unnamed: Vec::new(),
            parts: 0,
            permits: Arc::new(Semaphore::new(BYTES_WAITING_MAX as usize)),
        }
    }

    /// Processes one frame that is neither a read nor the last frame.
    pub(super) async fn take(&mut self, frame: FromCodec) -> Result<(), Failure> {
        match frame {
            FromCodec::Fragment { chunk, tier, segment, bytes } => {
                let name = self.tier_name(tier)?;
                self.progress(&name, &segment);
                self.append(&name, &format!("{name}-{chunk:05}.mp4"), segment, bytes.into_vec())
                    .await
            }
            FromCodec::Picture { chunk, pts, bytes } => {
                self.picture(chunk, pts, bytes.into_vec()).await
            }
            FromCodec::ChunkDone(report) => self.chunk_done(report).await,
            FromCodec::AudioFragment { part, segment, bytes } => {
                let name = self.audio_name()?;
                self.progress(&name, &segment);
                self.append(&name, &format!("{name}-{part:05}.mp4"), segment, bytes.into_vec())
                    .await
            }
            FromCodec::AudioPartDone(report) => self.audio_done(report).await,
            FromCodec::Output { name, bytes, end } => {
                self.output(name, bytes.into_vec(), end).await
            }
            FromCodec::Hello { confinement, .. } => {
                self.confinement = confinement;
                Ok(())
            }
            FromCodec::Progress { .. } => Ok(()),
            FromCodec::Read { .. } | FromCodec::Done(_) | FromCodec::Failed(_) => {
                Err(Failure::task("codec-protocol", "The codec sent a frame out of order."))
            }
        }
    }

    /// The ledger entry of the finished task.
    pub(super) fn finish(&mut self, report: Report, cpu_seconds: f64) -> Result<Entry, Failure> {
        match report {
            Report::Video => self.parts = self.sequential_parts(),
            Report::Hello | Report::Trespass(_) | Report::Probe(_) => {}
            Report::Audio { parts } => self.parts = parts,
            report @ (Report::Images { .. } | Report::Package { .. }) => {
                let planned = self.planned;
                self.keep_files(&planned.work, report)?;
            }
            Report::Batch(reports) => {
                let pieces = self.planned.work.pieces();
                if pieces.len() != reports.len() {
                    return Err(another_job());
                }
                for (piece, report) in pieces.iter().zip(reports) {
                    self.keep_files(piece, report)?;
                }
            }
        }
        let outputs = std::mem::take(&mut self.outputs);
        Ok(Entry { parts: self.parts, ..self.entry(None, outputs, cpu_seconds) })
    }

    /// Aborts unfinished objects, then deletes closed objects that no entry names; a later attempt makes them again. An abort that takes
    /// longer than `wait` ends with its slot, or is left to the sweeper.
    pub(super) async fn abandon(mut self, wait: Duration) {
        let encoders = std::mem::take(&mut self.encoders).into_values();
        let aborted = async {
            join_all(encoders.map(|encoder| async move {
                // An encoder that is stopped aborts its object. An encoder that is killed with its slot does not.
                if let Err(error) = encoder.stop_and_wait(None, None).await {
                    tracing::debug!(%error, "an encoder did not stop in time; it ends with its slot");
                }
            }))
            .await;
            for key in std::mem::take(&mut self.unnamed) {
                if let Err(failure) = self.context.ports.store.delete(&key).await {
                    tracing::debug!(%failure, key, "an object of a failed task could not be deleted; the sweep will delete it");
                }
            }
        };
        if tokio::time::timeout(wait, aborted).await.is_err() {
            tracing::debug!(
                "unfinished objects were not aborted in time; they end with their slot"
            );
        }
    }

    /// Records the files of work that makes files.
    fn keep_files(&mut self, work: &Work, report: Report) -> Result<(), Failure> {
        let output = match (work, report) {
            (Work::Images, Report::Images { poster, vtt, sprites }) => {
                let names = sprites.iter().chain([&poster, &vtt]);
                let files = names.filter_map(|name| self.files.remove_entry(name)).collect();
                Output::Images(ImagesOutput { files, poster, vtt })
            }
            (Work::Package { tier, .. }, Report::Package { verified }) => {
                let name = job::package_name(self.plan, *tier);
                let object = self.files.remove(&name).ok_or_else(|| {
                    Failure::task("codec-protocol", "The codec wrote no progressive file.")
                })?;
                Output::Package(PackageOutput { tier: *tier, object, verified })
            }
            (_, _) => return Err(another_job()),
        };
        self.outputs.push(output);
        Ok(())
    }

    /// Number of parts that hold the results of a picture task, including those of earlier attempts. 0 if its own entry holds them.
    fn sequential_parts(&self) -> u32 {
        match &self.planned.work {
            Work::Video { chunks, .. } if chunks.len() > 1 => chunks.len() as u32,
            Work::Video { .. }
            | Work::Audio(_)
            | Work::Images
            | Work::Package { .. }
            | Work::Batch(_) => 0,
        }
    }

    async fn append(
        &mut self,
        rendition: &str,
        file: &str,
        segment: Segment,
        bytes: Vec<u8>,
    ) -> Result<(), Failure> {
        let first = !self.segments.contains_key(rendition);
        self.segments.entry(rendition.to_owned()).or_default().push(segment);
        self.store(rendition, first.then_some(file), bytes).await
    }

    async fn picture(&mut self, chunk: u32, pts: i64, bytes: Vec<u8>) -> Result<(), Failure> {
        let file = format!("pictures-{chunk:05}.jpgs");
        let first = self.pictures.is_empty();
        let (offset, length) = (self.picture_bytes, bytes.len() as u32);
        self.pictures.push(PictureRef { object: 0, offset, bytes: length, pts });
        self.picture_bytes += u64::from(length);
        self.store(PICTURES, first.then_some(file.as_str()), bytes).await
    }

    /// Files arrive one after the other, so one encoder stores them all.
    async fn output(&mut self, name: String, bytes: Vec<u8>, end: bool) -> Result<(), Failure> {
        let first = !self.segments.contains_key(&name);
        self.segments.entry(name.clone()).or_default();
        self.store(FILES, first.then_some(name.as_str()), bytes).await?;
        if end && let Some(object) = self.close(FILES).await? {
            self.segments.remove(&name);
            self.files.insert(name, object);
        }
        Ok(())
    }

    /// Sends bytes to the encoder of a rendition. Opens `file` first if the bytes begin a new object.
    async fn store(
        &mut self,
        rendition: &str,
        file: Option<&str>,
        bytes: Vec<u8>,
    ) -> Result<(), Failure> {
        let encoder = self.encoder(rendition).await?;
        if let Some(file) = file {
            let (Held { order, claim, .. }, task) = (self.held, self.planned.task);
            let attempt = &claim.attempt_id;
            let key = format!("out/{}/{}/{task}/{attempt}/{file}", order.video, order.number);
            encoder.cast(encoder::Message::Open(key)).map_err(gone)?;
        }
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let weight = length.saturating_add(MESSAGE_BYTES).min(BYTES_WAITING_MAX);
        let permit = Arc::clone(&self.permits).acquire_many_owned(weight).await.map_err(gone)?;
        encoder.cast(encoder::Message::Write(Bytes::from(bytes), permit)).map_err(gone)
    }

    async fn encoder(&mut self, rendition: &str) -> Result<ActorRef<encoder::Message>, Failure> {
        if let Some(encoder) = self.encoders.get(rendition) {
            return Ok(encoder.clone());
        }
        let ports = self.context.ports.clone();
        let spawned = Encoder::spawn_linked(None, Encoder, ports, self.slot.clone()).await;
        let (encoder, _) = spawned.map_err(gone)?;
        self.encoders.insert(rendition.to_owned(), encoder.clone());
        Ok(encoder)
    }

    async fn close(&mut self, rendition: &str) -> Result<Option<Object>, Failure> {
        let Some(encoder) = self.encoders.get(rendition) else { return Ok(None) };
        let object = match encoder.call(encoder::Message::Finish, None).await.map_err(gone)? {
            ractor::rpc::CallResult::Success(object) => object?,
            ractor::rpc::CallResult::Timeout | ractor::rpc::CallResult::SenderError => {
                return Err(gone("it did not answer"));
            }
        };
        self.unnamed.extend(object.as_ref().map(|object| object.key.clone()));
        Ok(object)
    }

    async fn chunk_done(&mut self, report: ChunkReport) -> Result<(), Failure> {
        let Work::Video { chunks, tiers, .. } = &self.planned.work else {
            return Err(another_job());
        };
        let mut stored = BTreeMap::new();
        for (tier, made) in tiers.iter().zip(report.tiers) {
            let name = self.plan.tiers[*tier].name.clone();
            if made.frames != made.frames_in {
                let message = format!("The encoder of {name} lost frames. Try again.");
                let detail = format!("{} in, {} out.", made.frames_in, made.frames);
                return Err(Failure::task("frames-lost", message).with_detail(detail));
            }
            let object = self.close(&name).await?;
            crash::point("encode-after-object");
            let segments = self.segments.remove(&name).unwrap_or_default();
            let output = TierOutput {
                object,
                init: made.init,
                frames: made.frames,
                pts_hash: made.pts_hash,
                start: made.start,
                end: made.end,
                idr: made.idr,
                segments,
                cpu_seconds: made.cpu_seconds,
            };
            stored.insert(*tier, output);
        }
        let output = ChunkOutput {
            chunk: report.chunk,
            source_frames: report.source_frames,
            repeats: report.repeats,
            lost: report.lost,
            head_hash: report.head_hash,
            seam_hash: report.seam_hash,
            tiers: stored,
            pictures: self.pictures_done().await?,
            decode_cpu_seconds: report.cpu_seconds,
        };
        verify::chunk(self.plan, self.planned, &output)?;
        let part = report.chunk - chunks.first().copied().unwrap_or_default();
        let sequential = chunks.len() > 1;
        self.put(sequential.then_some(part), Output::Chunk(output), report.cpu_seconds).await
    }

    async fn pictures_done(&mut self) -> Result<Option<PicturesOutput>, Failure> {
        let pictures = std::mem::take(&mut self.pictures);
        self.picture_bytes = 0;
        let object = if pictures.is_empty() { None } else { self.close(PICTURES).await? };
        Ok(object.map(|object| PicturesOutput { object, pictures }))
    }

    async fn audio_done(&mut self, report: AudioReport) -> Result<(), Failure> {
        let Work::Audio(track) = self.planned.work else {
            return Err(another_job());
        };
        let name = self.audio_name()?;
        let Some(object) = self.close(&name).await? else {
            return Err(Failure::task("codec-protocol", "The codec reported an empty audio part."));
        };
        let output = AudioOutput {
            track,
            part: report.part,
            object,
            init: report.init,
            frames: report.frames,
            start: report.start,
            end: report.end,
            codecs: report.codecs,
            lost_seconds: report.lost_seconds,
            segments: self.segments.remove(&name).unwrap_or_default(),
            cpu_seconds: report.cpu_seconds,
        };
        self.put(Some(report.part), Output::Audio(output), report.cpu_seconds).await
    }

    /// Keeps a result for the task's own entry, or writes it as a checkpoint.
    async fn put(
        &mut self,
        part: Option<u32>,
        output: Output,
        cpu_seconds: f64,
    ) -> Result<(), Failure> {
        let Some(part) = part else {
            self.outputs.push(output);
            return Ok(());
        };
        let entry = self.entry(Some(part), vec![output], cpu_seconds);
        // Cleared even if the write fails: the entry may have been stored.
        self.unnamed.clear();
        // `Taken`: another attempt stored this part first, and its objects count.
        self.context.ports.broker.write_entry(&entry).await?;
        crash::point("encode-after-part");
        Ok(())
    }

    fn entry(&self, part: Option<u32>, outputs: Vec<Output>, cpu_seconds: f64) -> Entry {
        Entry {
            v: 1,
            writer: self.held.claim.attempt_id.clone(),
            order: self.held.order.clone(),
            task: self.planned.task,
            part,
            parts: 0,
            outputs,
            node: self.context.config.node.clone(),
            attempt: self.held.claim.attempts,
            codec_build: self.codec_build.clone(),
            confinement: self.confinement.clone(),
            cpu_seconds,
            wall_seconds: 0.0,
        }
    }

    fn progress(&self, rendition: &str, segment: &Segment) {
        let ticks = if self.planned.task.group == jetreel_domain::id::Group::Audio {
            self.plan.audio.first().map_or(1, |audio| audio.sample_rate)
        } else {
            self.plan.timescale
        };
        self.context.ports.environment.emit(Event::TierProgress {
            order: self.held.order.clone(),
            task: self.planned.task,
            tier: rendition.to_owned(),
            seconds: segment.start.saturating_add(segment.duration) as f64 / f64::from(ticks),
        });
    }

    fn tier_name(&self, index: u32) -> Result<String, Failure> {
        let unknown =
            || Failure::task("codec-protocol", "The codec named a tier it was not given.");
        let Work::Video { tiers, .. } = &self.planned.work else { return Err(unknown()) };
        let tier = tiers.get(index as usize).ok_or_else(unknown)?;
        Ok(self.plan.tiers[*tier].name.clone())
    }

    fn audio_name(&self) -> Result<String, Failure> {
        let unknown =
            || Failure::task("codec-protocol", "The codec made audio in a job without audio.");
        let Work::Audio(track) = self.planned.work else { return Err(unknown()) };
        Ok(self.plan.audio.get(track).ok_or_else(unknown)?.name.clone())
    }
}

/// Rendition name of the encoder that stores thumbnails.
const PICTURES: &str = "pictures";
/// Rendition name of the encoder that stores named files.
const FILES: &str = "files";

fn another_job() -> Failure {
    Failure::task("codec-protocol", "The codec reported another job.")
}

fn gone(error: impl std::fmt::Display) -> Failure {
    Failure::task("encoder-gone", "A rendition could not be stored. Try again.").with_detail(error)
}
