//! A gateway while the broker is down, and lists without reading the whole bucket.

use jetreel_actors::ports::Videos;
use std::time::{Duration, Instant};

use jetreel_domain::order::state::Status;
use reqwest::{Response, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::eventually::eventually_so;
use crate::harness::media::{self, SHORT};
use crate::harness::nats::Nats;
use crate::harness::site::Site;

/// Every answer comes within this time, whatever is away.
const SOON: Duration = Duration::from_secs(5);
/// The same, with what a busy machine adds to seven at once.
const REFUSED: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread")]
async fn finished_videos_play_without_the_broker_played_before_or_not() {
    let Some(clip) = media::made(SHORT) else { return };
    let mut site = Site::start().await;
    let node = site.node("worker", &[]).await;
    let order = node.submit(&clip).await;
    site.facts(&order).await.until("completed").await;
    // A gateway that has served nothing of it yet.
    let gateway = site.node("gateway", &[("NODE__ROLES", "gateway")]).await;
    assert_eq!(gateway.json("/v1/jobs").await["jobs"].as_array().unwrap().len(), 1);
    site.nats_mut().kill();

    let base = format!("/v/{}", order.video);
    let begun = Instant::now();
    let master = gateway.bytes(&format!("{base}/master.m3u8")).await;
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    let manifest = gateway.json(&format!("{base}/manifest.json")).await;
    let master = String::from_utf8(master).unwrap();
    let playlists: Vec<&str> = master.lines().filter(|line| line.ends_with(".m3u8")).collect();
    assert!(!playlists.is_empty(), "{master}");
    for playlist in playlists {
        let text = gateway.bytes(&format!("{base}/{playlist}")).await;
        assert!(String::from_utf8(text).unwrap().contains("#EXT-X-ENDLIST"), "{playlist}");
    }
    for tier in manifest["tiers"].as_array().unwrap() {
        gateway.bytes(&format!("{base}/{}.mp4", tier["name"].as_str().unwrap())).await;
    }
    // What needs the broker says so at once.
    for path in ["/v1/jobs", &format!("/v1/jobs/{order}"), "/v/00000000000000000000000000/a.mp4"] {
        let begun = Instant::now();
        assert_eq!(gateway.get(path).await.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(begun.elapsed() < SOON, "{path}: {:?}", begun.elapsed());
    }
    let begun = Instant::now();
    assert_eq!(gateway.post(vec![7; 1000]).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());

    // When it is back, state decides: who deleted the video is obeyed.
    site.nats_mut().restart().await;
    let videos = async_nats::jetstream::new(site.client().await);
    let videos = videos.get_key_value("videos").await.unwrap();
    videos.purge(order.video.as_str()).await.unwrap();
    eventually_so("the video is gone", async || {
        gateway.get(&format!("{base}/master.m3u8")).await.status() == StatusCode::NOT_FOUND
    })
    .await;
    let listed = gateway.json("/v1/jobs").await;
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 0, "{listed}");
}

/// How the broker goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outage {
    /// It stands still: connections stand, and nothing is answered.
    Frozen,
    /// It is killed.
    Killed,
}

impl Outage {
    fn begin(self, nats: &mut Nats) {
        match self {
            Self::Frozen => nats.freeze(),
            Self::Killed => nats.kill(),
        }
    }

    async fn end(self, nats: &mut Nats) {
        match self {
            Self::Frozen => nats.go_on(),
            Self::Killed => nats.restart().await,
        }
    }
}

/// Fails where the answer is not a 503 in time.
async fn refused_soon(what: &str, asked: impl Future<Output = Response>) {
    let begun = Instant::now();
    let answer = asked.await;
    assert!(begun.elapsed() < REFUSED, "{what}: {:?}", begun.elapsed());
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{what}");
    let problem: serde_json::Value = answer.json().await.expect("a problem document");
    assert_eq!(problem["retryable"], true, "{what}: {problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_waits_for_is_refused_soon_and_works_when_the_broker_is_back() {
    let Some(clip) = media::made(SHORT) else { return };
    for outage in [Outage::Frozen, Outage::Killed] {
        let mut site = Site::start().await;
        let mut node = site.node("worker", &[]).await;
        let job = node.submit(&clip).await;
        let path = format!("/v1/jobs/{job}");
        eventually_so("it encodes", async || node.json(&path).await["status"] == "ENCODING").await;
        // The job stays as it is.
        node.kill();
        let node = site.node("gateway", &[("NODE__ROLES", "gateway")]).await;

        // An upload whose last bytes come during the outage.
        let mut upload = TcpStream::connect(node.authority()).await.unwrap();
        let head = "POST /v1/videos HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 200000\r\n\r\n";
        upload.write_all(head.as_bytes()).await.unwrap();
        upload.write_all(&[7; 100_000]).await.unwrap();
        let videos = async || site.bus.videos().await.unwrap();
        eventually_so("the upload has begun", async || videos().await.len() == 2).await;
        let begun = videos().await.pop().unwrap();

        outage.begin(site.nats_mut());
        let last = async {
            upload.write_all(&[7; 100_000]).await.unwrap();
            let sent = Instant::now();
            let mut answer = String::new();
            upload.read_to_string(&mut answer).await.unwrap();
            assert!(sent.elapsed() < REFUSED, "{outage:?}: {:?}", sent.elapsed());
            assert!(answer.starts_with("HTTP/1.1 503 "), "{outage:?}: {answer}");
            assert!(answer.contains("\"retryable\":true"), "{outage:?}: {answer}");
        };
        let video = &job.video;
        let paths = [
            format!("/v1/jobs/{job}/cancel"),
            format!("/v1/jobs/{job}/retry"),
            format!("/v/{video}/master.m3u8"),
            path.clone(),
            "/v1/jobs".to_owned(),
        ];
        let [cancel, retry, playlist, document, list] = &paths;
        tokio::join!(
            last,
            refused_soon(cancel, node.command(cancel)),
            refused_soon(retry, node.command(retry)),
            refused_soon("delete", node.delete(video)),
            refused_soon(playlist, node.get(playlist)),
            refused_soon(document, node.get(document)),
            refused_soon(list, node.get(list)),
            refused_soon("upload", node.post(vec![7; 1000])),
        );
        outage.end(site.nats_mut()).await;

        // The upload that was refused is given up, whatever the broker had taken of it.
        let status = async || {
            let video = site.bus.video(&begun).await.ok()??.value;
            Some(video.orders[0].status)
        };
        eventually_so("it is given up", async || status().await == Some(Status::Cancelled)).await;
        eventually_so("its parts are gone", async || {
            site.keys(&format!("raw/{begun}/")).await.is_empty()
        })
        .await;
        let (missing, accepted) = (StatusCode::NOT_FOUND, StatusCode::ACCEPTED);
        assert_eq!(node.delete(video).await.status(), accepted, "{outage:?}");
        assert_eq!(node.get(document).await.status(), missing, "{outage:?}");
        assert_eq!(node.post(vec![7; 1000]).await.status(), StatusCode::ACCEPTED, "{outage:?}");
        let listed = node.json("/v1/jobs").await;
        assert_eq!(listed["jobs"].as_array().unwrap().len(), 1, "{outage:?}: {listed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_has_pages_and_leaves_out_what_was_given_up() {
    let site = Site::start().await;
    let node = site.node("gateway", &[("NODE__ROLES", "gateway")]).await;
    let mut sent = Vec::new();
    for _ in 0..7 {
        let job = node.post(vec![7; 10]).await.json::<serde_json::Value>().await.unwrap();
        sent.push(job["video"].as_str().unwrap().to_owned());
    }
    let mut broken = TcpStream::connect(node.authority()).await.unwrap();
    let head = "POST /v1/videos HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n";
    broken.write_all(head.as_bytes()).await.unwrap();
    broken.write_all(&[7; 100_000]).await.unwrap();
    let newest = async || site.bus.videos().await.unwrap().pop().unwrap();
    eventually_so("the upload has begun", async || newest().await.as_str() != sent[6]).await;
    let begun = newest().await;
    let listed = node.json("/v1/jobs?limit=1").await;
    assert_eq!(listed["jobs"][0]["video"], begun.as_str(), "it may still become a video");
    drop(broken);
    eventually_so("it is given up", async || {
        let video = site.bus.video(&begun).await.unwrap().unwrap().value;
        video.orders[0].status == Status::Cancelled
    })
    .await;
    // One gateway that saw every change, and one that reads all at once.
    let other = site.node("other", &[("NODE__ROLES", "gateway")]).await;
    sent.reverse();
    for gateway in [&node, &other] {
        let mut found = Vec::new();
        let mut next = Some("/v1/jobs?limit=3".to_owned());
        while let Some(address) = next {
            let page = gateway.json(&address).await;
            let jobs = page["jobs"].as_array().unwrap();
            found.extend(jobs.iter().map(|job| job["video"].as_str().unwrap().to_owned()));
            next = page["next"].as_str().map(ToOwned::to_owned);
        }
        assert_eq!(found, sent);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_read_on_from_where_they_were_read_last() {
    let site = Site::start().await;
    let node = site.node("gateway", &[("NODE__ROLES", "gateway")]).await;
    for _ in 0..3 {
        assert_eq!(node.post(vec![7; 10]).await.status(), StatusCode::ACCEPTED);
    }
    let mut read = 0;
    let mut ids = Vec::new();
    loop {
        let changes = site.bus.changes(read).await.unwrap();
        ids.extend(changes.changed.iter().map(|changed| changed.id.clone()));
        read = changes.read;
        if !changes.more {
            break;
        }
    }
    let mut sorted = ids.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((ids.len(), sorted.len()), (3, 3));
    assert!(site.bus.changes(read).await.unwrap().changed.is_empty());
    let videos = async_nats::jetstream::new(site.client().await);
    let videos = videos.get_key_value("videos").await.unwrap();
    videos.put(ids[0].as_str(), "not a document".into()).await.unwrap();
    videos.delete(ids[1].as_str()).await.unwrap();
    let changed = site.bus.changes(read).await.unwrap().changed;
    let states: Vec<_> = changed.iter().map(|changed| (&changed.id, &changed.state)).collect();
    assert!(matches!(states[..], [(a, Err(_)), (b, Ok(None))] if *a == ids[0] && *b == ids[1]));
}
