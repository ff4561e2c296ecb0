//! Estimated cost of work in CPU seconds, for backlog and progress.
//!
//! Only proportions matter: on another machine all costs differ by the same factor.

use crate::plan::framerate::FrameRule;
use crate::plan::ladder::TierPlan;
use crate::plan::media::VideoTrack;
use crate::plan::x264;

/// CPU seconds per pixel that x264 needs at preset veryfast: 132 frames of 1280x720 took 2.8 s.
const ENCODE: f64 = 2.8 / (132.0 * 1280.0 * 720.0);

/// CPU seconds per source pixel of decoding and scaling: a sixth of the encoding of the same picture.
const DECODE: f64 = ENCODE / 6.0;

/// CPU seconds per second of audio: decoding, resampling and AAC run at about a hundred times real time.
const SOUND: f64 = 0.01;

/// CPU seconds to compose one thumbnail into a sheet.
const PICTURE: f64 = 0.01;

/// CPU seconds per second of video to copy samples into a file.
const COPY: f64 = 0.002;

/// Cost of every task besides its work: starting, confining and ending a process.
pub(crate) const START: f64 = 0.2;

/// Frames per second of a standing picture: it is encoded again once in a group of pictures of two seconds.
const STILL_RATE: f64 = 0.5;

/// Seconds of moving pictures that cost as much as `moving` seconds of them and `standing` seconds of a standing picture.
#[must_use]
pub fn picture_seconds(video: &VideoTrack, moving: f64, standing: f64) -> f64 {
    let fps = video.frame_rate.as_f64().max(STILL_RATE);
    moving.max(0.0) + standing.max(0.0) * STILL_RATE / fps
}

/// Cost of encoding `seconds` of `video` as `tiers`.
#[must_use]
pub fn video(video: &VideoTrack, seconds: f64, tiers: &[&TierPlan], preset: &str) -> f64 {
    let fps = video.frame_rate.as_f64().max(STILL_RATE);
    let decode = pixels(video.width, video.height) * fps * DECODE * decode_factor(&video.codec);
    let rate = |tier: &TierPlan| rate(tier, video).max(STILL_RATE);
    let encode = |tier: &&TierPlan| pixels(tier.width, tier.height) * rate(tier) * ENCODE;
    let encode: f64 = tiers.iter().map(encode).sum();
    START + seconds.max(0.0) * (decode + encode * x264::named(preset).cpu)
}

/// Cost of encoding an audio track.
#[must_use]
pub fn audio(seconds: f64) -> f64 {
    START + seconds.max(0.0) * SOUND
}

/// Cost of composing thumbnails.
#[must_use]
pub fn images(pictures: f64) -> f64 {
    START + pictures.max(0.0) * PICTURE
}

/// Cost of writing a progressive file, and of decoding it if it is verified.
#[must_use]
pub fn package(video: &VideoTrack, seconds: f64, tier: &TierPlan, verify: bool) -> f64 {
    let rate = rate(tier, video).max(STILL_RATE);
    let decode = pixels(tier.width, tier.height) * rate * DECODE;
    START + seconds.max(0.0) * (COPY + if verify { decode } else { 0.0 })
}

/// Frames per second that a tier keeps.
#[must_use]
pub fn rate(tier: &TierPlan, video: &VideoTrack) -> f64 {
    let fps = video.frame_rate.as_f64();
    if tier.rule == FrameRule::ALL {
        return fps;
    }
    // The rule keeps a frame once `spacing` has passed since the last one: every n-th frame.
    let every = (video.time_base.seconds(tier.rule.spacing) * fps - 0.001).ceil();
    fps / every.max(1.0)
}

fn pixels(width: u32, height: u32) -> f64 {
    f64::from(width) * f64::from(height)
}

/// Newer codecs take about twice as long to decode.
fn decode_factor(codec: &str) -> f64 {
    if matches!(codec, "hevc" | "vp9" | "av1") { 2.0 } else { 1.0 }
}
