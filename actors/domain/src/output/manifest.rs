//! `manifest.json`: all content of a finished order, every object once, and its cost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{TaskId, VideoId};
use crate::order::ledger::{Entry, Object, Output, View};
use crate::output::assembly;
use crate::output::losses;
use crate::output::playlist;
use crate::plan::{Class, Plan};

/// Schema version.
pub const VERSION: u32 = 1;

/// The document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Schema version.
    pub v: u32,
    pub video: VideoId,
    pub order: u32,
    pub source: SourceSummary,
    /// Renditions of the picture, largest first.
    pub tiers: Vec<TierSummary>,
    /// Audio renditions, the default one first.
    pub audio: Vec<AudioSummary>,
    /// Poster, sprites, WebVTT.
    pub images: Option<ImagesSummary>,
    /// Chunks in which the picture was encoded.
    pub chunks: Vec<ChunkSummary>,
    /// Tasks and their workers in the plan's order: of each task its checkpoints, then its own entry.
    #[serde(default)]
    pub tasks: Vec<TaskSummary>,
    /// CPU time of the codec processes in seconds.
    pub cpu_seconds: CpuSummary,
    /// Playlists and initialisation segments.
    pub files: Vec<Object>,
}

/// Facts of the source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceSummary {
    /// Size in bytes.
    pub bytes: u64,
    /// Name of the demuxer.
    pub format: String,
    /// Codec of the picture track.
    pub codec: String,
    /// Number of decoded frames.
    pub frames: u64,
    /// Seconds from the first picture or audio to the end of the last.
    pub duration_seconds: f64,
    /// Displayed width in square pixels.
    pub width: u32,
    /// Displayed height in square pixels.
    pub height: u32,
    /// Average frames per second.
    pub frame_rate: f64,
    /// Whether the source was cut into chunks or decoded in one go.
    pub class: Class,
    /// Warnings for the user, each a sentence.
    pub warnings: Vec<String>,
}

/// A tier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TierSummary {
    /// Name, such as `720p`.
    pub name: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Codecs string (RFC 6381).
    pub codecs: String,
    pub frames: u64,
    /// Duration in seconds.
    pub duration_seconds: f64,
    /// Size of all segments in bytes.
    pub bytes: u64,
    /// Measured peak rate with audio, in bits per second.
    pub bandwidth: u64,
    /// Measured average rate with audio, in bits per second.
    pub average_bandwidth: u64,
    /// CPU time of the encoder in seconds.
    pub cpu_seconds: f64,
    /// File name of the playlist.
    pub playlist: String,
    /// The progressive file; `None` if none was made.
    pub progressive: Option<Object>,
    /// Objects of the segments, one per chunk.
    pub objects: Vec<Object>,
}

/// An audio rendition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AudioSummary {
    /// Name, such as `audio-0`.
    pub name: String,
    /// Language tag of the source.
    pub language: String,
    /// Whether players select it by default.
    pub default: bool,
    /// Codecs string (RFC 6381). Empty if the track has no audio.
    pub codecs: String,
    /// Duration in seconds.
    pub duration_seconds: f64,
    /// Size of all segments in bytes.
    pub bytes: u64,
    /// File name of the playlist.
    pub playlist: String,
    /// Objects of the segments, one per part.
    pub objects: Vec<Object>,
}

/// Poster, sprites and WebVTT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImagesSummary {
    /// File name of the poster in `files`.
    pub poster: String,
    /// File name of the WebVTT in `files`.
    pub vtt: String,
    /// File name → object.
    pub files: BTreeMap<String, Object>,
}

/// A chunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChunkSummary {
    /// Index of the chunk.
    pub chunk: u32,
    /// Start on the output's clock in seconds.
    pub start_seconds: f64,
    /// Number of source frames.
    pub frames: u64,
    /// Pictures kept for thumbnails; `None` if there are none.
    pub pictures: Option<Object>,
}

/// A task, or a checkpoint of one, with its worker. It explains an object when ledger and claims are gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSummary {
    pub task: TaskId,
    /// Part of the checkpoint. `None` for the task itself.
    pub part: Option<u32>,
    /// Name of the node that did the work.
    pub node: String,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// UUID of the attempt, as in the keys of its objects.
    pub writer: String,
    /// Confinement of its codec process: `FULL`, `NS`, `SECCOMP` or `NONE`.
    #[serde(default)]
    pub confinement: String,
}

/// CPU time of an order in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CpuSummary {
    /// Decoding and filtering.
    pub decode: f64,
    /// Encoding, by tier.
    pub tiers: BTreeMap<String, f64>,
    /// Audio.
    pub audio: f64,
    /// Total, including the start of processes, pictures and files.
    pub total: f64,
}

/// Builds the manifest of a complete order. `files` are the playlists and initialisation segments, by name.
#[must_use]
pub fn build(plan: &Plan, view: &View, files: Vec<(String, Object)>) -> Manifest {
    let tiers: Vec<TierSummary> = (0..plan.tiers.len()).map(|t| tier(plan, view, t)).collect();
    let cpu_seconds = CpuSummary {
        decode: assembly::chunks(plan, view).map(|(_, chunk)| chunk.decode_cpu_seconds).sum(),
        tiers: tiers.iter().map(|tier| (tier.name.clone(), tier.cpu_seconds)).collect(),
        audio: (0..plan.audio.len())
            .flat_map(|track| assembly::audio_prefix(view, track))
            .map(|part| part.cpu_seconds)
            .sum(),
        total: total_cpu(plan, view),
    };
    let chunks = chunks(plan, view);
    Manifest {
        v: VERSION,
        video: plan.order.video.clone(),
        order: plan.order.number,
        source: source(plan, view, chunks.iter().map(|chunk| chunk.frames).sum()),
        tiers,
        audio: (0..plan.audio.len()).map(|track| audio(plan, view, track)).collect(),
        images: assembly::images(plan, view).map(|images| ImagesSummary {
            poster: images.poster.clone(),
            vtt: images.vtt.clone(),
            files: images.files.clone(),
        }),
        chunks,
        tasks: tasks(plan, view),
        cpu_seconds,
        files: files.into_iter().map(|(_, object)| object).collect(),
    }
}

impl Manifest {
    /// All objects, each once.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        let tiers = self.tiers.iter().flat_map(|tier| tier.objects.iter().chain(&tier.progressive));
        let audio = self.audio.iter().flat_map(|track| &track.objects);
        let images = self.images.iter().flat_map(|images| images.files.values());
        let pictures = self.chunks.iter().filter_map(|chunk| chunk.pictures.as_ref());
        tiers.chain(audio).chain(images).chain(pictures).chain(&self.files)
    }

    /// The playlist or initialisation segment with this name.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&Object> {
        let named = |object: &&Object| object.key.rsplit('/').next() == Some(name);
        self.files.iter().find(named)
    }
}

fn source(plan: &Plan, view: &View, frames: u64) -> SourceSummary {
    let video = plan.facts.video.as_ref();
    let (width, height) = video.map_or((0, 0), crate::plan::ladder::display_size);
    SourceSummary {
        bytes: plan.facts.bytes,
        format: plan.facts.format.clone(),
        codec: video.map_or_else(String::new, |video| video.codec.clone()),
        frames,
        duration_seconds: plan.seconds(),
        width,
        height,
        frame_rate: video.map_or(0.0, |video| video.frame_rate.as_f64()),
        class: plan.class,
        warnings: losses::warnings(plan, view),
    }
}

fn tier(plan: &Plan, view: &View, index: usize) -> TierSummary {
    let tier = &plan.tiers[index];
    let parts = assembly::tier_prefix(plan, view, index);
    let pieces = playlist::video_pieces(plan, view, index, true);
    let rate = playlist::variant_rate(plan, view, index);
    let ticks: i64 = pieces.iter().map(|piece| piece.ticks).sum();
    TierSummary {
        name: tier.name.clone(),
        width: tier.width,
        height: tier.height,
        codecs: tier.codecs.clone(),
        frames: parts.iter().map(|part| part.frames).sum(),
        duration_seconds: ticks as f64 / f64::from(plan.timescale),
        bytes: pieces.iter().map(|piece| piece.segment.bytes).sum(),
        bandwidth: rate.peak,
        average_bandwidth: rate.average,
        cpu_seconds: parts.iter().map(|part| part.cpu_seconds).sum(),
        playlist: format!("{}.m3u8", tier.name),
        progressive: assembly::package(plan, view, index).map(|package| package.object.clone()),
        objects: parts.iter().filter_map(|part| part.object.clone()).collect(),
    }
}

fn audio(plan: &Plan, view: &View, track: usize) -> AudioSummary {
    let audio = &plan.audio[track];
    let parts = assembly::audio_prefix(view, track);
    let pieces = playlist::audio_pieces(view, track, true);
    let ticks: i64 = pieces.iter().map(|piece| piece.ticks).sum();
    AudioSummary {
        name: audio.name.clone(),
        language: audio.language.clone(),
        default: audio.default,
        codecs: parts.first().map_or_else(String::new, |part| part.codecs.clone()),
        duration_seconds: ticks as f64 / f64::from(audio.sample_rate.max(1)),
        bytes: pieces.iter().map(|piece| piece.segment.bytes).sum(),
        playlist: format!("{}.m3u8", audio.name),
        objects: parts.iter().map(|part| part.object.clone()).collect(),
    }
}

fn chunks(plan: &Plan, view: &View) -> Vec<ChunkSummary> {
    let mut found: BTreeMap<u32, ChunkSummary> = BTreeMap::new();
    for (_, output) in assembly::chunks(plan, view) {
        let start = plan.chunks.get(output.chunk as usize).map_or(plan.origin, |c| c.start);
        let summary = found.entry(output.chunk).or_insert_with(|| ChunkSummary {
            chunk: output.chunk,
            start_seconds: plan.output_tick(start) as f64 / f64::from(plan.timescale),
            frames: output.source_frames,
            pictures: None,
        });
        if summary.pictures.is_none() {
            summary.pictures = output.pictures.as_ref().map(|pictures| pictures.object.clone());
        }
    }
    found.into_values().collect()
}

fn tasks(plan: &Plan, view: &View) -> Vec<TaskSummary> {
    let of_task = |task| view.checkpoints(task).chain(view.entry(task));
    let summary = |entry: &Entry| TaskSummary {
        task: entry.task,
        part: entry.part,
        node: entry.node.clone(),
        attempt: entry.attempt,
        writer: entry.writer.clone(),
        confinement: entry.confinement.clone(),
    };
    plan.tasks.iter().flat_map(|planned| of_task(planned.task)).map(summary).collect()
}

/// CPU time of all tasks in seconds. The entry of a finished task counts its whole process; checkpoints count time before a restart, which
/// is not in the entry. The larger of both counts.
#[must_use]
pub fn total_cpu(plan: &Plan, view: &View) -> f64 {
    let of_outputs = |task| -> f64 {
        view.outputs(task)
            .map(|output| match output {
                Output::Chunk(chunk) => {
                    let encoders: f64 = chunk.tiers.values().map(|tier| tier.cpu_seconds).sum();
                    chunk.decode_cpu_seconds + encoders
                }
                Output::Audio(part) => part.cpu_seconds,
                Output::Images(_) | Output::Package(_) => 0.0,
            })
            .sum()
    };
    let of_task = |task| {
        let whole = view.entry(task).map_or(0.0, |entry| entry.cpu_seconds);
        whole.max(of_outputs(task))
    };
    plan.tasks.iter().map(|planned| of_task(planned.task)).sum()
}
