//! Hostile media: every file through one long-lived node, all at once. Each job ends within a bound, nothing outside is read or called, and
//! the node keeps working: with all protections against an upload, and with confinement alone.
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
use tempfile::TempDir;

use crate::clips::{Clip, Expected, folder, jetreel, list, path};
use crate::harness::fake_codec::fixture;
use crate::harness::tools::skipped;

/// For all files together.
const LIMIT: Duration = Duration::from_secs(600);

/// Text of the crafted metadata that must never reach a page as it is.
const INJECTED: [&str; 2] = ["<script>alert(1)", "<img src=x onerror"];

const CONFINEMENT: &str = "JETREEL__CODEC__CONFINEMENT";
const CODEC: &str = "JETREEL__CODEC__PATH";
/// A file that uses up a budget is tried again; here that takes no half an hour.
const RETRY: [(&str, &str); 2] =
    [("JETREEL__RETRY__INGEST", "1s"), ("JETREEL__RETRY__ENCODE", "1s")];

#[test]
fn no_hostile_file_harms_the_node() {
    let Some(media) = media() else { return };
    let canary = Canary::new();
    let crafted = craft(&media, &canary);
    let clips = aimed(list(&media, "hostile/"), crafted.path());
    let mut node = Node::start(&[RETRY[0], RETRY[1], (CONFINEMENT, best_confinement())]);
    let (verdicts, problems) = submit_all(&node, &clips, true);
    println!("{}", verdicts.join("\n"));
    untouched(&mut node, &canary);
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
    good_clip_still_works(&node, &media);
}

/// The codec may use every format and protocol and open any file. Only confinement prevents it.
#[test]
fn confinement_alone_keeps_hostile_files_in() {
    let Some(media) = media() else { return };
    let machines = tempfile::tempdir().expect("a temporary folder");
    let canary = Canary::new();
    let crafted = craft(&media, &canary);
    let clips = aimed(list(&media, "hostile/"), crafted.path());
    let unlisted = machine(machines.path(), "unlisted");
    let confined = (CONFINEMENT, best_confinement());
    let mut node = Node::start(&[RETRY[0], RETRY[1], confined, (CODEC, &unlisted)]);
    let (verdicts, problems) = submit_all(&node, &clips, false);
    println!("{}", verdicts.join("\n"));
    untouched(&mut node, &canary);
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
    good_clip_still_works(&node, &media);
    drop(node);
    let open = machine(machines.path(), "unlisted-unconfined");
    let node = Node::start(&[RETRY[0], RETRY[1], (CONFINEMENT, "none"), (CODEC, &open)]);
    let bait = clips.into_iter().filter(|clip| clip.path.starts_with(crafted.path()));
    submit_all(&node, &bait.collect::<Vec<_>>(), false);
    let (touched, _) = canary.touched();
    println!("without lists and without confinement: {touched:?}");
    let called = touched.iter().any(|what| what.contains("called"));
    assert!(called, "no file even tries: the sweep shows nothing");
}

fn media() -> Option<PathBuf> {
    let found = folder();
    if found.is_none() {
        skipped("JETREEL_MEDIA names no folder with a MANIFEST.tsv");
    }
    found
}

/// The best that this machine offers, as a setting: no process may fall below it.
#[expect(clippy::print_stdout, reason = "what was found out is said in the test's output")]
fn best_confinement() -> &'static str {
    let doctor = Command::new(jetreel()).args(["doctor", "--json"]).env("PATH", path()).output();
    let found: Value = serde_json::from_slice(&doctor.expect("doctor runs").stdout).expect("JSON");
    let findings = found["findings"].as_array().cloned().unwrap_or_default();
    let found = findings.into_iter().find(|finding| finding["check"] == "confinement");
    let tier = found.expect("a finding")["found"].to_string();
    println!("confinement here: {tier}");
    let words = ["full", "ns", "seccomp"];
    let word = words.into_iter().find(|word| tier.to_lowercase().starts_with(&format!("\"{word}")));
    word.expect("at least a filter of system calls")
}

/// A launcher of the codec with switches for tests.
fn machine(folder: &Path, name: &str) -> String {
    let codec = jetreel().with_file_name("jetreel-codec");
    let beside = folder.join("jetreel-codec");
    if !beside.exists() {
        std::os::unix::fs::symlink(codec, beside).expect("a link");
    }
    let launcher = folder.join(name);
    std::os::unix::fs::symlink(fixture("poor_machine"), &launcher).expect("a link");
    launcher.to_string_lossy().into_owned()
}

#[expect(clippy::print_stdout, reason = "what was found out is said in the test's output")]
fn untouched(node: &mut Node, canary: &Canary) {
    assert!(node.is_alive(), "the node died: {}", node.log());
    let (touched, visible) = canary.touched();
    println!("reads of the canary file are {} here", if visible { "seen" } else { "not seen" });
    let leaked = leaks(node.folder());
    assert!(touched.is_empty(), "{touched:?}");
    assert!(leaked.is_empty(), "the canary file's text is in {leaked:?}");
}

fn craft(media: &Path, canary: &Canary) -> TempDir {
    let to = tempfile::tempdir().expect("a temporary folder");
    let script = media.join("hostile/crafted/mkhostile.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(to.path()).arg(canary.file()).arg(canary.url());
    let done = command.output().expect("python3 can be started");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    to
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

/// Verdicts and problems. `listed`: files that must be refused are.
fn submit_all(node: &Node, clips: &[Clip], listed: bool) -> (Vec<String>, Vec<String>) {
    let deadline = Instant::now() + LIMIT;
    let jobs: Vec<_> = clips.iter().map(|clip| (clip, node.submit(&clip.path))).collect();
    let (mut verdicts, mut problems) = (Vec::new(), Vec::new());
    for (clip, job) in jobs {
        let outcome = match job {
            Err(refusal) if refusal.starts_with('4') => Ok(format!("refused at once: {refusal}")),
            Err(failure) => Err(failure),
            Ok(job) => {
                node.ended(&job, deadline).and_then(|end| judge(node, clip, &job, &end, listed))
            }
        };
        match outcome {
            Ok(verdict) => verdicts.push(format!("{}: {verdict}", clip.short())),
            Err(problem) => problems.push(format!("{}: {problem}", clip.short())),
        }
    }
    (verdicts, problems)
}

fn judge(node: &Node, clip: &Clip, job: &str, end: &Value, listed: bool) -> Result<String, String> {
    let status = end["status"].as_str().unwrap_or_default();
    let error = &end["error"];
    if listed && status == "COMPLETED" && clip.expected == Expected::Refused {
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
