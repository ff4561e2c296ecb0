//! However the tiers of a video are shared out to tasks and threads, they are the same.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use jetreel_domain::output::manifest::{Manifest, TierSummary};

use crate::clips::{jetreel, path};
use crate::harness::media::{self, ODD_SIZED, ODD_SIZED_SEQUENTIAL};

/// One task and one thread for all tiers.
const ALONE: [&str; 2] = ["plan.first-tasks=1", "node.task-threads=1"];

#[test]
fn threads_make_the_same_bytes() {
    let Some(cut) = media::made(ODD_SIZED) else { return };
    let Some(whole) = media::made(ODD_SIZED_SEQUENTIAL) else { return };
    for film in [cut, whole] {
        let alone = hashes(&film, &ALONE);
        assert_eq!(alone.len(), 2, "{alone:?}");
        for threads in ["node.task-threads=2", "node.task-threads=9"] {
            assert_eq!(hashes(&film, &[threads]), alone, "{threads}");
        }
    }
}

#[test]
fn a_tier_looks_the_same_whichever_tiers_share_its_task() {
    let Some(film) = media::made(ODD_SIZED) else { return };
    assert_eq!(hashes(&film, &["plan.first-tasks=2"]), hashes(&film, &ALONE));
}

/// SHA-256 of everything stored of each tier.
fn hashes(film: &Path, settings: &[&str]) -> BTreeMap<String, Vec<String>> {
    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new(jetreel());
    command.arg("transcode").arg(film).arg("--out").arg(place.path().join("out"));
    settings.iter().for_each(|setting| {
        command.arg("--set").arg(setting);
    });
    command.env("PATH", path()).current_dir(place.path()).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let manifest = std::fs::read(place.path().join("out/manifest.json")).unwrap();
    let manifest: Manifest = serde_json::from_slice(&manifest).unwrap();
    let tier = |tier: TierSummary| {
        let stored = tier.objects.into_iter().chain(tier.progressive);
        (tier.name, stored.map(|object| object.sha256).collect())
    };
    manifest.tiers.into_iter().map(tier).collect()
}
