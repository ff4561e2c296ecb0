//! What a codec process may use, derived from the plan: generous against the estimate, finite against a bomb.

use crate::plan::{Plan, PlannedTask, Work};

/// Limits that the parent of a codec process enforces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProcessLimits {
    /// Wall clock, seconds.
    pub wall_seconds: f64,
    /// CPU time, seconds.
    pub cpu_seconds: f64,
    /// Longest silence, seconds.
    pub silence_seconds: f64,
    /// Bytes of results.
    pub output_bytes: u64,
    /// Address space.
    pub memory_bytes: u64,
}

/// CPU seconds allowed per estimated one: presets between `veryfast` and `medium` differ by 2.7 (measured), machines by
/// more.
const CPU_FACTOR: f64 = 30.0;
/// CPU seconds allowed on top.
const CPU_BASE: f64 = 120.0;
/// Wall seconds per CPU second: a node may run more codecs than it has cores.
const WALL_FACTOR: f64 = 6.0;
/// Five tiers of 2160p at preset medium stay below this (measured 444 MB for 1080p alone; address space is about four times
/// resident memory).
const MEMORY_BYTES: u64 = 8 << 30;
/// Bytes allowed on top of what the rate caps permit.
const OUTPUT_BASE: u64 = 64 << 20;

/// The limits of one task.
#[must_use]
pub fn process(plan: &Plan, planned: &PlannedTask) -> ProcessLimits {
    let cpu_seconds = CPU_BASE + CPU_FACTOR * planned.cost;
    ProcessLimits {
        wall_seconds: cpu_seconds * WALL_FACTOR,
        cpu_seconds,
        silence_seconds: 120.0,
        output_bytes: output_bytes(plan, planned),
        memory_bytes: MEMORY_BYTES,
    }
}

fn output_bytes(plan: &Plan, planned: &PlannedTask) -> u64 {
    let seconds = plan.source_seconds() + 60.0;
    let rate: f64 = match &planned.work {
        Work::Video { tiers, .. } => {
            tiers.iter().map(|tier| f64::from(plan.tiers[*tier].max_rate)).sum()
        }
        Work::Audio(track) => f64::from(plan.audio[*track].bit_rate),
        Work::Images => 2_000_000.0,
        Work::Package { tier, .. } => f64::from(plan.tiers[*tier].max_rate) + 1_000_000.0,
    };
    // Twice the cap: VBV bounds the rate over a buffer, not over every second.
    OUTPUT_BASE + (rate / 8.0 * seconds * 2.0) as u64
}
