//! The main job end to end: an upload by HTTP becomes facts, playlists and files, and the broker forgets what it needed for it.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use jetreel_domain::delivery::subject;
use jetreel_domain::id::{Group, OrderId};
use jetreel_domain::output::manifest::Manifest;
use jetreel_domain::output::playlist;
use reqwest::StatusCode;

use crate::harness::eventually::eventually_so;
use crate::harness::hls::Mirror;
use crate::harness::media::{self, FILM, Recipe};
use crate::harness::node::Node;
use crate::harness::site::{Site, Told};

const TIERS: [&str; 2] = ["360p", "240p"];
const SOUND_SLACK_SECONDS: f64 = 0.1;

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_becomes_a_video() {
    let Some(film) = media::made(FILM) else { return };
    let site = Site::start().await;
    let node = site.node("one", &[]).await;
    let mut claims = site.claims().await;
    let order = upload(&node, &film).await;
    let mut facts = site.facts(&order).await;

    let mut told = facts.until("playable").await;
    claims.next("a chunk is begun", |_, claim| claim.node == "one").await;
    playable_while_it_is_encoded(&node, &order).await;

    told.extend(facts.until("completed").await);
    must_be_told_rightly(&order, &told);
    must_be_published(&site, &node, &order, FILM).await;
    must_be_forgotten(&site, &order).await;
}

/// Posts a file: taken at once, with the place where its job is.
async fn upload(node: &Node, file: &std::path::Path) -> OrderId {
    let answer = node.post(std::fs::read(file).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    assert!(answer.headers().contains_key("retry-after"));
    let place = answer.headers()["location"].to_str().unwrap().to_owned();
    let said: serde_json::Value = answer.json().await.unwrap();
    assert_eq!((said["status"].as_str(), said["job"].as_str()), (Some("QUEUED"), Some(&*place)));
    let order: OrderId = place.strip_prefix("/v1/jobs/").unwrap().parse().unwrap();
    assert_eq!(node.json(&place).await["id"], order.to_string());
    order
}

/// With encoding held in the middle: lists that grow, and all that they name can be decoded.
async fn playable_while_it_is_encoded(node: &Node, order: &OrderId) {
    let held = node.freeze_codec().await;
    let job = node.json(&format!("/v1/jobs/{order}")).await;
    assert_eq!((job["status"].as_str(), job["playable"].as_bool()), (Some("ENCODING"), Some(true)));
    let progress = job["progress"].as_u64().unwrap();
    assert!((1..100).contains(&progress), "{progress}");
    let mirror = Mirror::new(node, &order.video);
    assert_eq!(mirror.master().await, TIERS.map(|tier| format!("{tier}.m3u8")));
    for tier in TIERS {
        let name = format!("{tier}.m3u8");
        let (list, file) = mirror.media(&name).await;
        assert!(!list.ended && mirror.text(&name).contains("#EXT-X-PLAYLIST-TYPE:EVENT"), "{name}");
        let frames = media::frames(&file).await;
        let promised = (list.seconds() * 25.0).round() as u64;
        assert!(frames > 0 && frames < FILM.frames, "{name}: {frames}");
        assert_eq!(frames, promised, "{name}: a list promises what can be decoded");
    }
    let (list, file) = mirror.media("audio-0.m3u8").await;
    let sound = media::sound_seconds(&file).await;
    assert!((sound - list.seconds()).abs() < SOUND_SLACK_SECONDS, "{sound} {}", list.seconds());
    held.must_hold();
}

fn must_be_told_rightly(order: &OrderId, told: &[Told]) {
    let words: Vec<&str> = told.iter().map(|told| told.body.fact.as_str()).collect();
    assert_eq!((words.first(), words.last()), (Some(&"playable"), Some(&"completed")));
    let mut tiers = words[1..words.len() - 1].to_vec();
    tiers.sort_unstable();
    assert_eq!(tiers, ["tier-240p", "tier-360p"], "each once");
    for (expected, told) in (1..).zip(told) {
        let word = &told.body.fact;
        assert_eq!(told.body.seq, expected, "{word}");
        assert_eq!(told.id, format!("{order}/{word}"));
        assert!(told.subject.ends_with(&format!(".{}.{}.{word}", order.video, order.number)));
        assert_eq!(told.body.order, order.to_string());
        assert_eq!(told.body.playlist, Some(format!("/v/{}/master.m3u8", order.video)));
    }
    assert!(told.last().unwrap().body.published.is_some());
}

/// The finished set: complete lists, every frame in every tier, files for download, and a manifest that is true.
pub(crate) async fn must_be_published(site: &Site, node: &Node, order: &OrderId, from: Recipe) {
    let job = node.json(&format!("/v1/jobs/{order}")).await;
    assert_eq!((job["status"].as_str(), job["progress"].as_u64()), (Some("COMPLETED"), Some(100)));
    let video = &order.video;
    let manifest = manifest(node, order).await;
    let mirror = Mirror::new(node, video);
    assert_eq!(mirror.master().await, TIERS.map(|tier| format!("{tier}.m3u8")));
    let mut seconds = Vec::new();
    for tier in &manifest.tiers {
        assert_eq!(tier.frames, from.frames, "{}", tier.name);
        let (list, file) = mirror.media(&tier.playlist).await;
        assert_eq!(list.complaint(), None, "{}", tier.name);
        assert_eq!(media::frames(&file).await, from.frames, "{}", tier.name);
        let download = node.url(&format!("/v/{video}/{}.mp4", tier.name));
        assert_eq!(media::frames(&download).await, from.frames, "{download}");
        seconds.push(list.seconds());
    }
    let (list, file) = mirror.media("audio-0.m3u8").await;
    let sound = media::sound_seconds(&file).await;
    seconds.push(sound);
    assert!(list.ended && (sound - list.seconds()).abs() < SOUND_SLACK_SECONDS);
    seconds.sort_by(f64::total_cmp);
    let spread = seconds.last().unwrap() - seconds[0];
    assert!(spread < SOUND_SLACK_SECONDS, "{seconds:?}");
    ranges_are_served(node, &manifest).await;
    let vtt = String::from_utf8(node.bytes(&format!("/v/{video}/thumbnails.vtt")).await).unwrap();
    assert!(vtt.starts_with("WEBVTT") && vtt.contains("#xywh="), "{vtt}");
    assert!(node.bytes(&format!("/v/{video}/poster.jpg")).await.starts_with(&[0xff, 0xd8]));
    site.must_hold_all_of(&manifest).await;
}

async fn ranges_are_served(node: &Node, manifest: &Manifest) {
    let object = &manifest.tiers[0].objects[0];
    let path = format!("/v/{}/{}", manifest.video, playlist::object_uri(&manifest.video, object));
    let whole = node.bytes(&path).await;
    let part = node.range(&path, "bytes=10-99").await;
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.headers()["content-type"], "video/mp4");
    assert_eq!(part.bytes().await.unwrap(), whole[10..100]);
}

/// The manifest as it is served.
pub(crate) async fn manifest(node: &Node, order: &OrderId) -> Manifest {
    let bytes = node.bytes(&format!("/v/{}/manifest.json", order.video)).await;
    let manifest: Manifest = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((&manifest.video, manifest.order), (&order.video, order.number));
    manifest
}

/// Records that only the work needed are removed: entries, claims, queued tasks.
async fn must_be_forgotten(site: &Site, order: &OrderId) {
    eventually_so("ledger and claims are purged", async || {
        site.ledger(order).await.is_empty() && site.claim_keys(order).await.is_empty()
    })
    .await;
    let main = subject::encode_filter(jetreel_domain::order::lane::Lane::Normal, Group::Main);
    eventually_so("no task is queued", async || site.subjects("ENCODE", &main).await.is_empty())
        .await;
    let told = site.subjects("PROGRESS", &subject::progress_filter(&order.video)).await;
    assert_eq!(told.len(), 2 + TIERS.len(), "{told:?}");
}
