//! The ledger: write-once entries. The set of task entries *is* the set of finished tasks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::codec::wire::{PictureRef, Segment, Verified};
use crate::id::{OrderId, TaskId};

/// Schema version written into every entry.
pub const VERSION: u32 = 1;

/// A stored object: immutable, under a key of its own attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Key in the store.
    pub key: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256, lower-case hex.
    pub sha256: String,
}

/// A finished task, or a finished part of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Schema version.
    pub v: u32,
    /// UUID of the attempt that wrote the entry. A writer recognises its own entry by it.
    pub writer: String,
    pub order: OrderId,
    pub task: TaskId,
    /// Index of the finished part. `None` if the whole task is finished.
    pub part: Option<u32>,
    /// Number of parts that hold the results of a finished task. 0 if `outputs` of this entry holds them.
    #[serde(default)]
    pub parts: u32,
    /// Results, in order.
    pub outputs: Vec<Output>,
    /// Name of the node that did the work.
    pub node: String,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Codec build that did the work.
    pub codec_build: String,
    /// Confinement of the codec process: `FULL`, `NS`, `SECCOMP` or `NONE`. Empty in entries of versions that did not record it.
    #[serde(default)]
    pub confinement: String,
    /// CPU time of the codec process in seconds, decoding included.
    pub cpu_seconds: f64,
    /// Wall time from the claim to the entry in seconds. 0 in checkpoints and in entries of older versions.
    #[serde(default)]
    pub wall_seconds: f64,
}

impl Entry {
    /// Bytes that the entry takes in memory, as an estimate for bounds.
    #[must_use]
    pub fn weight(&self) -> usize {
        /// The entry, its strings and its place in a map.
        const ENTRY_BYTES: usize = 600;
        ENTRY_BYTES + self.outputs.iter().map(Output::weight).sum::<usize>()
    }
}

/// A result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Output {
    /// A chunk of the picture tiers.
    Chunk(ChunkOutput),
    /// A part of an audio track.
    Audio(AudioOutput),
    /// Poster, sprites, WebVTT.
    Images(ImagesOutput),
    /// A progressive file.
    Package(PackageOutput),
}

impl Output {
    /// Every object of this result.
    #[must_use]
    pub fn objects(&self) -> Vec<&Object> {
        match self {
            Output::Chunk(chunk) => {
                let tiers = chunk.tiers.values().filter_map(|tier| tier.object.as_ref());
                tiers.chain(chunk.pictures.as_ref().map(|pictures| &pictures.object)).collect()
            }
            Output::Audio(audio) => vec![&audio.object],
            Output::Images(images) => images.files.values().collect(),
            Output::Package(package) => vec![&package.object],
        }
    }

    /// See [`Entry::weight`].
    fn weight(&self) -> usize {
        /// An object with its key and hash, and the numbers beside it.
        const OBJECT_BYTES: usize = 450;
        let segments = |segments: &Vec<Segment>| segments.len() * size_of::<Segment>();
        match self {
            Output::Chunk(chunk) => {
                let tier = |tier: &TierOutput| {
                    let points = tier.idr.len() * size_of::<i64>();
                    OBJECT_BYTES + tier.init.len() + points + segments(&tier.segments)
                };
                let pictures = chunk.pictures.as_ref().map_or(0, |pictures| {
                    OBJECT_BYTES + pictures.pictures.len() * size_of::<PictureRef>()
                });
                OBJECT_BYTES + pictures + chunk.tiers.values().map(tier).sum::<usize>()
            }
            Output::Audio(audio) => OBJECT_BYTES + audio.init.len() + segments(&audio.segments),
            Output::Images(images) => OBJECT_BYTES * (1 + images.files.len()),
            Output::Package(_) => 2 * OBJECT_BYTES,
        }
    }
}

/// A stored chunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChunkOutput {
    /// Index into the plan's chunks.
    pub chunk: u32,
    /// Decoded source frames in the interval.
    pub source_frames: u64,
    /// See [`crate::codec::wire::ChunkReport::repeats`].
    #[serde(default)]
    pub repeats: u64,
    /// See [`crate::codec::wire::ChunkReport::lost`].
    #[serde(default)]
    pub lost: u64,
    /// See [`crate::codec::wire::ChunkReport::head_hash`].
    pub head_hash: Option<String>,
    /// See [`crate::codec::wire::ChunkReport::seam_hash`].
    pub seam_hash: Option<String>,
    /// Tiers by index into the plan's tiers.
    pub tiers: BTreeMap<usize, TierOutput>,
    /// Pictures kept for thumbnails.
    pub pictures: Option<PicturesOutput>,
    /// CPU time outside the encoders, in seconds.
    pub decode_cpu_seconds: f64,
}

/// A stored tier of a chunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TierOutput {
    /// Object of the fragments. `None` if the chunk has no frame.
    pub object: Option<Object>,
    /// Initialisation segment.
    pub init: ByteBuf,
    pub frames: u64,
    /// See [`crate::codec::wire::TierReport::pts_hash`].
    pub pts_hash: String,
    /// First PTS in output ticks.
    pub start: i64,
    /// End in output ticks.
    pub end: i64,
    /// PTS of the IDR pictures in output ticks.
    pub idr: Vec<i64>,
    /// The fragments within the object.
    pub segments: Vec<Segment>,
    /// CPU time of the encoder in seconds.
    pub cpu_seconds: f64,
}

/// Pictures kept for thumbnails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PicturesOutput {
    /// All pictures of the chunk, one after the other.
    pub object: Object,
    /// Position of each picture in the object. Their field `object` is 0 in the entry; readers set it.
    pub pictures: Vec<PictureRef>,
}

/// A stored part of an audio track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AudioOutput {
    /// Index into the plan's audio tracks.
    pub track: usize,
    /// Number of the part, from 0.
    pub part: u32,
    /// The fragments.
    pub object: Object,
    /// Initialisation segment.
    pub init: ByteBuf,
    /// Number of access units.
    pub frames: u64,
    /// Index of the first sample.
    pub start: i64,
    /// Index after the last sample.
    pub end: i64,
    /// Codecs string (RFC 6381).
    pub codecs: String,
    /// See [`crate::codec::wire::AudioReport::lost_seconds`].
    #[serde(default)]
    pub lost_seconds: f64,
    /// The fragments within the object.
    pub segments: Vec<Segment>,
    /// CPU time in seconds.
    pub cpu_seconds: f64,
}

/// Poster, sprites and their WebVTT file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImagesOutput {
    /// File name → object: `poster.jpg`, `sprite-000.jpg`, `thumbnails.vtt`.
    pub files: BTreeMap<String, Object>,
    /// Poster file name.
    pub poster: String,
    /// WebVTT file name.
    pub vtt: String,
}

/// A progressive MP4.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackageOutput {
    /// Index into the plan's tiers.
    pub tier: usize,
    /// The file.
    pub object: Object,
    /// Result of the full decode; `None` if none was requested.
    pub verified: Option<Verified>,
}

/// Ledger entries of one order, as far as they were read.
#[derive(Debug, Clone, Default)]
pub struct View {
    finished: BTreeMap<TaskId, Entry>,
    parts: BTreeMap<(TaskId, u32), Entry>,
}

impl View {
    /// Adds an entry. The stream keeps one entry of a kind. If another one is read later, the first was removed, and the later one counts.
    pub fn insert(&mut self, entry: Entry) {
        match entry.part {
            None => self.finished.insert(entry.task, entry),
            Some(part) => self.parts.insert((entry.task, part), entry),
        };
    }

    /// Whether the task is finished.
    #[must_use]
    pub fn is_finished(&self, task: TaskId) -> bool {
        self.finished.contains_key(&task)
    }

    /// How many tasks are finished.
    #[must_use]
    pub fn finished_count(&self) -> usize {
        self.finished.len()
    }

    /// The entries of finished tasks.
    pub fn finished(&self) -> impl Iterator<Item = &Entry> {
        self.finished.values()
    }

    /// Whether the view holds this very entry.
    #[must_use]
    pub fn knows(&self, entry: &Entry) -> bool {
        let known = match entry.part {
            None => self.finished.get(&entry.task),
            Some(part) => self.parts.get(&(entry.task, part)),
        };
        known.is_some_and(|known| known.writer == entry.writer)
    }

    /// The entry of a finished task.
    #[must_use]
    pub fn entry(&self, task: TaskId) -> Option<&Entry> {
        self.finished.get(&task)
    }

    /// Numbers of a task's stored parts, ascending.
    #[must_use]
    pub fn parts(&self, task: TaskId) -> Vec<u32> {
        self.parts.range((task, 0)..=(task, u32::MAX)).map(|((_, part), _)| *part).collect()
    }

    /// The entries of stored parts of a task, ascending.
    pub fn checkpoints(&self, task: TaskId) -> impl Iterator<Item = &Entry> {
        self.parts.range((task, 0)..=(task, u32::MAX)).map(|(_, entry)| entry)
    }

    /// Results of a task so far, in order: of its parts, then of its own entry.
    pub fn outputs(&self, task: TaskId) -> impl Iterator<Item = &Output> {
        let entries = self.checkpoints(task).chain(self.finished.get(&task));
        entries.flat_map(|entry| entry.outputs.iter())
    }

    /// Finished tasks that lack some of their parts because entries were removed. Their results cannot be used.
    #[must_use]
    pub fn torn(&self) -> Vec<TaskId> {
        let torn = |entry: &&Entry| self.parts(entry.task).len() < entry.parts as usize;
        self.finished.values().filter(torn).map(|entry| entry.task).collect()
    }

    /// Whether these tasks are finished with all their parts.
    #[must_use]
    pub fn holds(&self, tasks: &[TaskId]) -> bool {
        let torn = self.torn();
        tasks.iter().all(|task| self.is_finished(*task) && !torn.contains(task))
    }

    /// Removes the entry of a finished task. Its parts stay.
    pub fn forget(&mut self, task: TaskId) {
        self.finished.remove(&task);
    }

    /// All entries, of parts and of tasks.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.parts.values().chain(self.finished.values())
    }
}
