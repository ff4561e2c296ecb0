//! Hostile media: every file through one long-lived node, all at once. Each job ends within a bound, nothing outside is read
//! or called, and the node goes on working.
//!
//! Needs `JETREEL_MEDIA`, as the conformance of clips does. The crafted files are made afresh, so that they point at a canary
//! file and a canary server of this test.

mod canary;
mod node;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use canary::{Canary, leaks};
use node::Node;
use serde_json::Value;

use crate::clips::{Clip, Expected, folder, list};

/// For all files together.
const LIMIT: Duration = Duration::from_secs(600);

/// Text of the crafted metadata that must never reach a page as it is.
const INJECTED: [&str; 2] = ["<script>alert(1)", "<img src=x onerror"];

#[test]
fn no_hostile_file_harms_the_node() {
    let Some(media) = folder() else {
        println!("skipped: JETREEL_MEDIA names no folder with a MANIFEST.tsv");
        return;
    };
    let canary = Canary::new();
    let crafted = tempfile::tempdir().expect("a temporary folder");
    craft(&media, crafted.path(), &canary);
    let clips = aimed(list(&media, "hostile/"), crafted.path());
    let mut node = Node::start();
    let (verdicts, problems) = submit_all(&node, &clips);
    println!("{}", verdicts.join("\n"));
    assert!(node.is_alive(), "the node died: {}", node.log());
    let (touched, visible) = canary.touched();
    println!("reads of the canary file are {} here", if visible { "seen" } else { "not seen" });
    let leaked = leaks(node.folder());
    assert!(touched.is_empty(), "{touched:?}");
    assert!(leaked.is_empty(), "the canary file's text is in {leaked:?}");
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
    good_clip_still_works(&node, &media);
}

fn craft(media: &Path, to: &Path, canary: &Canary) {
    let script = media.join("hostile/crafted/mkhostile.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(to).arg(canary.file()).arg(canary.url());
    let done = command.output().expect("python3 can be started");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// The list, with the crafted files replaced by those that point at this test's canary.
fn aimed(mut clips: Vec<Clip>, crafted: &Path) -> Vec<Clip> {
    for clip in &mut clips {
        let own: PathBuf = crafted.join(clip.short());
        if clip.name.starts_with("hostile/crafted/files/") && own.is_file() {
            clip.path = own;
        }
    }
    clips
}

fn submit_all(node: &Node, clips: &[Clip]) -> (Vec<String>, Vec<String>) {
    let deadline = Instant::now() + LIMIT;
    let jobs: Vec<_> = clips.iter().map(|clip| (clip, node.submit(&clip.path))).collect();
    let (mut verdicts, mut problems) = (Vec::new(), Vec::new());
    for (clip, job) in jobs {
        let outcome = match job {
            Err(refusal) if refusal.starts_with('4') => Ok(format!("refused at once: {refusal}")),
            Err(failure) => Err(failure),
            Ok(job) => node.ended(&job, deadline).and_then(|end| judge(node, clip, &job, &end)),
        };
        match outcome {
            Ok(verdict) => verdicts.push(format!("{}: {verdict}", clip.short())),
            Err(problem) => problems.push(format!("{}: {problem}", clip.short())),
        }
    }
    (verdicts, problems)
}

fn judge(node: &Node, clip: &Clip, job: &str, end: &Value) -> Result<String, String> {
    let status = end["status"].as_str().unwrap_or_default();
    let error = &end["error"];
    if status == "COMPLETED" && clip.expected == Expected::Refused {
        return Err("must be refused".to_owned());
    }
    if status == "FAILED" && error.is_null() {
        return Err(format!("failed without a reason: {end}"));
    }
    let video = job.rsplit('/').next().and_then(|id| id.split('-').next()).unwrap_or_default();
    let page = node.get(&format!("/watch/{video}")).map_err(|error| error.to_string())?;
    match INJECTED.iter().find(|text| page.body.contains(**text)) {
        Some(text) => Err(format!("its page holds {text}")),
        None if status == "COMPLETED" => Ok("accepted".to_owned()),
        None => Ok(format!("refused: {error}")),
    }
}

fn good_clip_still_works(node: &Node, media: &Path) {
    let good = list(media, "real/").into_iter().find(|clip| clip.name.contains("sk_bigbuckbunny"));
    let good = good.expect("a good clip is listed");
    let job = node.submit(&good.path).expect("taken");
    let end = node.ended(&job, Instant::now() + LIMIT).expect("an end");
    assert_eq!(end["status"], "COMPLETED", "{end}");
}
