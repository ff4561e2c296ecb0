//! The ladder: which renditions exist, and what a plan fixes for each.

use serde::{Deserialize, Serialize};

use crate::framerate::FrameRule;
use crate::media::VideoTrack;

/// A rung as configured. The short side names the tier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rung {
    /// Such as `720p`.
    pub name: String,
    /// Pixels of the shorter side.
    pub short_side: u32,
    /// x264 constant rate factor.
    pub crf: u32,
    /// Cap in kilobits per second up to 30 frames per second.
    pub max_rate_kbps: u32,
    /// Cap above 30 frames per second.
    pub max_rate_high_kbps: u32,
    /// H.264 level times ten up to 30 frames per second, such as 31.
    pub level: u32,
    /// H.264 level times ten above 30 frames per second.
    pub level_high: u32,
    /// Frame-rate limit.
    pub max_frame_rate: u32,
    /// Encoded on demand, not eagerly.
    #[serde(default)]
    pub lazy: bool,
}

/// A tier of a plan: everything an encoder needs besides frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TierPlan {
    /// Such as `720p`.
    pub name: String,
    /// Even, square pixels, after rotation.
    pub width: u32,
    /// Even, square pixels, after rotation.
    pub height: u32,
    /// x264 constant rate factor.
    pub crf: u32,
    /// Cap, bits per second; the VBV buffer holds one second of it.
    pub max_rate: u32,
    /// H.264 level times ten.
    pub level: u32,
    /// Which source frames it keeps.
    pub rule: FrameRule,
    /// Declared peak bits per second with audio (HLS BANDWIDTH), fixed by the plan.
    pub bandwidth: u32,
    /// RFC 6381 codec string of the picture track, such as `avc1.64001f`.
    pub codecs: String,
}

/// Display size in square pixels after rotation, before scaling: `(width, height)`.
#[must_use]
pub fn display_size(video: &VideoTrack) -> (u32, u32) {
    let aspect = video.sample_aspect.as_f64();
    let (mut width, mut height) = (f64::from(video.width), f64::from(video.height));
    // Shrink the longer way round: a picture is never made larger than it was coded.
    if aspect > 1.0 {
        height /= aspect;
    } else if aspect > 0.0 {
        width *= aspect;
    }
    let (width, height) = (width.round().max(1.0) as u32, height.round().max(1.0) as u32);
    if video.rotation % 180 == 90 { (height, width) } else { (width, height) }
}
