//! Recordings that were cut, joined or written by others: without encoding, without all times, without an end.

use super::patch::Patch;
use super::recipe::Clip;
use super::take::{Sound, Take};

/// Fragments that can be moved.
const AGAIN: &str = "frag_keyframe+empty_moov+delay_moov+default_base_moof";
/// Movie fragments.
const FRAGMENTS: [&str; 2] = ["-movflags", "frag_keyframe+empty_moov+delay_moov"];

/// All clips of the kind.
pub(super) fn clips() -> Vec<Clip> {
    let mut all = program_streams();
    all.extend(cuts());
    all.extend(firsts());
    all.push(Clip::patched("mp4 edits that last no time", Take::new("mp4", 8.0), Patch::NoEdit));
    all
}

/// Several pictures share a packet, which has one timestamp.
fn program_streams() -> Vec<Clip> {
    let small = ["-q:v", "31", "-g", "12"];
    let take = |begin, seconds| {
        let sound = vec![Sound::new("ac3", 48_000, "stereo")];
        let take = Take::new("vob", seconds).begin(begin).codec("mpeg2video").sounds(sound);
        take.size(160, 90).with(&[&small[..], &["-bf", "2"]].concat())
    };
    vec![
        Clip::of("vob several pictures in a packet", take(0.0, 24.0)).pictures(600),
        Clip::joined("vob several pictures, joined", vec![take(0.0, 8.0), take(8.0, 8.0)], 0)
            .pictures(400),
    ]
}

/// Copies that begin at the key picture before the cut.
fn cuts() -> Vec<Clip> {
    let before_zero = ["-avoid_negative_ts", "disabled"];
    let negative = |name: &str, take: Take| {
        Clip::copied(name, take, "mkv", (&["-ss", "4.3"], &before_zero), -4.0)
            // The sound begins a little before the key picture.
            .expecting(|expected| expected.slack = 0.25)
    };
    let joined = |container: &'static str| {
        let take = || Take::new("mp4", 7.0);
        // Behind the second key picture, and behind the first one.
        let parts = vec![(take(), 0.0, 5.02), (take(), 3.31, 6.5), (take(), 1.31, 6.5)];
        let name = format!("{container} cut and joined between key pictures");
        let clip = Clip::cut(&name, parts, container).warned("such pictures are left out");
        // A few pictures that are decoded before the cut are shown behind it.
        clip.expecting(|expected| expected.slack = 0.15)
    };
    vec![
        negative("mkv before time 0", Take::new("mkv", 14.0)).pictures(250),
        negative("mkv before time 0, hevc", Take::new("mkv", 14.0).codec("libx265")),
        joined("mp4"),
        joined("mkv"),
        joined("flv"),
    ]
}

/// Joined files of containers that end with their first recording.
fn firsts() -> Vec<Clip> {
    let pair = |take: &dyn Fn(f64) -> Take| vec![take(0.0), take(7.0)];
    let windows = |begin| {
        let sound = vec![Sound::new("wmav2", 44_100, "stereo")];
        Take::new("wmv", 7.0).begin(begin).codec("wmv2").sounds(sound)
    };
    let mp4 = |begin| Take::new("mp4", 7.0).begin(begin);
    let fast = |begin| mp4(begin).with(&["-movflags", "faststart"]);
    let material = |begin| {
        let sound = vec![Sound::new("pcm_s16le", 48_000, "stereo")];
        Take::new("mxf", 7.0).begin(begin).codec("mpeg2video").sounds(sound)
    };
    let fragments = |begin| mp4(begin).with(&FRAGMENTS);
    let whole = Take::new("mp4", 12.0).with(&["-movflags", AGAIN]);
    vec![
        Clip::patched("mp4 in fragments, each with its header", whole, Patch::InitAgain),
        Clip::first_of("mp4 joined", pair(&mp4)),
        Clip::first_of("mp4 joined, index first", pair(&fast)),
        Clip::first_of("mp4 in fragments, joined", pair(&fragments)),
        Clip::first_of("wmv joined", pair(&windows)),
        Clip::first_of("mxf joined", pair(&material)),
    ]
}
