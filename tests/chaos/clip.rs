//! The clip of the campaign: a second of picture and sound.

use super::media::Recipe;

/// Costs next to nothing.
pub(crate) const TINY: Recipe = Recipe {
    name: "tiny-1s.mp4",
    arguments: &[
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=170x96:rate=25:duration=1",
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=440:sample_rate=48000:duration=1",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-ac",
        "2",
    ],
    frames: 25,
};
