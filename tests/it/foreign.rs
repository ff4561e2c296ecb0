//! Uploads that other programs made: unusual codecs and containers, sound that cannot be used, recordings that begin anywhere.
//!
//! Every clip is made by ffmpeg, goes through `jetreel transcode`, and is judged by ffmpeg and ffprobe. Without ffmpeg there is
//! nothing to try.

mod colours;
pub(crate) mod damage;
mod heads;
mod pictures;
mod sound;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::clips::{Run, jetreel, path, transcode};
use crate::harness::tools::there_is;

const LIMIT: Duration = Duration::from_secs(240);

/// A folder for clips; `None` (and a line that says so) where there is no ffmpeg.
fn studio() -> Option<TempDir> {
    there_is("ffmpeg").then(|| tempfile::tempdir().expect("a temporary folder"))
}

/// Runs ffmpeg with the words of `arguments`. A word `%` stands for the name of the output file.
fn make(folder: &Path, name: &str, arguments: &str) -> PathBuf {
    let file = folder.join(name);
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y"]).args(arguments.split_whitespace());
    let done = command.args(["-strict", "-2"]).arg(&file).stdin(Stdio::null()).output();
    let done = done.expect("ffmpeg can be started");
    assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
    file
}

/// A picture of moving things with a tone; `seconds` of it.
fn film(seconds: u32) -> String {
    format!(
        "-f lavfi -i testsrc2=size=320x240:rate=25:duration={seconds} \
         -f lavfi -i sine=frequency=440:sample_rate=48000:duration={seconds}"
    )
}

/// Output of `jetreel plan`.
fn planned(file: &Path) -> Value {
    let mut command = Command::new(jetreel());
    command.arg("plan").arg(file).arg("--json").env("PATH", path()).stdin(Stdio::null());
    let output = command.output().expect("jetreel can be started");
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("{}: {said}", file.display()))
}

/// A run that must end well.
fn accepted(file: &Path) -> Run {
    let run = transcode(file, LIMIT);
    assert_eq!(run.code, Some(0), "{}: {} {}", file.display(), run.json, run.err);
    run
}

fn warnings(json: &Value) -> Vec<String> {
    let list = json["warnings"].as_array().cloned().unwrap_or_default();
    list.iter().filter_map(|warning| warning.as_str().map(str::to_owned)).collect()
}

/// The largest tier's progressive file.
fn largest(run: &Run) -> PathBuf {
    let name = run.json["tiers"][0]["name"].as_str().expect("a tier").to_owned();
    run.out().join(format!("{name}.mp4"))
}

/// Frames of a picture that ffmpeg decodes.
fn frames(file: &Path) -> usize {
    let entries = "frame=best_effort_timestamp";
    let arguments = ["-v", "error", "-select_streams", "v:0", "-show_entries", entries];
    let output =
        Command::new("ffprobe").args(arguments).args(["-of", "csv=p=0"]).arg(file).output();
    let said = output.expect("ffprobe is beside ffmpeg").stdout;
    String::from_utf8_lossy(&said)
        .lines()
        .filter(|line| line.contains(|c: char| c.is_ascii_digit()))
        .count()
}

/// The sound of a file as mono samples at 8 kHz; `input` are options of ffmpeg for its decoder.
fn samples(file: &Path, input: &[&str]) -> Vec<f64> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error"]).args(input).arg("-i").arg(file);
    command.args(["-map", "0:a:0", "-f", "s16le", "-ac", "1", "-ar", "8000", "-"]);
    let bytes = command.stdin(Stdio::null()).output().expect("ffmpeg can be started").stdout;
    bytes.chunks_exact(2).map(|two| f64::from(i16::from_le_bytes([two[0], two[1]]))).collect()
}

/// How much two sounds are alike, from 0 to 1, over their common length.
fn likeness(one: &[f64], other: &[f64]) -> f64 {
    let common = one.len().min(other.len());
    let (one, other) = (&one[..common], &other[..common]);
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    product(one, other) / (product(one, one) * product(other, other)).sqrt().max(1.0)
}
