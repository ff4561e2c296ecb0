//! Limits of a codec process, derived from the plan: generous for honest work, finite for a bomb.
//!
//! The process may write no files, so there is no limit of scratch space.

use crate::codec::limits::Limits;
use crate::plan::x264;
use crate::plan::{Plan, PlannedTask, Work};

/// Limits that the parent of a codec process enforces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProcessLimits {
    /// Wall time in seconds.
    pub wall_seconds: f64,
    /// CPU time in seconds.
    pub cpu_seconds: f64,
    /// Longest time without progress in seconds.
    pub silence_seconds: f64,
    /// Bytes of all frames except reads. Each frame also counts [`FRAME_COST`].
    pub output_bytes: u64,
    /// Address space in bytes.
    pub memory_bytes: u64,
}

/// CPU seconds allowed per estimated second. Presets between `veryfast` and `medium` differ by 2.7 (measured), machines by more.
const CPU_FACTOR: f64 = 30.0;
/// CPU seconds allowed in addition.
const CPU_BASE: f64 = 120.0;
/// Wall seconds per CPU second. A node may run more codecs than it has cores.
const WALL_FACTOR: f64 = 6.0;
/// Bytes allowed in addition to the rate caps.
const OUTPUT_BASE: u64 = 64 << 20;
/// Bytes that each frame counts in addition to its own: the cost of processing even an empty one.
pub const FRAME_COST: u64 = 256;
/// Bytes that a probe may send. Its report also has its own bound.
const PROBE_OUTPUT: u64 = 4 << 20;
/// Bytes per pixel of a kept picture. Noise takes as many.
const KEPT_PIXEL_BYTES: f64 = 1.0;
/// Bytes of all images per second of the source.
const IMAGES_RATE: f64 = 250_000.0;
/// Bytes per second of a progressive file besides its pictures: audio and index.
const PACKAGE_RATE: f64 = 125_000.0;
/// Seconds by which results may exceed the probed duration.
const OUTPUT_SECONDS: f64 = 60.0;

/// Fewest bytes that a probe examines per CPU second: it reads an index or scans packets.
const PROBE_BYTES_PER_SECOND: f64 = 20e6;

/// The limits of one task.
#[must_use]
pub fn process(plan: &Plan, planned: &PlannedTask, limits: &Limits) -> ProcessLimits {
    let cpu_seconds = CPU_BASE + CPU_FACTOR * planned.cost;
    ProcessLimits {
        wall_seconds: cpu_seconds * WALL_FACTOR,
        cpu_seconds,
        silence_seconds: 120.0,
        output_bytes: output_bytes(plan, planned),
        memory_bytes: memory_bytes(work(plan, planned), limits),
    }
}

/// The limits of a probe of `source_bytes`. Nothing is known of the source yet, so its pictures may have any permitted size. The only
/// result is the report.
#[must_use]
pub fn probe(limits: &Limits, source_bytes: u64) -> ProcessLimits {
    let cpu_seconds = CPU_BASE + source_bytes as f64 / PROBE_BYTES_PER_SECOND;
    let work = index_bytes(limits.frames_max).saturating_add(decoder_bytes(limits.pixels_max));
    ProcessLimits {
        wall_seconds: cpu_seconds * WALL_FACTOR,
        cpu_seconds,
        silence_seconds: 60.0,
        output_bytes: PROBE_OUTPUT,
        memory_bytes: memory_bytes(work, limits),
    }
}

fn output_bytes(plan: &Plan, planned: &PlannedTask) -> u64 {
    let cap = |tier: usize| plan.tiers.get(tier).map_or(0.0, |tier| f64::from(tier.max_rate)) / 8.0;
    let whole = plan.seconds() + OUTPUT_SECONDS;
    let bytes = |work: &Work| match work {
        Work::Video { chunks, tiers, images } => {
            let rate: f64 = tiers.iter().map(|tier| cap(*tier)).sum();
            let kept = plan.images.filter(|_| *images).map_or(0.0, |images| {
                pixels(plan, images.tier) as f64 / plan.time_base.seconds(images.interval)
            });
            let seconds: f64 = chunks.iter().map(|chunk| plan.chunk_seconds(*chunk)).sum();
            (seconds + OUTPUT_SECONDS) * (rate + kept * KEPT_PIXEL_BYTES)
        }
        Work::Audio(track) => {
            whole * plan.audio.get(*track).map_or(0.0, |track| f64::from(track.bit_rate)) / 8.0
        }
        Work::Images => whole * IMAGES_RATE,
        Work::Package { tier, .. } => whole * (cap(*tier) + PACKAGE_RATE),
        // A batch contains no batch.
        Work::Batch(_) => 0.0,
    };
    let bytes: f64 = planned.work.pieces().iter().map(bytes).sum();
    // Twice the cap, because VBV bounds the rate over a buffer, not over every second.
    OUTPUT_BASE.saturating_add((bytes * 2.0) as u64)
}

/// The largest single allocation of libav, and the reserve above a task's estimated memory. So a process with less free memory than this
/// has really used it up, and a file that asks for more at once is corrupt. A plane of the largest permitted picture, at 16 bits with every
/// codec's alignment, takes a quarter of it.
#[must_use]
pub fn allocation_max(pixels_max: u64) -> u64 {
    pixels_max.saturating_mul(8).max(ALLOCATION_FLOOR)
}

const ALLOCATION_FLOOR: u64 = 128 << 20;

/// Address space of a codec process for any job, mostly libraries: 252 MB measured, and buffers of results.
const BASE_BYTES: u64 = 384 << 20;

/// Address space for work that is estimated at `work` bytes: half as much again, and one more large allocation. In measurements of seven
/// kinds of work from 360p to 2160p it is 2.4 to 5 times the used memory.
fn memory_bytes(work: u64, limits: &Limits) -> u64 {
    let expected = BASE_BYTES.saturating_add(work.saturating_mul(3) / 2);
    expected.saturating_add(allocation_max(limits.pixels_max))
}

/// Estimated bytes of a task's work at most.
fn work(plan: &Plan, planned: &PlannedTask) -> u64 {
    let video = plan.facts.video.as_ref();
    let packets = video.map_or(0, |video| video.packets);
    let work = |work: &Work| match work {
        Work::Video { tiers, .. } => {
            let source = video.map_or(0, |video| u64::from(video.width) * u64::from(video.height));
            let encoders: u64 = tiers.iter().map(|tier| encoder_bytes(plan, *tier)).sum();
            // Wide pixels and tiny pictures give frames that are larger than the source's pictures.
            let largest = tiers.iter().map(|tier| pixels(plan, *tier)).max().unwrap_or(0);
            decoder_bytes(source.max(largest)) + encoders
        }
        Work::Package { tier, .. } => decoder_bytes(pixels(plan, *tier)),
        Work::Audio(_) | Work::Images | Work::Batch(_) => 0,
    };
    index_bytes(packets) + planned.work.pieces().iter().map(work).max().unwrap_or(0)
}

/// Bytes of a demuxer's index per picture packet, including the audio packets and a copy while it grows.
const PACKET_BYTES: u64 = 200;

fn index_bytes(packets: u64) -> u64 {
    packets.saturating_mul(PACKET_BYTES)
}

/// Picture buffer of the highest level of H.264 and HEVC (6.2) in pixels. It bounds the number of large pictures that are kept; small ones
/// are bounded by their number.
const BUFFER_PIXELS: u64 = 696_320 * 256;
const BUFFER_PICTURES: u64 = 17;
/// Frames that may wait for an encoder in its own thread.
pub const FRAMES_WAITING: usize = 4;
/// Pictures that pass through filters at one time.
const PASSING_PICTURES: u64 = 3;
/// Bytes per pixel: 4:4:4 at 10 bits. The most common pictures have a quarter of it.
const PIXEL_BYTES: u64 = 6;
/// Sources may change their picture size up to this many pixels without exceeding the estimate.
const PIXELS_MIN: u64 = 1920 * 1088;

fn decoder_bytes(pixels: u64) -> u64 {
    let pixels = pixels.max(PIXELS_MIN);
    let passing = pixels.saturating_mul(PASSING_PICTURES);
    let kept = pixels.saturating_mul(BUFFER_PICTURES).min(BUFFER_PIXELS.saturating_add(passing));
    kept.saturating_mul(PIXEL_BYTES)
}

/// Bytes of x264 per pixel of its picture: for each waiting picture, and for each reference picture.
const WAITING_BYTES: u64 = 4;
const REFERENCE_BYTES: u64 = 8;
/// Reference pictures in addition to a preset's number, for B-pictures in a pyramid.
const PYRAMID_PICTURES: u32 = 2;
/// Bytes per pixel of a frame on its way to an encoder, rounded up.
const FRAME_BYTES: u64 = 2;

fn encoder_bytes(plan: &Plan, tier: usize) -> u64 {
    let preset = x264::named(&plan.preset);
    let (waiting, references) =
        (preset.pictures_ahead, u64::from(preset.references + PYRAMID_PICTURES));
    let queued = (FRAMES_WAITING as u64 + 1) * FRAME_BYTES;
    pixels(plan, tier) * (waiting * WAITING_BYTES + references * REFERENCE_BYTES + queued)
}

fn pixels(plan: &Plan, tier: usize) -> u64 {
    plan.tiers.get(tier).map_or(0, |tier| u64::from(tier.width) * u64::from(tier.height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Group, OrderId, TaskId, VideoId};
    use crate::plan::planner;
    use crate::sample;

    const GIB: u64 = 1 << 30;

    fn plan(width: u32, height: u32, preset: &str, tier: Option<&str>) -> Plan {
        let order = OrderId::new(VideoId::from_bits(1), 1);
        let mut facts = sample::facts();
        let video = facts.video.as_mut().unwrap();
        (video.width, video.height) = (width, height);
        let (preset, tiers) = (preset.to_owned(), tier.map(|tier| vec![tier.to_owned()]));
        let policy = crate::plan::policy::PlanPolicy { preset, tiers, ..sample::policy() };
        planner::plan(order, facts, &policy, &sample::limits(), "build", false).unwrap()
    }

    fn memory(plan: &Plan, group: Group) -> u64 {
        let planned = plan.task(TaskId::new(group, 0)).unwrap();
        process(plan, planned, &sample::limits()).memory_bytes
    }

    #[test]
    fn memory_follows_the_pictures_and_the_preset() {
        let small = memory(&plan(640, 360, "veryfast", None), Group::Main);
        let large = memory(&plan(1920, 1080, "veryfast", None), Group::Main);
        let slow = memory(&plan(1920, 1080, "veryslow", None), Group::Main);
        let sound = memory(&plan(1920, 1080, "veryfast", None), Group::Audio);
        assert!(sound < small && small < large && large < slow, "{sound} {small} {large} {slow}");
        assert!(sound < GIB && large < 2 * GIB && slow < 5 * GIB, "{sound} {large} {slow}");
    }

    /// Measured peaks of the address space in MB. The limits are more than twice as large.
    #[test]
    fn what_was_measured_fits_twice() {
        let uhd = plan(3840, 2160, "veryfast", Some("2160p"));
        assert!(memory(&uhd, Group::Top) > 2 * 1_380_000_000);
        let hd = plan(1280, 720, "slower", Some("720p"));
        assert!(memory(&hd, Group::Main) > 2 * 644_000_000);
        assert!(probe(&sample::limits(), 1 << 30).memory_bytes > 2 * 448_000_000);
    }

    #[test]
    fn a_probe_has_the_time_that_its_bytes_take_and_room_for_its_report() {
        let (small, large) = (probe(&sample::limits(), 0), probe(&sample::limits(), 10 << 30));
        assert!(small.cpu_seconds < 200.0 && large.cpu_seconds > 2.0 * small.cpu_seconds);
        assert_eq!((small.output_bytes, small.memory_bytes), (4 << 20, large.memory_bytes));
        assert!(small.memory_bytes < 6 * GIB, "{}", small.memory_bytes);
    }

    #[test]
    fn output_follows_the_seconds_of_the_task_and_not_those_of_the_source() {
        let plan = plan(1280, 720, "veryfast", None);
        let bytes = |group| {
            let planned = plan.task(TaskId::new(group, 0)).unwrap();
            process(&plan, planned, &sample::limits()).output_bytes
        };
        let (first, main) = (bytes(Group::First), bytes(Group::Main));
        let all: f64 = plan.tiers.iter().map(|tier| f64::from(tier.max_rate)).sum();
        let whole = OUTPUT_BASE + (all / 8.0 * 120.0 * 2.0) as u64;
        assert!(OUTPUT_BASE < first && first < main && main < whole, "{first} {main} {whole}");
    }

    #[test]
    fn no_limit_is_so_large_that_it_overflows() {
        let limits = Limits { pixels_max: u64::MAX, frames_max: u64::MAX, ..sample::limits() };
        assert_eq!(probe(&limits, u64::MAX).memory_bytes, u64::MAX);
    }
}
