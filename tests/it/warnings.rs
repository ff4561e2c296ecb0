//! Warnings about a video: the same sentences in the job, the manifest and on the command line.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::clips::jetreel;
use crate::foreign::damage::zeroed;
use crate::harness::media::{self, FILM, Recipe};
use crate::harness::node::Node;
use crate::harness::site::Site;

/// A video without audio.
const SILENT: Recipe = Recipe {
    name: "silent-1s.mp4",
    arguments: &[
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=320x180:rate=25:duration=1",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
    ],
    frames: 25,
};

/// Runs the product. Returns its data and its messages.
async fn told(node: &Node, words: &[&str]) -> (String, String) {
    let mut command = Command::new(jetreel());
    command.args(words).args(["--url", &node.url("")]).stdin(Stdio::null());
    let output = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (data, messages) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{data}{messages}");
    (data, messages)
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warning_reaches_whoever_asks_for_the_video() {
    let Some(film) = media::made(SILENT) else { return };
    reaches_everybody(&film, "no sound").await;
}

/// Only the encoding detects it.
#[tokio::test(flavor = "multi_thread")]
async fn what_encoding_lost_reaches_whoever_asks_for_the_video() {
    let Some(film) = media::made(FILM) else { return };
    let folder = tempfile::tempdir().unwrap();
    let damaged = folder.path().join("damaged.mp4");
    std::fs::copy(film, &damaged).unwrap();
    zeroed(&damaged, "a:0", 9.0, 30.0);
    reaches_everybody(&damaged, "about 21 seconds of it cannot be decoded").await;
}

async fn reaches_everybody(film: &Path, words: &str) {
    let site = Site::start().await;
    let node = site.node("one", &[]).await;
    let (data, messages) = told(&node, &["submit", film.to_str().unwrap(), "--wait"]).await;
    let video = data.trim().rsplit('/').next().unwrap();

    let job = node.json(&format!("/v1/jobs/{video}")).await;
    let warnings = strings(&job["warnings"]);
    assert!(warnings.iter().any(|text| text.contains(words)), "{job}");
    let manifest = node.json(&format!("/v/{video}/manifest.json")).await;
    assert_eq!(strings(&manifest["source"]["warnings"]), warnings);
    let (status, _) = told(&node, &["status", video]).await;
    for warning in warnings {
        let note = format!("note: {warning}");
        assert!(status.lines().any(|line| line == note), "{status}");
        assert!(messages.lines().any(|line| line == note), "{messages}");
    }
    let last = messages.lines().rfind(|line| line.contains("total"));
    assert!(last.is_some_and(|line| line.starts_with("completed") && line.ends_with("total 100%")));
}
