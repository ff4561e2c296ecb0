//! A node that may have few descriptors, among hundreds of silent connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::harness::eventually::eventually;
use crate::harness::media::{self, SHORT};
use crate::harness::site::Site;

/// Twice as many as the node may have descriptors.
const SILENT: usize = 500;
const DESCRIPTORS: u64 = 256;
/// A silent client that is closed comes back.
const AGAIN: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_keep_nobody_from_uploads_codecs_store_and_players() {
    let Some(clip) = media::made(SHORT) else { return };
    jetreel::descriptors::raise();
    let site = Site::start().await;
    let node = site.node_within(DESCRIPTORS, &[("HTTP__ADMIN_LISTEN", "127.0.0.1:0")]).await;
    let address = node.authority().to_owned();
    let mut crowd = JoinSet::new();
    let connected = Arc::new(AtomicU64::new(0));
    for _ in 0..SILENT {
        let (address, connected) = (address.clone(), connected.clone());
        crowd.spawn(async move {
            loop {
                if let Ok(mut socket) = TcpStream::connect(&address).await {
                    connected.fetch_add(1, Ordering::Relaxed);
                    drop(socket.read_to_end(&mut Vec::new()).await);
                }
                tokio::time::sleep(AGAIN).await;
            }
        });
    }
    let crowded = || connected.load(Ordering::Relaxed) > DESCRIPTORS;
    eventually("more are connected than the node may have descriptors", crowded).await;
    let order = node.submit(&clip).await;
    site.facts(&order).await.until("completed").await;
    let master = node.bytes(&format!("/v/{}/master.m3u8", order.video)).await;
    assert!(master.starts_with(b"#EXTM3U"));
    let log = node.log();
    assert!(log.contains("\"limit\":256") && !log.contains("os error 24"), "{log}");
    let line =
        log.lines().find(|line| line.contains("metrics and health checks are served")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let admin = line["address"].as_str().unwrap();
    let live = reqwest::get(format!("http://{admin}/livez")).await.unwrap();
    assert_eq!(live.status(), 200);
    let numbers =
        reqwest::get(format!("http://{admin}/metrics")).await.unwrap().text().await.unwrap();
    let number = |name: &str| -> u64 {
        let line = numbers.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        line.trim().parse().unwrap()
    };
    let open = number("jetreel_http_connections ");
    assert!((1..=DESCRIPTORS).contains(&open), "{numbers}");
    let closed = number("jetreel_http_connections_closed_total{reason=\"crowded\"}");
    assert!(closed >= SILENT as u64 - DESCRIPTORS, "{numbers}");
    crowd.shutdown().await;
}
