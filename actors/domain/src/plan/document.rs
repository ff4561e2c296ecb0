//! The plan of an order. It is immutable, and with the source it is all that a worker needs.

use serde::{Deserialize, Serialize};

use crate::id::{Group, OrderId, TaskId};
use crate::plan::ladder::TierPlan;
use crate::plan::media::{AudioTrack, ProbeFacts};
use crate::plan::rational::Rational;

/// Frames by which x264 reorders: three B-pictures with a pyramid.
const REORDERED_FRAMES: i64 = 2;
/// Longest distance of frames for which the composition shift allows, in seconds.
const REORDERED_SECONDS_MAX: f64 = 0.5;

/// Class of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Class {
    /// Cut at random-access points; every chunk is a task of its own.
    A,
    /// One sequential task, with a part for each finished chunk.
    B,
}

/// An interval of presentation time, in ticks of the source's video time base, encoded by one encoder per tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Frames with `start <= PTS < end` belong to it. The first chunk also holds earlier frames.
    pub start: i64,
    /// Exclusive. `i64::MAX` for the last chunk, because the end of a source is only known when it is decoded.
    pub end: i64,
    /// DTS to seek to, of the random-access point where decoding starts. `None` for the start of the file.
    pub seek: Option<i64>,
}

/// Settings of the images task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImagePlan {
    /// Index into [`Plan::tiers`] of the tier whose frames are kept as pictures.
    pub tier: usize,
    /// Source ticks between two pictures, counted from [`Plan::origin`].
    pub interval: i64,
    /// Width of a tile in pixels.
    pub tile_width: u32,
    /// Height of a tile in pixels.
    pub tile_height: u32,
    /// Tiles in a row of a sheet.
    pub columns: u32,
    /// Tiles in a column of a sheet.
    pub rows: u32,
}

/// An audio rendition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AudioPlan {
    /// Name in playlists and keys: `audio-0`, `audio-1`, …
    pub name: String,
    /// Stream index in the source.
    pub stream: u32,
    /// Language tag as in the source.
    pub language: String,
    /// Output samples per second. Also the timescale of the rendition.
    pub sample_rate: u32,
    /// Output channels (1 or 2).
    pub channels: u32,
    /// Bit rate in bits per second.
    pub bit_rate: u32,
    /// Whether players select it by default. True for exactly one track of a plan.
    pub default: bool,
    /// Length of a part in seconds.
    pub part_seconds: u32,
}

/// Work of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Work {
    /// Encodes `chunks` (indices into [`Plan::chunks`], consecutive) for `tiers` (indices into [`Plan::tiers`]). Several chunks are encoded
    /// sequentially, with a part for each.
    Video {
        chunks: Vec<u32>,
        tiers: Vec<usize>,
        /// Whether this task keeps frames as pictures (the image tier is among `tiers`).
        images: bool,
    },
    /// Encodes an audio track: index into [`Plan::audio`].
    Audio(usize),
    /// Composes poster, sprites and WebVTT.
    Images,
    /// Writes the progressive MP4 of a tier: index into [`Plan::tiers`].
    Package {
        tier: usize,
        /// Whether to decode the tier from start to end with libav's own demuxer and compare counts and times.
        verify: bool,
    },
    /// Images and progressive files of a short source, one after the other in one process: only [`Self::Images`] and [`Self::Package`].
    Batch(Vec<Work>),
}

impl Work {
    /// The pieces of a batch. For other work the work itself.
    #[must_use]
    pub fn pieces(&self) -> &[Self] {
        match self {
            Self::Batch(pieces) => pieces,
            Self::Video { .. } | Self::Audio(_) | Self::Images | Self::Package { .. } => {
                std::slice::from_ref(self)
            }
        }
    }
}

/// A task in the release list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedTask {
    pub task: TaskId,
    pub work: Work,
    /// Tasks whose ledger entries must exist before it is released.
    pub needs: Vec<TaskId>,
    /// Estimated cost in CPU seconds, for backlog and progress.
    pub cost: f64,
}

/// The immutable plan of one order. Its SHA-256 is in the state before the first task is published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Schema version.
    pub v: u32,
    pub order: OrderId,
    /// Facts of the source.
    pub facts: ProbeFacts,
    pub class: Class,
    /// Reason for the class, as a sentence.
    pub class_reason: String,
    /// Source tick of output time 0: the earlier of first picture and first audio.
    pub origin: i64,
    /// Source tick at which every output ends: the later of last picture and last audio. `None` in older plans: the end of the pictures.
    #[serde(default)]
    pub end: Option<i64>,
    /// Seconds per tick of the source's video track.
    pub time_base: Rational,
    /// Ticks per second of the video renditions. One source tick is `timescale * time_base` output ticks, a whole number.
    pub timescale: u32,
    /// Tiers, largest first.
    pub tiers: Vec<TierPlan>,
    /// Audio renditions, the default one first. Empty for a silent video.
    pub audio: Vec<AudioPlan>,
    /// Consecutive chunks without gap or overlap.
    pub chunks: Vec<Chunk>,
    /// Settings of the images; `None` if images are turned off.
    pub images: Option<ImagePlan>,
    /// Longest media segment of a playlist in seconds, rounded up (RFC 8216, EXT-X-TARGETDURATION).
    pub target_duration: u32,
    /// Target length of a segment in seconds.
    pub segment_seconds: f64,
    /// Target distance of IDR pictures in seconds.
    pub gop_seconds: f64,
    /// The release list: every task of the order in the order of release.
    pub tasks: Vec<PlannedTask>,
    /// Name of the x264 preset.
    pub preset: String,
    /// Build of the codec that probed the source. A node with another build hands tasks back.
    pub codec_build: String,
    /// Warnings for the user, each a sentence.
    pub warnings: Vec<String>,
}

impl Plan {
    /// The planned task with this id.
    #[must_use]
    pub fn task(&self, task: TaskId) -> Option<&PlannedTask> {
        self.tasks.iter().find(|planned| planned.task == task)
    }

    /// Source tick at which every output ends, from the probe's facts.
    #[must_use]
    pub fn end(&self) -> i64 {
        let picture = self.facts.video.as_ref().map_or(self.origin, |video| video.end);
        self.end.unwrap_or(picture)
    }

    /// Duration of every output in seconds, from the probe's facts.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.time_base.seconds(self.end().saturating_sub(self.origin))
    }

    /// Output ticks per source tick.
    #[must_use]
    pub fn tick_scale(&self) -> i64 {
        (i64::from(self.timescale) * self.time_base.num / self.time_base.den).max(1)
    }

    /// Output ticks by which composition times of every tier lie behind its presentation times: the distance of as many frames as an
    /// encoder reorders. If a source of variable rate has a longer distance, samples are decoded earlier than they are shown.
    #[must_use]
    pub fn composition_shift(&self) -> u32 {
        let gap = self.facts.video.as_ref().map_or(0, |video| video.largest_gap.max(0));
        let spacing = self.tiers.iter().map(|tier| tier.rule.spacing).max().unwrap_or(0);
        let frame = gap.min(self.time_base.ticks(REORDERED_SECONDS_MAX)).saturating_add(spacing);
        let shift = frame.saturating_mul(REORDERED_FRAMES).saturating_mul(self.tick_scale());
        u32::try_from(shift).unwrap_or(u32::MAX)
    }

    /// Tasks that encode pictures of the tier `tier`, in presentation order.
    pub fn video_tasks(&self, tier: usize) -> impl Iterator<Item = (TaskId, &[u32])> {
        self.tasks.iter().filter_map(move |planned| match &planned.work {
            Work::Video { chunks, tiers, .. } if tiers.contains(&tier) => {
                Some((planned.task, chunks.as_slice()))
            }
            Work::Video { .. }
            | Work::Audio(_)
            | Work::Images
            | Work::Package { .. }
            | Work::Batch(_) => None,
        })
    }

    /// Duration of a chunk in seconds, from the probe's facts. The last one ends with the source.
    #[must_use]
    pub fn chunk_seconds(&self, chunk: u32) -> f64 {
        let end = self.end();
        let chunk = self.chunks.get(chunk as usize);
        chunk.map_or(0.0, |c| self.time_base.seconds((c.end.min(end) - c.start).max(0)))
    }

    /// Seconds of a chunk in which the source has pictures, and seconds before its first and after its last picture.
    #[must_use]
    pub fn moving_and_standing(&self, chunk: u32) -> (f64, f64) {
        let all = self.chunk_seconds(chunk);
        let Some(video) = &self.facts.video else { return (0.0, all) };
        let pictured = self.chunks.get(chunk as usize).map_or(0, |chunk| {
            chunk.end.min(video.end).saturating_sub(chunk.start.max(video.start))
        });
        let moving = self.time_base.seconds(pictured.max(0)).min(all);
        (moving, all - moving)
    }

    /// The source track of an audio rendition.
    #[must_use]
    pub fn audio_track(&self, track: usize) -> Option<&AudioTrack> {
        let stream = self.audio.get(track)?.stream;
        self.facts.audio.iter().find(|found| found.stream == stream)
    }

    /// A source tick on the output's clock.
    #[must_use]
    pub fn output_tick(&self, source: i64) -> i64 {
        source.saturating_sub(self.origin).saturating_mul(self.tick_scale())
    }

    /// Tasks of a group.
    pub fn group(&self, group: Group) -> impl Iterator<Item = &PlannedTask> {
        self.tasks.iter().filter(move |planned| planned.task.group == group)
    }
}
