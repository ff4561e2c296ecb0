//! Decides which sources are refused before any work is planned, with the reason for the uploader.
//!
//! Invariant: an accepted source can be planned without overflow: sizes, rates and timestamps are within bounds.

use crate::codec::lasting::Lasting;
use crate::codec::limits::Limits;
use crate::plan::media::{ProbeFacts, VideoTrack};
use crate::plan::rational::Rational;
use crate::words::failure::Failure;
use crate::words::reason::{ContentFault, FileFault, OverLimit, Reason};

/// Largest tick of a source, so that no difference of two overflows. Recordings of live streams may count from 1970.
const TICK_MAX: u64 = 1 << 60;

/// Refuses a source that cannot or may not be encoded.
///
/// # Errors
/// Permanent, with a stable code and a sentence for the uploader.
pub fn refuse(facts: &ProbeFacts, limits: &Limits) -> Result<(), Failure> {
    Ok(examine(facts, limits)?)
}

fn examine(facts: &ProbeFacts, limits: &Limits) -> Result<(), Reason> {
    if facts.bytes == 0 {
        return Err(FileFault::Empty.into());
    }
    if facts.bytes > limits.upload_bytes_max {
        let (found, limit) = (facts.bytes, limits.upload_bytes_max);
        return Err(OverLimit::Bytes { found, limit }.into());
    }
    if facts.streams > limits.streams_max {
        return Err(OverLimit::Tracks { limit: limits.streams_max }.into());
    }
    let Some(video) = &facts.video else {
        return Err(ContentFault::NoVideo { sounds: facts.audio.len(), cover: false }.into());
    };
    clock(video)?;
    size(video, limits)?;
    length(video, limits)
}

/// Checks that the timestamps can be computed with.
fn clock(video: &VideoTrack) -> Result<(), Reason> {
    let part = 1..=i64::from(i32::MAX);
    let usable = |r: Rational| part.contains(&r.num) && part.contains(&r.den);
    let Lasting { usual, last } = video.lasting;
    let ticks = [video.start, video.end, video.largest_gap, video.silent_gap, usual, last];
    let points = video.random_access.iter().flat_map(|point| [point.pts, point.dts]);
    let bounded = ticks.into_iter().chain(points).all(|tick| tick.unsigned_abs() <= TICK_MAX);
    if !usable(video.time_base) || !usable(video.frame_rate) || !bounded {
        return Err(FileFault::TimesMakeNoSense.into());
    }
    if video.packets == 0 || video.end <= video.start {
        return Err(ContentFault::NoPictures.into());
    }
    Ok(())
}

fn size(video: &VideoTrack, limits: &Limits) -> Result<(), Reason> {
    let pixels = u64::from(video.width) * u64::from(video.height);
    if pixels > limits.pixels_max {
        let (width, height, limit) = (video.width, video.height, limits.pixels_max);
        return Err(OverLimit::Pixels { width, height, limit }.into());
    }
    if pixels == 0 {
        return Err(ContentFault::NoPictures.into());
    }
    Ok(())
}

fn length(video: &VideoTrack, limits: &Limits) -> Result<(), Reason> {
    let seconds = video.time_base.seconds(video.end - video.start);
    if seconds > limits.seconds_max {
        return Err(OverLimit::Length { seconds, limit: limits.seconds_max }.into());
    }
    if video.packets > limits.frames_max {
        return Err(OverLimit::Frames { limit: limits.frames_max }.into());
    }
    let rate = video.frame_rate.as_f64();
    if rate > limits.frame_rate_max {
        return Err(OverLimit::FrameRate { rate, limit: limits.frame_rate_max }.into());
    }
    let seconds = video.time_base.seconds(video.silent_gap);
    if seconds > limits.gap_seconds_max {
        return Err(OverLimit::Pause { seconds, limit: limits.gap_seconds_max }.into());
    }
    Ok(())
}
