//! The operator's policy for plans.

use serde::{Deserialize, Serialize};

use crate::plan::ladder::Rung;

/// Parameters by which a source becomes tiers, chunks and tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PlanPolicy {
    /// The rungs, in any order.
    pub ladder: Vec<Rung>,
    /// Shortest first chunk, seconds.
    pub first_seconds_min: f64,
    /// Longest first chunk, seconds.
    pub first_seconds_max: f64,
    /// Number of tasks into which the first chunk is split by tiers, so that several slots share it. Each decodes it again.
    pub first_tasks: usize,
    /// Shortest chunk in seconds. Below it, the start of an encoder costs quality.
    pub chunk_seconds_min: f64,
    /// A chunk ends at the first random-access point after this many seconds.
    pub chunk_seconds_target: f64,
    /// Longest chunk in seconds, if random-access points allow it.
    pub chunk_seconds_max: f64,
    /// Target length of a segment in seconds.
    pub segment_seconds: f64,
    /// Target distance of IDR pictures in seconds.
    pub gop_seconds: f64,
    /// Name of the x264 preset.
    pub preset: String,
    /// Whether to make a poster and sprites.
    pub images: bool,
    /// Whether to make a progressive MP4 of every tier.
    pub package: bool,
    /// Bit rate of a stereo track in bits per second.
    pub audio_bit_rate: u32,
    /// Seconds between checkpoints of an audio track.
    pub audio_part_seconds: u32,
    /// Seconds between thumbnails.
    pub thumbnail_seconds: f64,
    /// Make exactly these tiers, including lazy ones. `None` for every tier that is not lazy.
    #[serde(default)]
    pub tiers: Option<Vec<String>>,
}
