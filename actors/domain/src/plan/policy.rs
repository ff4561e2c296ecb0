//! What an operator decides about plans.

use serde::{Deserialize, Serialize};

use crate::plan::ladder::Rung;

/// How a source becomes tiers, chunks and tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PlanPolicy {
    /// The rungs, in any order.
    pub ladder: Vec<Rung>,
    /// Shortest first chunk, seconds.
    pub first_seconds_min: f64,
    /// Longest first chunk, seconds.
    pub first_seconds_max: f64,
    /// Into how many tasks the first chunk is split by tiers, so that several slots share it; each decodes it again.
    pub first_tasks: usize,
    /// Shortest chunk, seconds: below it, the encoder's start costs quality.
    pub chunk_seconds_min: f64,
    /// A chunk ends at the first random-access point after this many seconds.
    pub chunk_seconds_target: f64,
    /// Longest chunk, seconds, where random-access points allow it.
    pub chunk_seconds_max: f64,
    /// Segments aim at this length, seconds.
    pub segment_seconds: f64,
    /// IDR pictures aim at this distance, seconds.
    pub gop_seconds: f64,
    /// x264 preset.
    pub preset: String,
    /// Make a poster and sprites.
    pub images: bool,
    /// Make a progressive MP4 of every tier.
    pub package: bool,
    /// Bits per second of a stereo track.
    pub audio_bit_rate: u32,
    /// Seconds between checkpoints of a sound track.
    pub audio_part_seconds: u32,
    /// Seconds between thumbnails.
    pub thumbnail_seconds: f64,
    /// Make exactly these tiers, lazy ones included. `None`: every tier that is not lazy.
    #[serde(default)]
    pub tiers: Option<Vec<String>>,
}
