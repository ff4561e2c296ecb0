//! A deleted video is not visible any more, and nothing of it remains.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use jetreel_actors::ports::{DeadLetters as _, Videos};
use jetreel_domain::id::{Group, OrderId, TaskId};
use reqwest::StatusCode;
use tokio::process::Command;

use crate::clips::jetreel;
use crate::crash::claimed;
use crate::deadletters::BURY_REFUSED;
use crate::harness::media::{self, FILM, SHORT, SOUND_ALONE};
use crate::harness::node::Node;
use crate::harness::site::Site;
use crate::reconcile::{HASTY, in_time};

async fn remove(node: &Node, video: &str) -> (Option<i32>, String) {
    let mut command = Command::new(jetreel());
    let output = command.args(["rm", video, "--url", &node.url("")]).output().await.unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Told, and gone: objects, their folders, records, and the state at last.
async fn nothing_remains(site: &Site, node: &Node, order: &OrderId) {
    let video = &order.video;
    let status = async |path: String| node.get(&path).await.status();
    for path in [format!("/v1/jobs/{order}"), format!("/v/{video}/master.m3u8")] {
        assert_eq!(status(path.clone()).await, StatusCode::NOT_FOUND, "{path}");
    }
    let listed = node.json("/v1/jobs").await;
    assert!(!listed.to_string().contains(video.as_str()), "{listed}");
    let mut facts = site.facts(order).await;
    while facts.next().await.body.fact != "deleted" {}
    in_time("its state is gone", async || site.bus.video(video).await.unwrap().is_none()).await;
    for prefix in [format!("raw/{video}/"), format!("out/{video}/")] {
        assert_eq!(site.keys(&prefix).await, Vec::<String>::new());
        assert!(!site.folder().join("media").join(&prefix).exists(), "{prefix}");
    }
    assert!(site.ledger(order).await.is_empty() && site.claim_keys(order).await.is_empty());
    let letters = site.bus.letters(0, 10).await.unwrap();
    assert!(letters.iter().all(|found| found.letter.order.as_ref() != Some(order)));
    assert_eq!(remove(node, video.as_str()).await.0, Some(4), "there is none any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_became_of_it_a_deleted_video_is_gone() {
    let (Some(short), Some(sound)) = (media::made(SHORT), media::made(SOUND_ALONE)) else {
        return;
    };
    let Some(film) = media::made(FILM) else { return };
    let site = Site::start().await;
    let node = site.node("one", &[&HASTY[..], &[BURY_REFUSED]].concat()).await;
    let done = node.submit(&short).await;
    site.facts(&done).await.until("completed").await;
    let failed = node.submit(&sound).await;
    site.facts(&failed).await.until("failed-1").await;
    let kept = node.submit(&short).await;
    site.facts(&kept).await.until("completed").await;
    let mut claims = site.claims().await;
    let running = node.submit(&film).await;
    claimed(&mut claims, TaskId::new(Group::Main, 0), 1).await;

    for order in [&running, &done, &failed] {
        // Played just before: a node keeps what it read for a second.
        node.get(&format!("/v/{}/master.m3u8", order.video)).await;
        let (code, said) = remove(&node, order.video.as_str()).await;
        assert_eq!((code, said.trim()), (Some(0), format!("{}  deleted", order.video).as_str()));
        nothing_remains(&site, &node, order).await;
    }
    let manifest = crate::upload_to_publish::manifest(&node, &kept).await;
    site.must_hold_all_of(&manifest).await;
    assert_eq!(remove(&node, "no-video").await.0, Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_read_can_be_deleted_and_what_is_newer_stays() {
    let Some(short) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let node = site.node("one", &HASTY).await;
    let mut orders = Vec::new();
    for _ in 0..3 {
        let order = node.submit(&short).await;
        site.facts(&order).await.until("completed").await;
        orders.push(order);
    }
    let [garbage, other, newer] = orders.try_into().unwrap();
    let videos = async_nats::jetstream::new(site.client().await);
    let videos = videos.get_key_value("videos").await.unwrap();
    let of_another = videos.get(newer.video.as_str()).await.unwrap().unwrap();
    videos.put(garbage.video.as_str(), "not a document".into()).await.unwrap();
    videos.put(other.video.as_str(), of_another).await.unwrap();
    videos.put(newer.video.as_str(), "{\"v\":99}".into()).await.unwrap();

    for order in [&garbage, &other] {
        let video = &order.video;
        let (code, said) = remove(&node, video.as_str()).await;
        assert_eq!((code, said.trim()), (Some(0), format!("{video}  deleted").as_str()));
        let listed = node.json("/v1/jobs").await;
        assert!(!listed.to_string().contains(video.as_str()), "{listed}");
        for prefix in [format!("raw/{video}/"), format!("out/{video}/")] {
            in_time("its objects are swept", async || site.keys(&prefix).await.is_empty()).await;
        }
        assert_eq!(remove(&node, video.as_str()).await.0, Some(4), "there is none any more");
    }
    assert_ne!(remove(&node, newer.video.as_str()).await.0, Some(0));
    assert_eq!(videos.get(newer.video.as_str()).await.unwrap().unwrap(), "{\"v\":99}");
    assert!(
        !site.keys(&format!("out/{}/", newer.video)).await.is_empty(),
        "nothing of it is swept"
    );
}
