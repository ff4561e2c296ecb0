//! Reads of the store for answers: how many, for how long, and for whom.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Patience;
use super::testing::{READS, Served, served_with};
use super::tests::eventually;

const KEY: &str = "out/00000000000000000000000000/1/main-0000/u/360p.mp4";
const PATH: &str = "/v/00000000000000000000000000/o/1/main-0000/u/360p.mp4";
const BYTES: usize = 20 << 20;

/// No client is cut off.
const CALM: Patience = Patience {
    head: Duration::from_secs(60),
    idle: Duration::from_secs(60),
    write: Duration::from_secs(60),
};

async fn with_an_object() -> (Served, Vec<u8>) {
    let served = served_with(100, CALM).await;
    let content: Vec<u8> =
        (0..BYTES as u32).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect();
    served.put(KEY, &content);
    (served, content)
}

fn reads(served: &Served) -> usize {
    served.store.reads.load(Ordering::SeqCst)
}

fn places(served: &Served) -> usize {
    served.gateway.reads.available_permits()
}

/// A client that has asked for the object, and the head of the answer.
async fn asking(served: &Served) -> TcpStream {
    let mut client = TcpStream::connect(served.address).await.unwrap();
    let head = format!("GET {PATH} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    client.readable().await.unwrap();
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_object_is_one_read_for_a_client_that_takes_it() {
    let (served, content) = with_an_object().await;
    let whole = reqwest::get(served.at(PATH)).await.unwrap().bytes().await.unwrap();
    assert_eq!((reads(&served), whole.len()), (1, BYTES));
    assert!(whole == content);
    let range =
        reqwest::Client::new().get(served.at(PATH)).header("range", "bytes=1000000-9999999");
    let part = range.send().await.unwrap().bytes().await.unwrap();
    assert_eq!(reads(&served), 2);
    assert!(part == content[1_000_000..10_000_000]);
    eventually(|| places(&served) == READS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_pauses_holds_no_place_and_gets_the_rest_later() {
    let (served, content) = with_an_object().await;
    let mut paused = Vec::new();
    for _ in 0..READS {
        paused.push(asking(&served).await);
    }
    // The sockets are full, and nothing is taken.
    eventually(|| reads(&served) == READS && places(&served) == READS).await;
    // Another one is served at once, whatever they do.
    let whole = reqwest::get(served.at(PATH)).await.unwrap().bytes().await.unwrap();
    assert_eq!((reads(&served), whole.len()), (READS + 1, BYTES));
    let mut answer = Vec::new();
    paused[0].read_to_end(&mut answer).await.unwrap();
    assert!(answer.ends_with(&content));
    assert_eq!(reads(&served), READS + 2, "it is read on from where it was left");
    // A client that goes away is forgotten.
    drop(paused);
    eventually(|| places(&served) == READS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_places_are_taken_each_read_has_its_turn() {
    let (served, _) = with_an_object().await;
    let steady = |mut client: TcpStream| async move {
        let mut piece = vec![0; 256 << 10];
        loop {
            client.read_exact(&mut piece).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..READS {
        clients.spawn(steady(asking(&served).await));
    }
    eventually(|| places(&served) == 0).await;
    let begun = Instant::now();
    let part = reqwest::Client::new().get(served.at(PATH)).header("range", "bytes=0-99");
    assert_eq!(part.send().await.unwrap().bytes().await.unwrap().len(), 100);
    // The steady clients have seven more seconds to go.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_object_that_is_not_there_or_too_short_is_told() {
    let (served, _) = with_an_object().await;
    let missing = reqwest::get(served.at(&PATH.replace("360p", "720p"))).await.unwrap();
    assert_eq!(missing.status(), 404);
    let request = axum::http::HeaderMap::new();
    let stored = async |key: &str, size: usize| {
        let (key, size) = (key.to_owned(), Some(size as u64));
        let freshness = super::objects::Freshness::Immutable;
        super::objects::stored(&served.gateway, key, size, &request, freshness).await
    };
    let asked = served.store.sizes.load(Ordering::SeqCst);
    let gone = stored("out/x", BYTES).await.unwrap_err();
    assert_eq!(gone.code, "no-such-object");
    let longer = stored(KEY, BYTES + 1).await.unwrap().into_body();
    assert!(axum::body::to_bytes(longer, usize::MAX).await.is_err());
    assert_eq!(served.store.sizes.load(Ordering::SeqCst), asked, "the size was known");
}
