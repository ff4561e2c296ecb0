//! A copy of a store has its id, and lacks the signs of the nodes that work with the original.

use std::path::{Path, PathBuf};
use std::process::Command;

use jetreel::store::{OpenDalStore, StoreOptions};
use jetreel_actors::ports::{Nodes as _, Store as _};
use jetreel_actors::sign::{self, Arrival};
use jetreel_domain::order::owner::SIGNS;
use jetreel_domain::upkeep::presence::Presence;

use super::{complaint, told};
use crate::harness::media::{self, SHORT};
use crate::harness::node::Node;
use crate::harness::s3::S3Server;
use crate::harness::site::Site;
use crate::reconcile::{HASTY, in_time};
use crate::upload_to_publish::manifest;

/// A node that speaks twice in a second.
async fn talkative(site: &Site, name: &str, own: &[(&str, &str)]) -> Node {
    let often = [("RECONCILER__BUILD_SECONDS", "10"), ("RECONCILER__PASS_SECONDS", "2")];
    site.node(name, &[often.as_slice(), own].concat()).await
}

/// The next place of the store of a site, as `cp -a` makes it.
fn copied(site: &Site, name: &str) -> PathBuf {
    let copy = site.folder().join(name);
    let original = site.folder().join("media");
    assert!(Command::new("cp").arg("-a").args([&original, &copy]).status().unwrap().success());
    copy
}

async fn words(site: &Site) -> Vec<Presence> {
    let said = site.bus.said(0, 100).await.unwrap();
    said.words.into_iter().map(|word| word.presence).collect()
}

async fn newest_sign(site: &Site, node: &str) -> Option<u64> {
    words(site).await.into_iter().find(|word| word.node == node).and_then(|word| word.sign)
}

/// Waits until a node has written two more signs: a copy that was made before has lost sight of it.
async fn moved_on(site: &Site, node: &str) {
    let from = newest_sign(site, node).await.unwrap_or_default();
    in_time("a node goes on", async || newest_sign(site, node).await > Some(from + 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_store_is_a_copy_takes_no_work() {
    let Some(clip) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let node = talkative(&site, "one", &[("NODE__ROLES", "gateway,ingest,publisher")]).await;
    let order = node.submit(&clip).await;
    in_time("tasks are queued", async || !site.subjects("ENCODE", ">").await.is_empty()).await;
    let copy = copied(&site, "copy");
    moved_on(&site, "one").await;

    let root = ("STORE__ROOT", copy.to_str().unwrap());
    let worker = [("NODE__NAME", "two"), ("NODE__ROLES", "encode"), root];
    let output = told(&site, &["node"], &worker).await;
    let said = complaint(&output);
    assert!(!output.status.success(), "{said}");
    for words in ["the node one", SIGNS, "[store]", "two minutes", root.1] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let claims = site.claim_keys(&order).await;
    assert!(claims.iter().all(|key| key.ends_with(".ingest")), "it took no task: {claims:?}");
    assert_eq!(words(&site).await.len(), 1, "it took its word back");
    assert_eq!(std::fs::read_dir(copy.join(SIGNS)).unwrap().count(), 1, "and its sign");

    let doctor = async |own: &[(&str, &str)]| {
        let output = told(&site, &["doctor"], own).await;
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let found = doctor(&[root]).await;
    assert!(found.contains("FAIL  sharing: it does not see the store of nodes one"), "{found}");
    let _worker = talkative(&site, "two", &[("NODE__ROLES", "encode")]).await;
    site.facts(&order).await.until("completed").await;
    in_time("both work", async || words(&site).await.iter().all(Presence::is_settled)).await;
    let found = doctor(&[]).await;
    let line = found.lines().find(|line| line.contains("sharing")).unwrap();
    assert!(line.starts_with("OK") && line.contains("one") && line.contains("two"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_start_at_once_on_an_original_and_its_copy_one_gives_way() {
    let site = Site::start().await;
    drop(site.node("first", &[]).await);
    for word in site.bus.said(0, 9).await.unwrap().words {
        site.bus.leave(&word.id).await.unwrap();
    }
    let copy = copied(&site, "copy");
    let copy = OpenDalStore::open(&StoreOptions::fs(copy.to_str().unwrap())).unwrap();
    let arrival = |node: &str| Arrival {
        id: uuid::Uuid::now_v7().to_string(),
        node: node.to_owned(),
        roles: ["encode".to_owned()].into(),
        since: 0,
    };
    let bus = site.bus.as_ref();
    let (one, two) = tokio::join!(
        sign::arrive(bus, site.store(), arrival("one")),
        sign::arrive(bus, &copy, arrival("two"))
    );
    assert_ne!(one.is_ok(), two.is_ok(), "{one:?} {two:?}");
    assert_eq!(one.and(two).unwrap_err().code, "store-not-shared");
    // Of one store, as many as like.
    site.bus.leave(&words_ids(&site).await[0]).await.unwrap();
    let many = (0..6).map(|index| sign::arrive(bus, site.store(), arrival(&format!("n{index}"))));
    let arrived = futures::future::join_all(many).await;
    assert!(arrived.iter().all(Result::is_ok), "{arrived:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_on_a_copy_of_a_bucket_takes_no_work() {
    let server = S3Server::start().await;
    let site = Site::start_on_s3(&server.options()).await;
    let _node = talkative(&site, "one", &[]).await;
    in_time("the node has written its sign", async || newest_sign(&site, "one").await.is_some())
        .await;
    server.copy("copy");
    moved_on(&site, "one").await;
    let other = [("NODE__NAME", "two"), ("NODE__ROLES", "encode")];
    let output = told(&site, &["node"], &[&other[..], &[("STORE__BUCKET", "copy")]].concat()).await;
    let said = complaint(&output);
    assert!(!output.status.success(), "{said}");
    for words in ["the node one", SIGNS, "copy/"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let _worker = talkative(&site, "two", &other[1..]).await;
    in_time("on the bucket itself both work", async || {
        let words = words(&site).await;
        words.len() == 2 && words.iter().all(Presence::is_settled)
    })
    .await;
}

async fn words_ids(site: &Site) -> Vec<String> {
    let said = site.bus.said(0, 100).await.unwrap();
    said.words.into_iter().map(|word| word.id).collect()
}

/// A place where a node finds a store by way of links, which lead elsewhere all at once: a disk that is exchanged.
struct Mounted {
    root: PathBuf,
    link: PathBuf,
}

impl Mounted {
    fn new(site: &Site) -> Self {
        let (store, root) = (site.folder().join("media"), site.folder().join("mounted"));
        let link = site.folder().join("disk");
        std::fs::create_dir_all(&root).unwrap();
        for name in ["raw", "out", "probe", "nodes"] {
            std::fs::create_dir_all(store.join(name)).unwrap();
            std::os::unix::fs::symlink(link.join(name), root.join(name)).unwrap();
        }
        for name in [".jetreel-store", "jetreel-store.json"] {
            std::os::unix::fs::symlink(link.join(name), root.join(name)).unwrap();
        }
        let mounted = Self { root, link };
        mounted.mount(&store);
        mounted
    }

    fn mount(&self, store: &Path) {
        let next = self.link.with_extension("next");
        std::os::unix::fs::symlink(store, &next).unwrap();
        std::fs::rename(&next, &self.link).unwrap();
    }
}

async fn ready(node: &Node) -> (u16, String) {
    let answer = node.get("/readyz").await;
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_store_is_exchanged_takes_no_work_until_it_is_back() {
    let Some(clip) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let one = talkative(&site, "one", &[]).await;
    let mounted = Mounted::new(&site);
    let root = mounted.root.to_str().unwrap();
    let two = talkative(&site, "two", &[("STORE__ROOT", root)]).await;
    moved_on(&site, "two").await;
    assert_eq!(ready(&two).await.0, 200);

    let copy = copied(&site, "copy");
    moved_on(&site, "one").await;
    moved_on(&site, "two").await;
    mounted.mount(&copy);
    two.logs("takes no work until it finds the signs").await;
    let (status, said) = ready(&two).await;
    assert!(status == 503 && said.contains("store-not-shared"), "{status} {said}");
    assert!(said.contains("node one"), "{said}");
    let answer = two.post(std::fs::read(&clip).unwrap()).await;
    assert_eq!(answer.status().as_u16(), 503);

    // The other one is not drawn into it, and does all that there is to do.
    moved_on(&site, "two").await;
    let mut orders = Vec::new();
    for _ in 0..3 {
        orders.push(one.submit(&clip).await);
    }
    for order in &orders {
        site.facts(order).await.until("completed").await;
        let manifest = manifest(&one, order).await;
        assert!(manifest.tasks.iter().all(|task| task.node == "one"), "{manifest:?}");
    }
    assert_eq!(ready(&one).await.0, 200, "{}", one.log());
    assert!(!one.log().contains("store-"), "{}", one.log());

    mounted.mount(&site.folder().join("media"));
    in_time("it works again", async || ready(&two).await.0 == 200).await;
    let order = two.submit(&clip).await;
    site.facts(&order).await.until("completed").await;
    drop(one);
    two.bytes(&format!("/v/{}/master.m3u8", order.video)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_left_alone_works_again_when_its_own_disk_is_back() {
    let site = Site::start().await;
    let mut one = talkative(&site, "one", &[]).await;
    let mounted = Mounted::new(&site);
    let root = mounted.root.to_str().unwrap();
    let two = talkative(&site, "two", &[("STORE__ROOT", root)]).await;
    moved_on(&site, "two").await;
    let copy = copied(&site, "copy");
    moved_on(&site, "one").await;
    moved_on(&site, "two").await;
    mounted.mount(&copy);
    two.logs("takes no work until it finds the signs").await;
    one.terminate();
    assert_eq!(one.ended().await, Some(0));
    moved_on(&site, "two").await;
    assert_eq!(ready(&two).await.0, 503, "that the other one left proves nothing");
    mounted.mount(&site.folder().join("media"));
    in_time("it works again", async || ready(&two).await.0 == 200).await;
    moved_on(&site, "two").await;
    moved_on(&site, "two").await;
    let keys = site.keys(SIGNS).await;
    assert!((1..=3).contains(&keys.len()), "the lost sign is removed too: {keys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signs_of_a_node_are_few_and_go_with_it() {
    let site = Site::start().await;
    let mut node = talkative(&site, "one", &[]).await;
    for _ in 0..3 {
        moved_on(&site, "one").await;
        let keys = site.keys(SIGNS).await;
        assert!((1..=3).contains(&keys.len()), "{keys:?}");
    }
    node.terminate();
    assert_eq!(node.ended().await, Some(0));
    assert_eq!(site.keys(SIGNS).await, Vec::<String>::new());
    assert_eq!(std::fs::read_dir(site.folder().join("media/nodes")).unwrap().count(), 0);
    assert!(words(&site).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweeper_removes_signs_of_nodes_that_are_gone_and_no_others() {
    let site = Site::start().await;
    let mut killed = site.node("killed", &[]).await;
    in_time("it speaks", async || newest_sign(&site, "killed").await == Some(1)).await;
    in_time("it works", async || words(&site).await.iter().all(Presence::is_settled)).await;
    killed.kill();
    let gone = format!("{SIGNS}01939c7e-0000-7000-8000-00000000000a/7");
    let foreign = format!("{SIGNS}film.mp4");
    for key in [&gone, &foreign] {
        site.put(key, b"x".to_vec()).await;
    }
    let _node = site.node("alive", &HASTY).await;
    in_time("it is swept", async || site.store().size(&gone).await.unwrap().is_none()).await;
    let left = site.keys(SIGNS).await;
    for id in words_ids(&site).await {
        assert!(left.iter().any(|key| key.contains(&id)), "{id}: {left:?}");
    }
    assert!(left.contains(&foreign), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_write_its_sign_works_all_the_same() {
    let Some(clip) = media::made(SHORT) else { return };
    let site = Site::start().await;
    site.put("nodes", b"in the way".to_vec()).await;
    let node = talkative(&site, "one", &[]).await;
    let order = node.submit(&clip).await;
    site.facts(&order).await.until("completed").await;
    in_time("it speaks", async || words(&site).await.iter().any(Presence::is_settled)).await;
    assert_eq!(newest_sign(&site, "one").await, None);
    let _other = talkative(&site, "two", &[]).await;
}
