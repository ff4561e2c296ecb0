//! Decides whether a source may be cut at random-access points (class A) or is decoded in one go (class B).
//!
//! Class A holds the sources that were frame-exact under cutting in a corpus of 143 files; all others are class B. Class A is checked
//! again: seam hashes are compared, and a mismatch moves the source to class B.

use crate::plan::Class;
use crate::plan::h264;
use crate::plan::media::{ProbeFacts, VideoTrack};
use crate::plan::policy::PlanPolicy;

/// Demuxers with exact seeks. ASF, MXF, DV, AVI, FLV, Ogg and MPEG-PS seek by guesses, or by tables that recorders write carelessly.
const FORMATS: [&str; 5] = ["mov", "mp4", "matroska", "webm", "mpegts"];

/// Codecs with reliable random-access points. The others are decoded in one go: encoders of Cinepak, Indeo and the codecs of screen
/// recorders mark other pictures as keys, and codecs whose pictures are all keys are cheap to decode anyway.
const CODECS: [&str; 7] = ["h264", "hevc", "vp8", "vp9", "av1", "mpeg2video", "mpeg4"];

/// The class of a source with the reason as a sentence.
#[must_use]
pub fn classify(facts: &ProbeFacts, policy: &PlanPolicy) -> (Class, String) {
    let Some(video) = &facts.video else {
        return (Class::B, "there is no picture track".to_owned());
    };
    match doubt(facts, video, policy) {
        Some(doubt) => (Class::B, format!("decoded in one go: {doubt}")),
        None => {
            let points = video.random_access.len();
            (Class::A, format!("cut at random-access points, of which {points} are known"))
        }
    }
}

/// The first reason not to cut; `None` if there is none.
fn doubt(facts: &ProbeFacts, video: &VideoTrack, policy: &PlanPolicy) -> Option<String> {
    let format = &facts.format;
    if !format.split(',').any(|name| FORMATS.contains(&name)) {
        return Some(format!("seeking in the format {format} is not exact"));
    }
    if !CODECS.contains(&video.codec.as_str()) {
        return Some(format!("key pictures of {} cannot be relied on", video.codec));
    }
    if !video.monotonic {
        return Some("timestamps are missing or go back".to_owned());
    }
    if !video.continued.is_empty() {
        return Some("the picture changes its stream in the middle of the file".to_owned());
    }
    if video.media_edits > 1 {
        return Some(format!("the edit list has {} edits", video.media_edits));
    }
    if video.descriptions != 1 {
        return Some(format!("the track has {} sample descriptions", video.descriptions));
    }
    let odd = video.codec == "h264" && h264::is_444(video.profile);
    if odd && video.decoder_options.is_empty() {
        return Some(
            "it is not certain how the 4:4:4 pictures of this stream are coded".to_owned(),
        );
    }
    sparse(video, policy)
}

/// Random-access points that are too far apart or out of order.
fn sparse(video: &VideoTrack, policy: &PlanPolicy) -> Option<String> {
    let points = &video.random_access;
    if points.is_empty() {
        return Some("no random-access point is known".to_owned());
    }
    if !points.windows(2).all(|pair| pair[0].pts < pair[1].pts && pair[0].dts < pair[1].dts) {
        return Some("random-access points are out of order".to_owned());
    }
    let inner =
        points.iter().map(|point| point.pts).filter(|pts| (video.start..video.end).contains(pts));
    let mut last = video.start;
    let mut longest = 0;
    for pts in inner.chain([video.end]) {
        longest = longest.max(pts - last);
        last = pts;
    }
    let seconds = video.time_base.seconds(longest);
    // Every chunk is decoded from the point before it. At most twice the longest chunk may be decoded in vain.
    let limit = 2.0 * policy.chunk_seconds_max;
    (seconds > limit).then(|| {
        format!("random-access points are up to {seconds:.0} s apart, more than {limit:.0} s")
    })
}
