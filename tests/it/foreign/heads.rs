//! Recordings that begin in the middle of a group of pictures.

use std::path::{Path, PathBuf};

use super::{accepted, film, frames, largest, make, studio, warnings};
use crate::clips::transcode;

/// A recording of which the first 20 packets of the picture are gone.
fn headless(
    folder: &std::path::Path,
    name: &str,
    seconds: u32,
    options: &str,
) -> std::path::PathBuf {
    let whole = make(folder, &format!("whole-{name}"), &format!("{} {options}", film(seconds)));
    // A shell would need the backslash that keeps the comma inside the expression.
    let cut = format!(r"-i {} -c copy -bsf:v noise=drop=lt(n\,20)", whole.display());
    make(folder, name, &cut)
}

#[test]
fn a_recording_that_begins_without_a_key_picture_is_decoded_from_the_first_one() {
    let Some(studio) = studio() else { return };
    let cases = [
        // The edit list names a picture that no key leads to.
        ("plain.mp4", 4, "-c:v libx264 -g 50 -bf 0 -pix_fmt yuv420p -c:a aac", 50, 1.2),
        ("reordered.mp4", 4, "-c:v libx264 -g 50 -pix_fmt yuv420p -c:a aac", 50, 1.2),
        // More pictures are lost than damage is allowed.
        ("long.mp4", 12, "-c:v libx264 -g 250 -bf 0 -pix_fmt yuv420p -c:a aac", 50, 9.2),
        ("long.ts", 12, "-c:v libx264 -g 250 -pix_fmt yuv420p -c:a aac", 50, 9.2),
    ];
    for (name, seconds, options, expected, lost) in cases {
        let clip = headless(studio.path(), name, seconds, options);
        assert_eq!(frames(&clip), expected, "{name}: ffmpeg itself");
        let run = accepted(&clip);
        assert_eq!(run.json["source"]["frames"], expected, "{name}: {}", run.json);
        let told = format!(
            "The video does not begin with a key picture: no picture of its first {lost:.1} s can be decoded."
        );
        assert_eq!(warnings(&run.json), [told], "{name}");
        assert!(frames(&largest(&run)) >= expected, "{name}");
    }
}

#[test]
fn a_recording_without_any_key_picture_is_refused_and_told_why() {
    let Some(studio) = studio() else { return };
    for (name, options) in [("none.mp4", "-bf 0"), ("none-reordered.mp4", "")] {
        let options = format!("-c:v libx264 {options} -pix_fmt yuv420p -c:a aac");
        let run = transcode(&headless(studio.path(), name, 4, &options), super::LIMIT);
        let reason = run.refusal().expect("refused");
        assert!(
            reason.starts_with("no-frames: ") && reason.contains("no key picture"),
            "{name}: {reason}"
        );
    }
}

/// Film that begins behind its first key picture, from a file of `take` seconds, by `options`.
fn keyless(folder: &Path, name: &str, options: &str) -> PathBuf {
    let whole = make(folder, &format!("whole-{name}"), &format!("{} {options}", film(8)));
    let cut = r"-copyinkf -c copy -bsf:v noise=drop=lt(n\,20)";
    make(folder, name, &format!("-i {} {cut}", whole.display()))
}

#[test]
fn pictures_that_need_others_which_are_not_there_are_told_of() {
    let Some(studio) = studio() else { return };
    let never = "The video has no key picture: its pictures are incomplete. If it was cut out of a longer video, export it from that \
                 one again.";
    let soon = "The video does not begin with a key picture: the pictures of its first 3.2 s are incomplete.";
    let x265 = "-c:v libx265 -x265-params log-level=none:bframes=0:scenecut=0";
    for (name, codec, group, expected) in [
        ("hevc.mkv", x265, 500, never),
        ("hevc-later.mkv", x265, 100, soon),
        ("mpeg4.mkv", "-c:v mpeg4 -sc_threshold 1000000000", 500, never),
        ("flv1.flv", "-c:v flv -sc_threshold 1000000000", 500, never),
        ("wmv2.mkv", "-c:v wmv2 -sc_threshold 1000000000", 100, soon),
        ("theora.mkv", "-c:v libtheora", 500, never),
    ] {
        let options = format!("{codec} -g {group} -pix_fmt yuv420p -an");
        let clip = keyless(studio.path(), name, &options);
        let told = warnings(&accepted(&clip).json);
        assert!(told.iter().any(|warning| warning == expected), "{name}: {told:?}");
    }
    // Nothing is missing.
    let whole = warnings(&accepted(&studio.path().join("whole-hevc-later.mkv")).json);
    assert_eq!(whole, ["The video has no sound."]);
}
