//! A store belongs to one broker, and a node with another store refuses to start before it takes work.

use jetreel_actors::binding::{self, Binding as _};
use jetreel_actors::ports::{Nodes as _, Store as _};
use jetreel_domain::id::OrderId;
use jetreel_domain::upkeep::binding::{KEY, StoreMark};

use super::{complaint, told};
use crate::clips::{jetreel, path};
use crate::harness::media::{self, SHORT};
use crate::harness::nats::Nats;
use crate::harness::site::Site;
use crate::reconcile::{HASTY, in_time};

async fn mark(site: &Site) -> StoreMark {
    let bytes = site.store().read_all(KEY).await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

async fn named(site: &Site) -> String {
    site.bus.store_mark().await.unwrap().unwrap().value.unwrap().store
}

/// A node that refuses to start says why.
async fn refused(site: &Site, own: &[(&str, &str)]) -> String {
    let output = told(site, &["node"], own).await;
    assert!(!output.status.success());
    complaint(&output)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_node_binds_store_and_broker_and_the_others_find_them_bound() {
    let site = Site::start().await;
    assert!(site.bus.store_mark().await.unwrap().is_none());
    let first = site.node("first", &[]).await;
    let id = mark(&site).await.id;
    assert_eq!(named(&site).await, id);
    first.logs(&id).await;
    let second = site.node("second", &[]).await;
    assert_eq!((mark(&site).await.id, named(&site).await), (id.clone(), id.clone()));
    let shown = told(&site, &["store", "show"], &[]).await;
    assert!(String::from_utf8_lossy(&shown.stdout).contains(&id), "{shown:?}");
    in_time("they are heard", async || site.bus.said(0, 10).await.unwrap().words.len() == 2).await;
    let adopted = told(&site, &["store", "adopt"], &[]).await;
    assert!(!adopted.status.success() && complaint(&adopted).contains("first"), "nodes run");
    drop((first, second));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_start_at_once_agree() {
    let site = Site::start().await;
    let verify = |index: u32| {
        let (bus, store) = (site.bus.clone(), site.store().clone());
        async move { binding::verify(bus.as_ref(), &store, format!("store-{index}")).await }
    };
    let bound = futures::future::join_all((0..8).map(verify)).await;
    let ids: Vec<String> =
        bound.into_iter().map(|bound| bound.unwrap().store().to_owned()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!((mark(&site).await.id, named(&site).await), (ids[0].clone(), ids[0].clone()));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_folders_that_are_new_at_once_one_is_refused() {
    let site = Site::start().await;
    let other = tempfile::tempdir().unwrap();
    let options = jetreel::store::StoreOptions::fs(other.path().to_str().unwrap());
    let other = jetreel::store::OpenDalStore::open(&options).unwrap();
    let bus = site.bus.as_ref();
    let (one, two) = tokio::join!(
        binding::verify(bus, site.store(), "one".to_owned()),
        binding::verify(bus, &other, "two".to_owned())
    );
    assert_ne!(one.is_ok(), two.is_ok(), "{one:?} {two:?}");
    assert_eq!(one.and(two).unwrap_err().code, "store-mismatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_in_another_folder_takes_no_work_and_says_where_it_looks() {
    let Some(clip) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let node = site.node("one", &[("NODE__ROLES", "gateway,ingest,publisher")]).await;
    let order = node.submit(&clip).await;
    // As a default that is relative to the folder where a node is started.
    let said =
        refused(&site, &[("STORE__ROOT", ".jetreel/media"), ("NODE__ROLES", "encode")]).await;
    let place = site.folder().join(".jetreel/media");
    for words in ["has no id", &named(&site).await, "jetreel store adopt", place.to_str().unwrap()]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    let doctor = told(&site, &["doctor"], &[("STORE__ROOT", ".jetreel/media")]).await;
    let found = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(!doctor.status.success() && found.contains("FAIL  binding"), "{found}");
    let _worker = site.node("two", &[("NODE__ROLES", "encode")]).await;
    site.facts(&order).await.until("completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_broker_on_a_store_deletes_nothing_of_the_first() {
    let Some(clip) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let node = site.node("one", &[]).await;
    let order: OrderId = node.submit(&clip).await;
    site.facts(&order).await.until("completed").await;
    let before = site.keys("").await;
    assert!(before.len() > 10);

    let (second, bus) = Nats::start_with_streams().await;
    let own: Vec<_> = HASTY.into_iter().chain([("NATS__URL", second.url())]).collect();
    let said = refused(&site, &own).await;
    assert!(said.contains("belongs to another broker"), "{said}");
    assert_eq!(site.keys("").await.len(), before.len());
    assert!(bus.store_mark().await.unwrap().is_none(), "it names no store");

    // Deliberately: the broker was replaced. Then the other one is the stranger.
    let adopted = told(&site, &["store", "adopt"], &[("NATS__URL", second.url())]).await;
    assert!(adopted.status.success(), "{}", complaint(&adopted));
    assert_eq!(bus.store_mark().await.unwrap().unwrap().value.unwrap().store, mark(&site).await.id);
    assert!(complaint(&adopted).contains("reconciler"), "{adopted:?}");
    let _node = site.node("two", &[("NATS__URL", second.url())]).await;
}

/// As it is right after an upgrade from a version without marks.
async fn unmark(site: &Site) {
    site.store().delete(KEY).await.unwrap();
    let context = async_nats::jetstream::new(site.client().await);
    context.get_key_value("store").await.unwrap().purge("mark").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_after_an_upgrade_binds_only_what_belongs_together() {
    let Some(clip) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let node = site.node("one", &[]).await;
    let order = node.submit(&clip).await;
    site.facts(&order).await.until("completed").await;
    drop(node);
    unmark(&site).await;
    let said = refused(&site, &[("STORE__ROOT", ".jetreel/media")]).await;
    for words in ["holds nothing of them", order.video.as_str(), "jetreel store adopt"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // A broker that knows nothing of what the store holds: its sweeper would delete it.
    let (second, bus) = Nats::start_with_streams().await;
    let said = refused(&site, &[("NATS__URL", second.url())]).await;
    for words in ["holds some", order.video.as_str(), "jetreel store adopt"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(bus.store_mark().await.unwrap().is_none());
    assert!(site.bus.store_mark().await.unwrap().is_none());
    assert!(site.store().size(KEY).await.unwrap().is_none(), "nobody made a mark");

    let node = site.node("one", &[]).await;
    assert_eq!(named(&site).await, mark(&site).await.id);
    node.bytes(&format!("/v/{}/master.m3u8", order.video)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_and_words_that_cannot_be_understood_do_not_lock_out() {
    let site = Site::start().await;
    let node = site.node("one", &[]).await;
    in_time("its word is there", async || !site.bus.said(0, 9).await.unwrap().words.is_empty())
        .await;
    drop(node);
    let id = mark(&site).await.id;
    let context = async_nats::jetstream::new(site.client().await);
    let kept = context.get_key_value("store").await.unwrap();
    kept.put("mark", "garbage".into()).await.unwrap();
    assert!(refused(&site, &[]).await.contains("jetreel store adopt"));
    let nodes = context.get_key_value("nodes").await.unwrap();
    for (word, _) in site.bus.said(0, 9).await.unwrap().words {
        nodes.delete(format!("node.{word}")).await.unwrap();
    }
    nodes.put("node.odd", "odd".into()).await.unwrap();
    let said = complaint(&told(&site, &["store", "adopt"], &[]).await);
    assert!(said.contains("odd"), "a moment ago it may be a node: {said}");
    let adopted = async || told(&site, &["store", "adopt"], &[]).await;
    in_time("its word is old", async || adopted().await.status.success()).await;
    assert_eq!((named(&site).await, mark(&site).await.id), (id.clone(), id.clone()));

    // Cut off in the middle.
    let text = site.store().read_all(KEY).await.unwrap();
    site.store().delete(KEY).await.unwrap();
    site.put(KEY, text[..text.len() / 2].to_vec()).await;
    assert!(refused(&site, &[]).await.contains("jetreel store adopt"));
    let done = adopted().await;
    assert!(done.status.success(), "{}", complaint(&done));
    assert_eq!(named(&site).await, mark(&site).await.id);
    let _node = site.node("two", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_was_cut_short_between_the_two_marks_goes_on() {
    let site = Site::start().await;
    let broker = site.bus.birth().await.unwrap();
    let half = StoreMark { v: 1, id: "half-way".to_owned(), broker };
    site.put(KEY, serde_json::to_vec(&half).unwrap()).await;
    let _node = site.node("one", &[]).await;
    assert_eq!(named(&site).await, "half-way");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_exchanged_under_a_node_is_not_swept() {
    let site = Site::start().await;
    let node = site.node("one", &HASTY).await;
    let orphan = "out/00000000000000000000000099/1/main-0000/attempt/240p-00000.mp4";
    let other = StoreMark { id: "another".to_owned(), ..mark(&site).await };
    site.store().delete(KEY).await.unwrap();
    site.put(KEY, serde_json::to_vec(&other).unwrap()).await;
    site.put(orphan, b"x".to_vec()).await;
    node.logs("store-mismatch").await;
    assert!(site.store().size(orphan).await.unwrap().is_some());
    site.store().delete(KEY).await.unwrap();
    let sound = StoreMark { id: named(&site).await, ..other };
    site.put(KEY, serde_json::to_vec(&sound).unwrap()).await;
    in_time("it is swept again", async || site.store().size(orphan).await.unwrap().is_none()).await;
}

/// Runs `jetreel` in a folder until it has nothing more to say, or has said where it listens; gives the address, or what it said.
fn dev(folder: &std::path::Path) -> Result<std::process::Child, String> {
    use std::io::{BufRead as _, Read as _};
    use std::process::{Command, Stdio};
    let mut command = Command::new(jetreel());
    command.args(["dev", "--data", "data", "--listen", "127.0.0.1:0"]).current_dir(folder);
    command.env("PATH", path()).stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if line.starts_with("http://") {
        return Ok(child);
    }
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    Err(said)
}

fn ended(mut dev: std::process::Child) {
    let pid = rustix::process::Pid::from_raw(dev.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(dev.wait().unwrap().success());
}

#[test]
fn the_folder_of_dev_keeps_its_id_and_can_be_bound_anew() {
    let folder = tempfile::tempdir().unwrap();
    let id = || {
        let text = std::fs::read(folder.path().join("data/media").join(KEY)).unwrap();
        serde_json::from_slice::<StoreMark>(&text).unwrap().id
    };
    ended(dev(folder.path()).unwrap());
    let first = id();
    ended(dev(folder.path()).unwrap());
    assert_eq!(id(), first);

    std::fs::remove_dir_all(folder.path().join("data/nats")).unwrap();
    let said = dev(folder.path()).unwrap_err();
    assert!(said.contains("store-mismatch") || said.contains("jetreel store adopt"), "{said}");
    let mut adopt = std::process::Command::new(jetreel());
    adopt.args(["store", "adopt", "--data", "data"]).current_dir(folder.path());
    let adopted = adopt.env("PATH", path()).output().unwrap();
    assert!(adopted.status.success(), "{}", complaint(&adopted));
    ended(dev(folder.path()).unwrap());
    assert_eq!(id(), first, "the id of a store never changes");
}
