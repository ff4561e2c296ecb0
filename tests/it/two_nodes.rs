//! Two nodes share the chunks of one video, and the result does not show it.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jetreel_domain::id::OrderId;
use jetreel_domain::order::ledger::Object;
use jetreel_domain::output::manifest::Manifest;
use serde_json::Value;

use crate::harness::media::{self, FILM};
use crate::harness::node::Node;
use crate::harness::site::Site;
use crate::upload_to_publish::{manifest, must_be_published};

/// Files made of a video.
struct Result {
    manifest: Manifest,
    /// Playlists and initialisation segments by name.
    files: BTreeMap<String, String>,
}

async fn made_by(film: &Path, names: &[&str]) -> Result {
    let site = Site::start().await;
    let mut nodes = Vec::new();
    for name in names {
        nodes.push(site.node(name, &[]).await);
    }
    let order = nodes[0].submit(film).await;
    site.facts(&order).await.until("completed").await;
    let last = nodes.last().unwrap();
    must_be_published(&site, last, &order, FILM).await;
    let manifest = manifest(last, &order).await;
    let workers: BTreeSet<&str> = manifest.tasks.iter().map(|task| task.node.as_str()).collect();
    assert_eq!(workers, names.iter().copied().collect(), "all of them worked");
    let files = files(last, &order, &manifest).await;
    Result { manifest, files }
}

async fn files(node: &Node, order: &OrderId, manifest: &Manifest) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for object in &manifest.files {
        let name = object.key.rsplit('/').next().unwrap();
        let bytes = node.bytes(&format!("/v/{}/{name}", order.video)).await;
        files.insert(name.to_owned(), normal(&String::from_utf8_lossy(&bytes), manifest));
    }
    files
}

/// A text without the ids that every run makes anew: of the video, and of attempts.
fn normal(text: &str, manifest: &Manifest) -> String {
    let mut text = text.replace(manifest.video.as_str(), "VIDEO");
    let attempts = manifest.tasks.iter().map(|task| task.writer.as_str());
    let finals = manifest.files[0].key.split('/').rev().nth(1);
    let finals = finals.and_then(|folder| folder.strip_prefix("final-"));
    for id in attempts.chain(finals) {
        text = text.replace(id, "ID");
    }
    text
}

/// The manifest without ids, and without what a run costs and who did it.
fn comparable(manifest: &Manifest) -> Value {
    let text = normal(&serde_json::to_string(manifest).unwrap(), manifest);
    let mut value: Value = serde_json::from_str(&text).unwrap();
    value["cpu_seconds"].take();
    for tier in value["tiers"].as_array_mut().unwrap() {
        tier["cpu_seconds"].take();
    }
    for task in value["tasks"].as_array_mut().unwrap() {
        assert_eq!(task["writer"], "ID");
        task["node"].take();
    }
    // Playlists name objects by attempt; what else is in them is compared as text.
    for file in value["files"].as_array_mut().unwrap() {
        file["sha256"].take();
    }
    value
}

/// Hashes of all media by task and file.
fn media_of(manifest: &Manifest) -> BTreeMap<(String, String), &Object> {
    let files: BTreeSet<&str> = manifest.files.iter().map(|file| file.key.as_str()).collect();
    let media = manifest.objects().filter(|object| !files.contains(object.key.as_str()));
    media
        .map(|object| {
            // out/<video>/<order>/<task>/<attempt>/<file>
            let parts: Vec<&str> = object.key.split('/').collect();
            ((parts[3].to_owned(), parts[5].to_owned()), object)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_make_what_one_makes() {
    let Some(film) = media::made(FILM) else { return };
    let (one, two) = tokio::join!(made_by(&film, &["one"]), made_by(&film, &["left", "right"]));
    let (ours, theirs) = (media_of(&one.manifest), media_of(&two.manifest));
    assert!(ours.keys().eq(theirs.keys()), "{:?}\n{:?}", ours.keys(), theirs.keys());
    let differ = ours.iter().filter(|(what, object)| {
        let other = theirs[*what];
        (&object.sha256, object.bytes) != (&other.sha256, other.bytes)
    });
    let differ: Vec<_> = differ.map(|(what, _)| what).collect();
    assert!(differ.is_empty(), "not byte for byte the same: {differ:?}");
    assert_eq!(one.files, two.files);
    assert_eq!(comparable(&one.manifest), comparable(&two.manifest));
}
