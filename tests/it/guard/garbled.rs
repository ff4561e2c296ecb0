//! Messages that the broker stores and no client of its library can take, on everything that is read.

use async_nats::jetstream;
use jetreel::bus::names;
use jetreel_actors::ports::{DeadLetters as _, Remains, Survey as _, Videos};
use jetreel_domain::delivery::subject;
use jetreel_domain::id::{Group, OrderId, TaskId, VideoId};
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::state::{Fact, Status};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::media::{self, SHORT};
use crate::harness::node::Node;
use crate::harness::site::{Site, awaited};
use crate::reconcile::{HASTY, in_time, untold};

/// Heads that the broker takes.
const HEADS: [&[u8]; 3] = [
    b"NATS/1.0\r\nfoo\r\n\r\n",
    b"NATS/1.0\r\nfoo: \xff\r\n\r\n",
    b"NATS/1.0\r\nfoo bar: x\r\n\r\n",
];

/// Sends this to the broker as no client library would, and waits until it was processed.
async fn say(site: &Site, words: &[u8]) {
    let address = site.nats().url().trim_start_matches("nats://").to_owned();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let hello = b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n";
    let all = [&hello[..], words, b"PING\r\n"].concat();
    socket.write_all(&all).await.unwrap();
    let (mut said, mut some) = (Vec::new(), [0; 4096]);
    let answered = async {
        while !said.windows(6).any(|window| window == b"PONG\r\n") {
            let count = socket.read(&mut some).await.unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&said));
            said.extend_from_slice(&some[..count]);
        }
    };
    awaited("the broker's answer", answered).await;
    assert!(!String::from_utf8_lossy(&said).contains("-ERR"), "{}", String::from_utf8_lossy(&said));
}

/// Publishes with that head. Gives the sequence under which `stream` has it.
async fn garble(site: &Site, stream: &str, subject: &[u8], head: &[u8], body: &[u8]) -> u64 {
    let before = last(site, stream).await;
    let sizes = format!(" {} {}\r\n", head.len(), head.len() + body.len());
    let words = [&b"HPUB "[..], subject, sizes.as_bytes(), head, body, b"\r\n"].concat();
    say(site, &words).await;
    in_time("it is stored", async || last(site, stream).await > before).await;
    before + 1
}

async fn last(site: &Site, stream: &str) -> u64 {
    let context = jetstream::new(site.client().await);
    let mut stream = context.get_stream(stream).await.unwrap();
    stream.info().await.unwrap().state.last_sequence
}

async fn is_there(site: &Site, stream: &str, sequence: u64) -> bool {
    site.bus.stored(stream, sequence).await.unwrap().is_some()
}

async fn removed(node: &Node, stream: &str) -> u64 {
    let numbers = String::from_utf8(node.bytes("/metrics").await).unwrap();
    let line = format!("jetreel_undeliverable_total{{stream=\"{stream}\"}} ");
    let found = numbers.lines().find_map(|text| text.strip_prefix(&line));
    found.map_or(0, |number| number.parse().unwrap())
}

async fn completes(site: &Site, order: &OrderId) {
    site.facts(order).await.until("completed").await;
}

/// Every queue that a node pulls from, with a subject of it.
fn queues(order: &OrderId) -> [(&'static str, String); 5] {
    let task = TaskId::new(Group::Main, 7);
    let advisory = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.ENCODE.x".to_owned();
    [
        (names::UPLOADS, subject::upload(&order.video)),
        (names::ENCODE, subject::encode(Lane::Normal, order, task)),
        (names::LEDGER, subject::ledger(order, task)),
        (names::PUBLISH, subject::publish(order)),
        (names::ADVISORY, advisory),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_node_can_take_is_removed_from_every_queue() {
    let Some(clip) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let node = site.node("one", &HASTY).await;
    let nobodys = OrderId::new(VideoId::from_bits(77), 1);
    for (stream, place) in queues(&nobodys) {
        let mut places = vec![(place.clone().into_bytes(), HEADS[0])];
        places.extend(HEADS[1..].iter().map(|head| (place.clone().into_bytes(), *head)));
        let (stem, _) = place.rsplit_once('.').unwrap();
        let plain = &b"NATS/1.0\r\n\r\n"[..];
        places.push(([stem.as_bytes(), b".x\xff"].concat(), plain));
        places.push((format!("{stem}.x\u{3000}y").into_bytes(), plain));
        for (count, (place, head)) in (1..).zip(places) {
            let sequence = garble(&site, stream, &place, head, b"x").await;
            let what = format!("{stream}: {} {head:?}", String::from_utf8_lossy(&place));
            in_time(&what, async || removed(&node, stream).await == count).await;
            assert!(!is_there(&site, stream, sequence).await, "{what}");
        }
    }
    let order = node.submit(&clip).await;
    completes(&site, &order).await;
    assert_eq!(site.bus.letters(0, 10).await.unwrap(), []);
    assert!(
        !node.log().contains("the node pulls nothing until a probe succeeds"),
        "{}",
        node.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_state_that_nobody_can_take_others_do_not_suffer() {
    let Some(clip) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let videos = "KV_videos";
    let mut bad = Vec::new();
    for bits in 1..=9 {
        // Each third one, the second first: batches begin, end and go on with one.
        if bits % 3 == 2 {
            let id = VideoId::from_bits(bits);
            let place = names::bucket_subject(names::VIDEOS_BUCKET, id.as_str());
            garble(&site, videos, place.as_bytes(), HEADS[bits as usize / 4], b"{}").await;
            bad.push(id);
        } else {
            untold(&site, &clip, bits, Status::Receiving).await;
        }
    }
    let queued = untold(&site, &clip, 10, Status::Queued).await;
    let node = site.node("one", &HASTY).await;
    let listed = node.json("/v1/jobs").await;
    let of = |id: &VideoId| {
        let jobs = listed["jobs"].as_array().unwrap().iter();
        jobs.into_iter().find(|job| job["video"] == id.as_str()).cloned().unwrap_or_default()
    };
    for id in &bad {
        assert_eq!(of(id)["unreadable"]["code"], "unreadable-document", "{listed}");
    }
    let good = [1, 3, 4, 6, 7, 9, 10].map(VideoId::from_bits);
    for id in &good {
        assert_eq!(of(id)["unreadable"], Value::Null, "{listed}");
        assert_eq!(of(id)["video"], id.as_str(), "{listed}");
    }
    // The reconciler finds the upload that was not announced.
    completes(&site, &queued).await;
    let settled = node.log().matches("broker connection").count();
    let order = node.submit(&clip).await;
    completes(&site, &order).await;
    node.json("/v1/jobs").await;
    assert_eq!(node.log().matches("broker connection").count(), settled, "it breaks no more");
}

/// Every document that a node reads of an order, or of all.
fn documents(order: &OrderId) -> Vec<(String, String)> {
    let claim = |what: &str| {
        let key = subject::claim_key(order, &what.into());
        ("KV_claims".to_owned(), names::bucket_subject(names::CLAIMS_BUCKET, &key))
    };
    let nodes =
        |key: &str| ("KV_nodes".to_owned(), names::bucket_subject(names::NODES_BUCKET, key));
    vec![
        claim("ingest"),
        claim("publish"),
        claim("main-0000"),
        nodes(names::RECONCILER_KEY),
        nodes(&names::node_key("another")),
        (names::PROGRESS.to_owned(), subject::progress(order, &Fact::Playable)),
        (names::DLQ.to_owned(), subject::dead_letter(&subject::upload(&order.video))),
        (names::LEDGER.to_owned(), subject::ledger(order, TaskId::new(Group::Images, 0))),
        (names::LEDGER.to_owned(), subject::ledger_part(order, TaskId::new(Group::Audio, 0), 0)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_nobody_can_take_hold_up_no_job() {
    let Some(clip) = media::made(SHORT) else { return };
    for head in HEADS {
        let site = Site::start().await;
        let order = untold(&site, &clip, 1, Status::Queued).await;
        for (stream, place) in documents(&order) {
            garble(&site, &stream, place.as_bytes(), head, b"{}").await;
        }
        let node = site.node("one", &HASTY).await;
        in_time("it is complete", async || {
            let video = site.bus.video(&order.video).await.unwrap().unwrap().value;
            video.orders[0].status == Status::Completed
        })
        .await;
        assert!(node.json("/v1/jobs").await["jobs"].is_array());
        in_time("it is clear of entries", async || site.ledger(&order).await.is_empty()).await;
        assert!(site.bus.finished_tasks(&order).await.unwrap().is_empty());
    }
}
