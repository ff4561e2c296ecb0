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
    /// Size.
    pub bytes: u64,
    /// SHA-256, lower-case hex.
    pub sha256: String,
}

/// A finished task, or a finished part of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Schema version.
    pub v: u32,
    /// UUID of the attempt that wrote it: tells its writer whether an entry that is there is its own.
    pub writer: String,
    /// Whose.
    pub order: OrderId,
    /// Which task.
    pub task: TaskId,
    /// `None`: the task is finished. `Some`: this part of it is.
    pub part: Option<u32>,
    /// Of a finished task: how many parts hold its results. 0 means: `outputs` of this entry do.
    #[serde(default)]
    pub parts: u32,
    /// Results, in order.
    pub outputs: Vec<Output>,
    /// Node that did the work.
    pub node: String,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// Codec build that did the work.
    pub codec_build: String,
    /// How well the codec process was confined: `FULL`, `NS`, `SECCOMP` or `NONE`; empty in entries of before that was noted.
    #[serde(default)]
    pub confinement: String,
    /// CPU seconds of the codec process, decode included.
    pub cpu_seconds: f64,
}

/// A result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Output {
    /// A chunk of the picture tiers.
    Chunk(ChunkOutput),
    /// A part of a sound track.
    Audio(AudioOutput),
    /// Poster, sprites, WebVTT.
    Images(ImagesOutput),
    /// A progressive file.
    Package(PackageOutput),
}

/// A chunk as stored.
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
    /// Kept pictures.
    pub pictures: Option<PicturesOutput>,
    /// CPU seconds outside the encoders.
    pub decode_cpu_seconds: f64,
}

/// One tier of a chunk as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TierOutput {
    /// The fragments. `None` where the chunk has no frame.
    pub object: Option<Object>,
    /// Initialisation segment.
    pub init: ByteBuf,
    /// Frames.
    pub frames: u64,
    /// See [`crate::codec::wire::TierReport::pts_hash`].
    pub pts_hash: String,
    /// First PTS, output ticks.
    pub start: i64,
    /// End, output ticks.
    pub end: i64,
    /// IDR instants, output ticks.
    pub idr: Vec<i64>,
    /// The fragments within the object.
    pub segments: Vec<Segment>,
    /// CPU seconds of the encoder.
    pub cpu_seconds: f64,
}

/// Pictures kept for thumbnails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PicturesOutput {
    /// All pictures of the chunk, one after the other.
    pub object: Object,
    /// Where each lies (`object` of each is 0 and set by whoever reads them).
    pub pictures: Vec<PictureRef>,
}

/// A part of a sound track as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AudioOutput {
    /// Index into the plan's audio.
    pub track: usize,
    /// Counted from 0.
    pub part: u32,
    /// The fragments.
    pub object: Object,
    /// Initialisation segment.
    pub init: ByteBuf,
    /// Access units.
    pub frames: u64,
    /// First sample.
    pub start: i64,
    /// After the last sample.
    pub end: i64,
    /// RFC 6381.
    pub codecs: String,
    /// See [`crate::codec::wire::AudioReport::lost_seconds`].
    #[serde(default)]
    pub lost_seconds: f64,
    /// The fragments within the object.
    pub segments: Vec<Segment>,
    /// CPU seconds.
    pub cpu_seconds: f64,
}

/// Pictures for people.
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
    /// Result of the full decode, where it was asked for.
    pub verified: Option<Verified>,
}

/// Everything the ledger says about one order, as far as it was read.
#[derive(Debug, Clone, Default)]
pub struct View {
    finished: BTreeMap<TaskId, Entry>,
    parts: BTreeMap<(TaskId, u32), Entry>,
}

impl View {
    /// Takes an entry in. The stream takes one of a kind: where another is read later, somebody has removed the first, and it counts no more.
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

    /// Whether this very entry was taken in.
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

    /// Parts of a task that are stored, ascending.
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

    /// Finished tasks of which parts are missing that they were finished with: somebody removed entries. Their results cannot be used.
    #[must_use]
    pub fn torn(&self) -> Vec<TaskId> {
        let torn = |entry: &&Entry| self.parts(entry.task).len() < entry.parts as usize;
        self.finished.values().filter(torn).map(|entry| entry.task).collect()
    }

    /// Whether these tasks are finished, with all their parts.
    #[must_use]
    pub fn holds(&self, tasks: &[TaskId]) -> bool {
        let torn = self.torn();
        tasks.iter().all(|task| self.is_finished(*task) && !torn.contains(task))
    }

    /// Forgets that a task is finished; its parts stay.
    pub fn forget(&mut self, task: TaskId) {
        self.finished.remove(&task);
    }

    /// Every entry, of parts and of tasks.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.parts.values().chain(self.finished.values())
    }
}
