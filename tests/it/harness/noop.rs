//! The codec that encodes nothing: at once, or after a part of the recorded service times.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::path::{Path, PathBuf};

use super::fake_codec::fixture;

/// Settings of a node whose codec works so many times as fast as recorded. Pictures only, of one size: every task takes about as long.
pub(crate) fn settings(folder: &Path, speed: u32) -> [(&'static str, String); 4] {
    let program = program(folder, speed);
    [
        ("CODEC__PATH", program.to_str().unwrap().to_owned()),
        ("CODEC__CONFINEMENT", "none".to_owned()),
        ("PLAN__IMAGES", "false".to_owned()),
        ("PLAN__PACKAGE", "false".to_owned()),
    ]
}

/// That codec, under the name that tells its speed.
pub(crate) fn program(folder: &Path, speed: u32) -> PathBuf {
    let place = folder.join(format!("noop_codec-x{speed}"));
    if !place.exists() {
        std::os::unix::fs::symlink(fixture("noop_codec"), &place).unwrap();
    }
    place
}

/// A source of that codec: pictures of 426x240, a random-access point every two seconds.
pub(crate) fn source(seconds: u32) -> Vec<u8> {
    let line =
        format!("jetreel-noop seconds={seconds} rate=25 width=426 height=240 key=2 sound=0\n");
    let boxes: [(&[u8], &[u8]); 2] =
        [(b"ftyp", b"iso6\0\0\0\0iso6cmfc"), (b"free", line.as_bytes())];
    let length = |content: &[u8]| u32::try_from(8 + content.len()).unwrap().to_be_bytes();
    boxes.iter().flat_map(|(kind, content)| [&length(content), *kind, *content].concat()).collect()
}
