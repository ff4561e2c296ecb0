//! The command line as a person meets it who has not read the documentation: what it refuses, and how it says so.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod transcode;

use std::path::Path;
use std::process::{Command, Stdio};

use crate::clips::{jetreel, path};

/// What a command printed, and its exit code.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs the product in a folder to its end.
fn said(folder: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(jetreel());
    command.args(arguments).env("PATH", path()).current_dir(folder).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn a_mistake_in_the_command_line_is_named_with_what_is_right() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("clips")).unwrap();
    std::fs::write(folder.path().join("clip.mp4"), "no video").unwrap();
    let tiers = ["transcode", "clip.mp4", "--out", "out", "--tiers", "240p, 144p"];
    for (words, code, named) in [
        // The path stays as the person wrote it.
        (&["submit", "clips"][..], 1, &["path clips is a folder", "video file"][..]),
        (&tiers, 2, &["\"144p\"", "240p, 360p, 480p", "--tiers"]),
        (&["dev", "--data", "clip.mp4/x"], 1, &["clip.mp4/x/media", "--data", "ot a directory"]),
        (&["streams", "plan"], 6, &["--data", "nats.url"]),
    ] {
        let Said { code: found, err, .. } = said(folder.path(), words);
        assert_eq!(found, Some(code), "{words:?}: {err}");
        assert!(named.iter().all(|name| err.contains(name)), "{words:?}: {err}");
    }
}
