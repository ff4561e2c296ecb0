//! Secrets of the settings appear in nothing that is written down: logs, dead letters, metrics, jobs, settings that are shown.

use jetreel_actors::ports::Videos;
use std::process::Stdio;

use jetreel_actors::ports::DeadLetters as _;
use serde_json::Value;
use tokio::process::Command;

use super::{CHUNK, RETRIES, letter_of};
use crate::clips::{jetreel, path};
use crate::harness::eventually::eventually_so;
use crate::harness::media::{self, FILM};
use crate::harness::nats::Nats;
use crate::harness::poison::Poison;
use crate::harness::s3::S3Server;
use crate::harness::site::Site;

const PASSWORD: &str = "planted-broker-password";
const EVERYTHING: (&str, &str) = ("LOG__FILTER", "debug");

/// Fails where `text` holds one of the secrets.
fn must_hold_none(place: &str, text: &str, secrets: &[&str]) {
    for secret in secrets {
        let line = text.lines().find(|line| line.contains(secret)).unwrap_or_default();
        assert!(line.is_empty(), "{place} tells a secret: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_the_settings_is_written_nowhere() {
    let Some(film) = media::made(FILM) else { return };
    let server = S3Server::start().await;
    let store = server.options();
    let secrets = [PASSWORD, store.secret_key.as_str()];
    let nats = Nats::start_guarded("planted-user", PASSWORD).await;
    let site = Site::start_on_s3_with(nats, &store).await;
    let poison = Poison::new(site.folder());
    poison.arm(CHUNK);
    let codec = poison.codec();
    let uploads = [("HTTP__PART_BYTES", "5242880"), ("LIMITS__UPLOAD_BYTES_MAX", "1073741824")];
    let own = [RETRIES, EVERYTHING, ("CODEC__PATH", codec.as_str())];
    let node = site.node("one", &[&own[..], &uploads].concat()).await;
    let order = node.submit(&film).await;
    site.facts(&order).await.until("failed-1").await;

    let letter = letter_of(&site, &order).await;
    must_hold_none("the dead letter", &format!("{letter:?}"), &secrets);
    must_hold_none("the job", &text(&node.json(&format!("/v1/jobs/{order}")).await), &secrets);
    must_hold_none(
        "the metrics",
        &String::from_utf8(node.bytes("/metrics").await).unwrap(),
        &secrets,
    );
    must_hold_none("the state", &state(&site, &order).await, &secrets);

    // What dependencies say when they fail ends up in logs and letters, too.
    server.stop().await;
    let again = node.post(std::fs::read(&film).unwrap()).await;
    assert!(again.status().is_server_error(), "{}", again.status());
    must_hold_none("a problem", &again.text().await.unwrap(), &secrets);
    let replay = site.bus.replay(&letter).await;
    assert!(replay.is_ok());
    eventually_so("the store's failure is in the log", async || {
        node.log().contains("storage-failed")
    })
    .await;
    assert!(node.log().contains("DEBUG"), "it logs everything");
    must_hold_none("the log", &node.log(), &secrets);
}

fn text(document: &Value) -> String {
    document.to_string()
}

async fn state(site: &Site, order: &jetreel_domain::id::OrderId) -> String {
    let video = site.bus.video(&order.video).await.unwrap().unwrap().value;
    serde_json::to_string(&video).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn shown_settings_and_failed_commands_tell_no_secret() {
    let url = format!("nats://planted-user:{PASSWORD}@127.0.0.1:9");
    let secrets = [PASSWORD, "planted-s3-secret", "planted-hook"];
    let folder = tempfile::tempdir().unwrap();
    for words in [
        ["config", "show", "--origin"].as_slice(),
        &["doctor"],
        &["dlq", "ls"],
        &["streams", "plan"],
        &["node"],
    ] {
        let mut command = Command::new(jetreel());
        command.args(words).arg("--verbose").current_dir(folder.path());
        command.env("JETREEL__NATS__URL", &url).env("JETREEL__LOG__FILTER", "debug");
        command.env("JETREEL__STORE__SCHEME", "s3").env("JETREEL__STORE__BUCKET", "b");
        command.env("JETREEL__STORE__ENDPOINT", "http://127.0.0.1:9");
        command.env("JETREEL__STORE__ACCESS_KEY", "planted-s3-key");
        command.env("JETREEL__STORE__SECRET_KEY", "planted-s3-secret");
        command.env("JETREEL__HOOK__URL", "https://127.0.0.1:9/planted-hook-path");
        command.env("JETREEL__HOOK__AUTHORIZATION", "Bearer planted-hook-token");
        command.stdin(Stdio::null()).env("PATH", path());
        let output = command.output().await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(!said.trim().is_empty(), "{words:?} says nothing");
        must_hold_none(&format!("{words:?}"), &said, &secrets);
    }
}
