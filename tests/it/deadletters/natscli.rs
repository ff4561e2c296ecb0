//! Only the `nats` command line, with the very lines of the documentation.

use std::process::{Output, Stdio};

use tokio::process::Command;

use super::Ward;
use crate::clips::{path, root};
use crate::harness::site::Site;
use crate::harness::tools::there_is;

/// The lines of the shell block that holds `mark`.
fn recipe(mark: &str) -> String {
    let readme = std::fs::read_to_string(root().join("docs/dead-letters.md")).unwrap();
    let blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let mut found = blocks.map(|(block, _)| block).filter(|block| block.contains(mark));
    let block = found.next().expect("a block of the documentation").to_owned();
    assert!(found.next().is_none(), "one block");
    block
}

/// Runs a script against the broker of a site, as an operator would who has nothing but the `nats` command line.
async fn sh(site: &Site, script: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).current_dir(site.folder());
    command.env("NATS_URL", site.nats().url()).env("PATH", path());
    // Without the NATS context of the user who runs the tests.
    command.env("HOME", site.folder()).env_remove("XDG_CONFIG_HOME");
    command.envs(variables.iter().copied()).stdin(Stdio::null());
    let output = command.output().await.unwrap();
    assert!(
        output.status.success(),
        "{script}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_task_is_brought_back_by_the_nats_command_line_alone() {
    if !there_is("nats") {
        return;
    }
    let Some(ward) = Ward::open().await else { return };
    let recipe = recipe("nats stream get DLQ");
    let commands = recipe.lines().filter(|line| !line.trim().is_empty());
    assert_eq!(commands.count(), 3, "{recipe}");
    ward.dies_and_lives(async |_, buried| {
        let seq = buried.sequence.to_string();
        sh(&ward.site, &recipe, &[("SEQ", &seq)]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_line_that_a_letter_shows_brings_it_back() {
    if !there_is("nats") {
        return;
    }
    let Some(ward) = Ward::open().await else { return };
    ward.dies_and_lives(async |_, buried| {
        let shown = ward.dlq_json(&["show", &buried.sequence.to_string(), "--json"]).await;
        let line = shown["replay"].as_array().unwrap().last().unwrap().as_str().unwrap().to_owned();
        sh(&ward.site, &line, &[]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_micro_service_answers_the_nats_command_line() {
    if !there_is("nats") {
        return;
    }
    let Some(ward) = Ward::open().await else { return };
    let listed = sh(&ward.site, "nats micro ls", &[]).await;
    assert!(String::from_utf8_lossy(&listed.stdout).contains("jetreel-admin"));
    let info = sh(&ward.site, "nats micro info jetreel-admin", &[]).await;
    assert!(String::from_utf8_lossy(&info.stdout).contains("jetreel.admin.dlq.replay"));
    let asking = recipe("jetreel.admin.dlq.replay");
    ward.dies_and_lives(async |_, buried| {
        let asking = asking.replace("17", &buried.sequence.to_string());
        let answer = sh(&ward.site, &asking, &[]).await;
        let answer = String::from_utf8_lossy(&answer.stdout).into_owned();
        assert!(answer.contains("\"outcome\":\"replayed\""), "{answer}");
    })
    .await;
    let stats = sh(&ward.site, "nats micro stats jetreel-admin", &[]).await;
    assert!(String::from_utf8_lossy(&stats.stdout).contains("dlq-replay"));
}
