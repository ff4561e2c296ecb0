//! The dead letters of a running `jetreel dev`, whose broker has a random port and password.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::clips::{jetreel, path};
use crate::harness::site::awaited;

fn command(folder: &Path) -> Command {
    let mut command = Command::new(jetreel());
    command.current_dir(folder).stdin(Stdio::null()).env("PATH", path()).kill_on_drop(true);
    command
}

async fn running(folder: &Path) -> Child {
    let mut dev = command(folder);
    dev.args(["dev", "--data", "data", "--listen", "127.0.0.1:0"]);
    let mut dev = dev.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(dev.stdout.take().unwrap()).lines();
    let address = awaited("the address of dev", lines.next_line()).await.unwrap();
    let ready = reqwest::get(format!("{}readyz", address.unwrap())).await.unwrap();
    let ready: Value = ready.json().await.unwrap();
    assert_eq!(ready, json!({ "status": "ready", "warnings": [] }), "its own broker syncs");
    dev
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_of_dev_is_found_in_its_folder_as_long_as_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = running(folder.path()).await;
    // It keeps its configuration, though its folder was named by a relative path.
    let entries = std::fs::read_dir(folder.path().join("data/nats")).unwrap().map(Result::unwrap);
    let has = |name| move |entry: &std::fs::DirEntry| entry.path().join(name).is_file();
    assert_eq!(entries.filter(has("nats.conf")).count(), 1);
    let list = async || {
        let mut list = command(folder.path());
        list.args(["dlq", "ls", "--data", "data", "--json"]).output().await.unwrap()
    };
    let listed = list().await;
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed, json!({ "letters": [] }));

    let doctor = (&["doctor", "--data", "data"][..], "as declared");
    let plan = (&["streams", "plan", "--data", "data"][..], "matches the declared streams");
    for (words, expected) in [doctor, plan] {
        let output = command(folder.path()).args(words).output().await.unwrap();
        let said = [output.stdout, output.stderr].map(|b| String::from_utf8(b).unwrap()).concat();
        let found = said.contains(expected);
        assert!(output.status.success() && found, "{words:?}: {said}");
    }

    let pid = rustix::process::Pid::from_raw(dev.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(awaited("the end of dev", dev.wait()).await.unwrap().success());
    let listed = list().await;
    assert_eq!(listed.status.code(), Some(6), "{}", String::from_utf8_lossy(&listed.stderr));
    let said = String::from_utf8_lossy(&listed.stderr).into_owned();
    assert!(said.contains("jetreel dev") && said.contains("--data"), "{said}");
}
