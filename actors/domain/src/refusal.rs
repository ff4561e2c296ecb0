//! Which sources are refused before any work is planned, and what the uploader is told.
//!
//! Invariant: what passes here can be planned without overflow: sizes, rates and timestamps are within bounds.

use crate::failure::Failure;
use crate::limits::Limits;
use crate::media::{ProbeFacts, Rational, VideoTrack};

/// Largest tick a source may carry, so that no difference of two overflows. Recordings of live streams may count from 1970.
const TICK_MAX: u64 = 1 << 60;

/// Refuses what cannot or may not be encoded.
///
/// # Errors
/// Permanent, with a stable code and a sentence for the uploader.
pub fn refuse(facts: &ProbeFacts, limits: &Limits) -> Result<(), Failure> {
    if facts.bytes == 0 {
        return Err(Failure::permanent("empty", "the file is empty"));
    }
    if facts.bytes > limits.upload_bytes_max {
        return Err(over("too-many-bytes", "bytes", facts.bytes, limits.upload_bytes_max));
    }
    if facts.streams > limits.streams_max {
        return Err(over("too-many-streams", "streams", facts.streams, limits.streams_max));
    }
    let Some(video) = &facts.video else {
        return Err(Failure::permanent(
            "no-video",
            "the file has no picture track that can be decoded; upload a video",
        ));
    };
    clock(video)?;
    size(video, limits)?;
    length(video, limits)
}

fn over(code: &str, what: &str, found: impl ToString, limit: impl ToString) -> Failure {
    let (found, limit) = (found.to_string(), limit.to_string());
    Failure::permanent(code, format!("the file has {found} {what}; at most {limit} are allowed"))
}

/// Timestamps that can be computed with.
fn clock(video: &VideoTrack) -> Result<(), Failure> {
    let part = 1..=i64::from(i32::MAX);
    let usable = |r: Rational| part.contains(&r.num) && part.contains(&r.den);
    let ticks = [video.start, video.end, video.largest_gap, video.silent_gap];
    let points = video.random_access.iter().flat_map(|point| [point.pts, point.dts]);
    let bounded = ticks.into_iter().chain(points).all(|tick| tick.unsigned_abs() <= TICK_MAX);
    if !usable(video.time_base) || !usable(video.frame_rate) || !bounded {
        return Err(Failure::permanent(
            "unreadable",
            "the timestamps of the file make no sense; export the video again",
        ));
    }
    if video.packets == 0 || video.end <= video.start {
        return Err(Failure::permanent("no-frames", "the file holds no pictures"));
    }
    Ok(())
}

fn size(video: &VideoTrack, limits: &Limits) -> Result<(), Failure> {
    let pixels = u64::from(video.width) * u64::from(video.height);
    if pixels > limits.pixels_max {
        let (width, height) = (video.width, video.height);
        return Err(Failure::permanent(
            "too-many-pixels",
            format!(
                "the picture is {width}x{height}; at most {} pixels are allowed",
                limits.pixels_max
            ),
        ));
    }
    if pixels == 0 {
        return Err(Failure::permanent("no-frames", "the file holds no pictures"));
    }
    Ok(())
}

fn length(video: &VideoTrack, limits: &Limits) -> Result<(), Failure> {
    let seconds = video.time_base.seconds(video.end - video.start);
    if seconds > limits.seconds_max {
        return Err(Failure::permanent(
            "too-long",
            format!(
                "the video is {:.1} h long; at most {:.1} h are allowed",
                seconds / 3600.0,
                limits.seconds_max / 3600.0
            ),
        ));
    }
    if video.packets > limits.frames_max {
        return Err(over("too-many-frames", "frames", video.packets, limits.frames_max));
    }
    let fps = video.frame_rate.as_f64();
    if fps > limits.frame_rate_max {
        return Err(Failure::permanent(
            "frame-rate",
            format!(
                "the video has {fps:.0} frames per second; at most {:.0} are allowed",
                limits.frame_rate_max
            ),
        ));
    }
    let gap = video.time_base.seconds(video.silent_gap);
    if gap > limits.gap_seconds_max {
        return Err(Failure::permanent(
            "timestamp-gap",
            format!(
                "the video stands still without sound for {gap:.0} s; at most {:.0} s are allowed",
                limits.gap_seconds_max
            ),
        ));
    }
    Ok(())
}
