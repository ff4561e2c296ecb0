//! The private broker: synced, persistent, the only one in its folder, and ended with its parent.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jetreel::bus::doctor;
use jetreel::bus::private::{PrivateBroker, PrivateOptions};
use jetreel::bus::topology::{self, DEFAULT, Topology};
use jetreel::bus::{Bus, BusOptions};
use jetreel_actors::ports::Videos;
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::state::Video;

use super::order;
use crate::harness::eventually::eventually;

const FOLDER: &str = "JETREEL_TEST_BROKER_FOLDER";

fn options(folder: &Path) -> PrivateOptions {
    let mut options = PrivateOptions::new(folder);
    options.guard = Some(env!("CARGO_BIN_EXE_jetreel").into());
    options
}

async fn start(folder: &Path) -> PrivateBroker {
    PrivateBroker::start(&options(folder)).await.unwrap()
}

/// Whether a process runs: it exists and is no zombie.
fn runs(process_id: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_broker_syncs_and_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let shipped = Topology::parse(DEFAULT).unwrap();
    let video = Video::receiving(order(1).video, "kept".into(), Lane::Normal, 0);

    let broker = start(folder.path()).await;
    let bus = Bus::connect(&BusOptions::new(&broker.url, "test")).await.unwrap();
    topology::apply(&bus, &shipped, false).await.unwrap();
    bus.create_video(&video).await.unwrap();
    let facts = doctor::examine(&bus, &shipped, Some(&broker.monitor_url)).await.unwrap();
    assert_eq!((facts.sync_always, facts.drift), (Some(true), Vec::new()));
    bus.close().await;
    let process_id = broker.process_id();
    broker.stop().await;
    assert!(!runs(process_id));

    let broker = start(folder.path()).await;
    let bus = Bus::connect(&BusOptions::new(&broker.url, "test")).await.unwrap();
    assert_eq!(topology::plan(&bus, &shipped).await.unwrap(), []);
    assert_eq!(bus.video(&video.id).await.unwrap().unwrap().value, video);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_on_the_machine_is_not_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path()).await;
    let (_, address) = broker.url.split_once('@').unwrap();
    assert!(async_nats::connect(address).await.is_err(), "without the password");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_brokers_never_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path()).await;
    let refused = PrivateBroker::start(&options(folder.path())).await.unwrap_err();
    assert_eq!(refused.code, "private-broker-in-use");
    let process_id = broker.process_id();
    drop(broker);
    eventually("a dropped broker ends", || !runs(process_id)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_broker_ends_when_its_parent_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("process-id");
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "bus::private::acts_as_the_parent"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut process_id = None;
    eventually("the broker runs", || {
        process_id = std::fs::read_to_string(&told).ok().and_then(|id| id.parse().ok());
        process_id.is_some()
    })
    .await;
    let process_id: u32 = process_id.unwrap();
    assert!(runs(process_id));
    parent.kill().unwrap();
    parent.wait().unwrap();
    eventually("the broker ends with its parent", || !runs(process_id)).await;
    let left = runtimes(folder.path());
    assert_eq!(left.len(), 1);
    // And its folder is free for the next, which leaves nothing of it.
    let next = start(folder.path()).await;
    assert!(!left[0].exists() && runtimes(folder.path()).len() == 1);
    next.stop().await;
    assert_eq!(runtimes(folder.path()), Vec::<PathBuf>::new());
}

/// Folders with the configuration of a broker.
fn runtimes(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    entries.filter(|path| name(path).starts_with("run-")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_can_be_read_by_its_owner_alone() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("nats");
    let broker = start(&folder).await;
    let (_, password) = broker.url.split_once("nats://jetreel:").unwrap();
    let (password, _) = password.split_once('@').unwrap();
    let mut holders = 0;
    for entry in walkdir::WalkDir::new(&folder).into_iter().map(Result::unwrap) {
        let mode = entry.metadata().unwrap().permissions().mode();
        if entry.file_type().is_file()
            && String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).contains(password)
        {
            holders += 1;
            assert_eq!(mode & 0o077, 0, "{}", entry.path().display());
        }
    }
    assert_eq!(holders, 2, "configuration and address");
    for closed in runtimes(&folder).into_iter().chain([folder.clone()]) {
        assert_eq!(closed.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
    // Nothing of it lies where others look.
    let command = std::fs::read(format!("/proc/{}/cmdline", broker.process_id())).unwrap();
    assert!(!String::from_utf8_lossy(&command).contains(password));
    broker.stop().await;
}

/// Not a test: the process that [`a_private_broker_ends_when_its_parent_is_killed`] kills.
#[tokio::test]
#[ignore = "run as a child by another test"]
async fn acts_as_the_parent() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let broker = start(folder).await;
    let told = folder.join("process-id.new");
    std::fs::write(&told, broker.process_id().to_string()).unwrap();
    std::fs::rename(told, folder.join("process-id")).unwrap();
    std::future::pending::<()>().await;
}
