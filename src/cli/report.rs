//! The final report of `transcode`.

use std::path::Path;
use std::time::Duration;

use jetreel_domain::output::manifest::Manifest;
use jetreel_domain::plan::Class;
use jetreel_domain::words::failure::{Failure, Severity};
use serde::Serialize;

/// Report of a completed order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Completed {
    status: &'static str,
    source: Source,
    tiers: Vec<Tier>,
    audio_tracks: usize,
    chunks: usize,
    /// CPU time of the codec processes in seconds.
    cpu_seconds: f64,
    wall_seconds: f64,
    /// Seconds until playback could have begun; `None` if it never could.
    first_playable_seconds: Option<f64>,
    playlist: String,
    warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Source {
    frames: u64,
    duration: f64,
    width: u32,
    height: u32,
    fps: f64,
    class: Class,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Tier {
    name: String,
    width: u32,
    height: u32,
    frames: u64,
    duration: f64,
    bytes: u64,
    bandwidth: u64,
    cpu_seconds: f64,
}

/// Report of a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Unmade {
    /// `refused` if the media is at fault and trying again cannot help, else `failed`.
    pub(super) status: &'static str,
    pub(super) error: Reason,
}

/// The failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Reason {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) detail: String,
}

impl Completed {
    /// Report of a completed order in `folder`.
    pub(super) fn new(
        manifest: &Manifest,
        folder: &Path,
        wall: Duration,
        first_playable: Option<Duration>,
    ) -> Self {
        let source = &manifest.source;
        let tier = |tier: &jetreel_domain::output::manifest::TierSummary| Tier {
            name: tier.name.clone(),
            width: tier.width,
            height: tier.height,
            frames: tier.frames,
            duration: tier.duration_seconds,
            bytes: tier.bytes,
            bandwidth: tier.bandwidth,
            cpu_seconds: tier.cpu_seconds,
        };
        Self {
            status: "completed",
            source: Source {
                frames: source.frames,
                duration: source.duration_seconds,
                width: source.width,
                height: source.height,
                fps: source.frame_rate,
                class: source.class,
            },
            tiers: manifest.tiers.iter().map(tier).collect(),
            audio_tracks: manifest.audio.len(),
            chunks: manifest.chunks.len(),
            cpu_seconds: manifest.cpu_seconds.total,
            wall_seconds: wall.as_secs_f64(),
            first_playable_seconds: first_playable.map(|first| first.as_secs_f64()),
            playlist: folder.join("master.m3u8").to_string_lossy().into_owned(),
            warnings: source.warnings.clone(),
        }
    }

    /// CPU time of the codec processes in seconds.
    pub(super) fn cpu_seconds(&self) -> f64 {
        self.cpu_seconds
    }

    /// Path of the master playlist.
    pub(super) fn playlist(&self) -> &str {
        &self.playlist
    }

    /// The report as lines of text.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.warnings.iter().map(|w| format!("note: {w}")).collect();
        lines.extend(self.tiers.iter().map(|tier| {
            let megabytes = tier.bytes as f64 / 1e6;
            let Tier { name, width, height, frames, .. } = tier;
            format!("{name:>7}  {width}x{height}  {frames} frames  {megabytes:.1} MB")
        }));
        let first = self.first_playable_seconds.unwrap_or(self.wall_seconds);
        lines.push(format!(
            "done in {:.1} s, playable after {first:.1} s, {:.1} s of CPU time",
            self.wall_seconds, self.cpu_seconds
        ));
        lines
    }
}

impl Unmade {
    /// Report of a failure.
    pub(super) fn new(failure: &Failure) -> Self {
        let refused = failure.severity == Severity::Permanent;
        Self {
            status: if refused { "refused" } else { "failed" },
            error: Reason {
                code: failure.code.clone(),
                message: failure.message.clone(),
                detail: failure.detail.clone(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_be_helped_is_a_refusal() {
        assert_eq!(Unmade::new(&Failure::permanent("no-video", "x")).status, "refused");
        assert_eq!(Unmade::new(&Failure::task("codec-signal", "x")).status, "failed");
        assert_eq!(Unmade::new(&Failure::dependency("disk-full", "x")).status, "failed");
    }
}
