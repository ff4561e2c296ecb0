//! Messages for users: a refused file gives one line of plain sentences without technical words, and the notes on a completed video.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use jetreel_domain::words::printable;
use jetreel_domain::words::sentence;
use serde_json::Value;
use tempfile::TempDir;

use crate::clips::{jetreel, path, transcode};
use crate::harness::media::{self, Recipe, SHORT, SOUND_ALONE};
use crate::harness::tools::there_is;

const FORMATS: &str = "MP4, MOV, MKV, WebM";
const CODECS: &str = "H.264, HEVC, VP9 or AV1";

const PICTURE: &[&str] = &["-f", "lavfi", "-i", "testsrc2=size=64x64:rate=5:duration=1"];

/// A codec for single pictures, which no camera writes.
const TARGA: Recipe = Recipe {
    name: "targa-1s.mov",
    arguments: &[PICTURE[0], PICTURE[1], PICTURE[2], PICTURE[3], "-c:v", "targa"],
    frames: 5,
};

const WAVE: Recipe = Recipe {
    name: "sound-1s.wav",
    arguments: &["-f", "lavfi", "-i", "sine=duration=1"],
    frames: 0,
};

/// Files, the code of their refusal, and what its sentences must name.
fn refused(folder: &Path) -> Option<Vec<(PathBuf, &'static str, [&'static str; 2])>> {
    let write = |name: &str, bytes: &[u8]| {
        let file = folder.join(name);
        std::fs::write(&file, bytes).unwrap();
        file
    };
    let whole = std::fs::read(media::made(SHORT)?).unwrap();
    Some(vec![
        (write("empty.mp4", b""), "empty", ["empty", "Upload"]),
        (write("list.mp4", b"#EXTM3U\nhttp://a/b.ts\n"), "unknown-format", ["playlist", "itself"]),
        (write("text.mp4", &[b'a'; 9000]), "unknown-format", ["not recognised", FORMATS]),
        (media::made(WAVE)?, "unknown-format", ["WAV", FORMATS]),
        (media::made(TARGA)?, "unsupported-codec", ["Targa", CODECS]),
        (media::made(SOUND_ALONE)?, "no-video", ["1 sound track", "Upload"]),
        (write("cut.mp4", &whole[..whole.len() / 2]), "unreadable", ["index", "Upload it again"]),
    ])
}

#[test]
fn a_refusal_is_one_line_that_says_what_why_and_what_next() {
    let folder = TempDir::new().unwrap();
    let Some(files) = refused(folder.path()) else { return };
    for (file, code, named) in files {
        for arguments in [&["transcode"][..], &["transcode", "--json"], &["plan"]] {
            let (said, out) = run(&file, arguments, folder.path());
            // Progress comes before it without --json.
            let progress = |line: &&str| line.chars().all(char::is_alphabetic);
            let lines: Vec<&str> = said.lines().filter(|line| !progress(line)).collect();
            let [line] = lines[..] else { panic!("{arguments:?} {code}: {said}") };
            let line = line.strip_prefix("error: ").expect("the line says what it is");
            let (message, bracket) = line.rsplit_once(" [").expect("the code comes last");
            assert_eq!(bracket, format!("{code}]"), "{line}");
            assert_eq!(sentence::check_plain(message), Ok(()));
            assert!(named.iter().all(|name| message.contains(name)), "{message}");
            if arguments.contains(&"--json") {
                let printed: Value = serde_json::from_str(&out).unwrap();
                assert_eq!(printed["error"]["message"], message);
                assert_eq!(printed["error"]["code"], code);
            } else {
                assert_eq!(out, "", "{arguments:?}");
            }
        }
    }
}

/// Runs a command that must end with the code for refused media: messages and data.
fn run(file: &Path, arguments: &[&str], folder: &Path) -> (String, String) {
    let mut command = Command::new(jetreel());
    command.args(arguments).arg(file);
    if arguments.contains(&"transcode") {
        command.arg("--out").arg(folder.join("out"));
    }
    command.env("PATH", path()).current_dir(folder).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (said, out) = (text(output.stderr), text(output.stdout));
    assert_eq!(output.status.code(), Some(2), "{said}{out}");
    (said, out)
}

#[test]
fn what_a_file_says_of_itself_moves_no_cursor() {
    // Clears the screen, by an escape sequence and by its one-character form; then turns the text around.
    const HOSTILE: &str = "\u{1b}[2J\u{9b}2J\u{202e}x";
    let folder = TempDir::new().unwrap();
    let clip = folder.path().join(format!("{HOSTILE}.mkv"));
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error"]).args(PICTURE);
    command.args(["-f", "lavfi", "-i", "sine=duration=1", "-map", "0", "-map", "1", "-map", "1"]);
    command.args(["-c:v", "libx264", "-c:a", "aac"]);
    for key in ["-metadata", "-metadata:s:a:0", "-metadata:s:a:1"] {
        command.args([key, &format!("title={HOSTILE}"), key, &format!("language={HOSTILE}")]);
    }
    let Ok(status) = command.arg(&clip).stdin(Stdio::null()).status() else { return };
    assert!(status.success());
    let missing = folder.path().join(format!("{HOSTILE}.mp4"));
    let out = folder.path().join("out");
    let [clip, missing, out] = [&clip, &missing, &out].map(|path| path.to_str().unwrap());
    for (arguments, expected) in [
        (&["plan", clip][..], "note: Only 1 of 2 sound tracks"),
        (&["plan", clip, "--json"], "Only 1 of 2 sound tracks"),
        (&["transcode", clip, "--out", out], "note: Only 1 of 2 sound tracks"),
        (&["plan", missing], "error: "),
    ] {
        let mut command = Command::new(jetreel());
        command.args(arguments).args(["--set", "limits.audio-tracks-max=1"]);
        let output = command.env("PATH", path()).current_dir(folder.path()).output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        let text = text.concat();
        assert!(text.contains(expected), "{text:?}");
        let acts = |c: char| c != '\n' && !printable::is_printable(c);
        assert!(!text.contains(acts), "{text:?}");
    }
}

#[test]
fn subtitles_that_are_left_out_are_named() {
    if !there_is("ffmpeg") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let text = folder.path().join("words.srt");
    std::fs::write(&text, "1\n00:00:00,000 --> 00:00:00,900\nWords\n").unwrap();
    let clip = folder.path().join("subtitled.mkv");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error"]).args(PICTURE);
    for _ in 0..2 {
        command.arg("-i").arg(&text);
    }
    command.args(["-map", "0", "-map", "1", "-map", "2", "-c:v", "libx264", "-c:s", "srt"]);
    command.args(["-metadata:s:s:0", "language=eng", "-metadata:s:s:1", "language=ger"]);
    assert!(command.arg(&clip).stdin(Stdio::null()).status().unwrap().success());
    let done = transcode(&clip, Duration::from_secs(120));
    assert_eq!(done.code, Some(0), "{} {}", done.json, done.err);
    let warnings: Vec<&str> = done.json["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| warning.as_str().unwrap())
        .collect();
    let subtitles =
        "The file has 2 subtitle tracks (de and en); subtitles are not carried over yet.";
    assert!(warnings.contains(&subtitles), "{warnings:?}");
    for warning in warnings {
        assert_eq!(sentence::check_plain(warning), Ok(()));
    }
}

#[test]
fn a_second_video_track_is_named_and_a_cover_picture_is_not() {
    if !there_is("ffmpeg") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let clip = folder.path().join("two.mp4");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error"]).args(PICTURE);
    command.args(["-f", "lavfi", "-i", "testsrc2=size=96x48:rate=5:duration=1"]);
    command.args(["-f", "lavfi", "-i", "color=red:size=32x32:rate=1:duration=1"]);
    command.args(["-map", "0", "-map", "1", "-map", "2", "-c:v", "libx264", "-c:v:2", "mjpeg"]);
    command.args(["-pix_fmt:v:2", "yuvj420p", "-disposition:v:1", "0"]);
    command.args(["-disposition:v:2", "attached_pic"]);
    assert!(command.arg(&clip).stdin(Stdio::null()).status().unwrap().success());
    let mut command = Command::new(jetreel());
    command.args(["plan", "--json"]).arg(&clip).env("PATH", path());
    let output = command.current_dir(folder.path()).stdin(Stdio::null()).output().unwrap();
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    let warnings = plan["warnings"].as_array().unwrap();
    let of_tracks = warnings.iter().filter_map(Value::as_str).filter(|w| w.contains("ideo track"));
    let expected = "Video track 2 (96×48, h264) is left out: only one video track is used. To keep it, upload it as a file of its own.";
    assert_eq!(of_tracks.collect::<Vec<_>>(), [expected], "{plan}");
}
