//! Tests with slow, silent and greedy clients on real sockets. The server disconnects them and keeps serving others.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jetreel_domain::order::state::Status;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Closing;
use super::objects::{Freshness, stored};
use super::testing::{Served, served, served_to};
use super::tests::eventually;

/// Far longer than any test here.
const LONG: Duration = Duration::from_secs(60);

async fn connected(served: &Served) -> TcpStream {
    TcpStream::connect(served.address).await.unwrap()
}

/// All bytes that the server sends until it closes.
async fn until_closed(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // Closing a socket with unread bytes resets it.
    let read = timeout(LONG, socket.read_to_end(&mut bytes)).await.expect("it is closed");
    drop(read);
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn live(served: &Served) -> reqwest::Result<reqwest::Response> {
    // Uses its own connection.
    reqwest::Client::new().get(served.at("/livez")).timeout(LONG).send().await
}

#[tokio::test]
async fn silent_connections_give_way_to_new_ones() {
    let served = served_to(10).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(connected(&served).await);
    }
    for _ in 0..20 {
        assert_eq!(live(&served).await.unwrap().status(), 200);
    }
    let first = silent.first_mut().unwrap();
    assert_eq!(until_closed(first).await, "");
}

#[tokio::test]
async fn a_request_at_work_gives_way_to_nobody() {
    let served = served_to(1).await;
    let mut uploading = connected(&served).await;
    let head = "POST /v1/videos HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1500\r\n\r\n";
    uploading.write_all(head.as_bytes()).await.unwrap();
    uploading.write_all(&[1; 1000]).await.unwrap();
    eventually(|| !served.videos.kept.lock().unwrap().is_empty()).await;
    let (answer, newcomer) = tokio::join!(
        async {
            uploading.write_all(&[1; 500]).await.unwrap();
            let mut answer = [0; 12];
            uploading.read_exact(&mut answer).await.unwrap();
            answer
        },
        live(&served)
    );
    assert_eq!(&answer, b"HTTP/1.1 202");
    // Its place is free as soon as it is idle.
    assert_eq!(newcomer.unwrap().status(), 200);
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_awaited_for_ever() {
    let served = served().await;
    let mut silent = connected(&served).await;
    let mut slow = connected(&served).await;
    let dribble = async {
        for byte in "GET /livez HTTP/1.1\r\nx-slow: ".bytes().chain(std::iter::repeat(b'x')) {
            if slow.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(LONG, dribble).await.expect("it is cut off");
    assert_eq!(until_closed(&mut silent).await, "");
    let mut stalled = connected(&served).await;
    stalled.write_all(b"GET /livez HTTP/1.1\r\nhost: ").await.unwrap();
    let answer = until_closed(&mut stalled).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("head-timeout"), "{answer}");
    eventually(|| served.open.load(Ordering::SeqCst) == 0).await;
    let mut ended = served.ended.lock().unwrap().clone();
    ended.sort_by_key(|closing| *closing == Some(Closing::Idle));
    assert_eq!(ended, [Some(Closing::Head), Some(Closing::Head), Some(Closing::Idle)]);
}

#[tokio::test]
async fn a_connection_that_is_kept_alive_is_closed_when_it_stays_idle() {
    let served = served().await;
    let mut kept = connected(&served).await;
    for _ in 0..2 {
        kept.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut answer = vec![0; 4096];
        let read = kept.read(&mut answer).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
    }
    assert_eq!(until_closed(&mut kept).await, "");
    eventually(|| served.open.load(Ordering::SeqCst) == 0).await;
    assert_eq!(*served.ended.lock().unwrap(), [Some(Closing::Idle)]);
    drop(live(&served).await.unwrap());
    eventually(|| served.ended.lock().unwrap().last() == Some(&None)).await;
}

#[tokio::test]
async fn an_upload_that_stalls_is_told_and_cleared_up() {
    let served = served().await;
    let mut stalled = connected(&served).await;
    let head = "POST /v1/videos HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5000\r\n\r\n";
    stalled.write_all(head.as_bytes()).await.unwrap();
    stalled.write_all(&[1; 2500]).await.unwrap();
    let answer = until_closed(&mut stalled).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("upload-stalled"), "{answer}");
    assert_eq!(served.video().orders[0].status, Status::Cancelled);
    assert_eq!(served.files(), 0);
}

#[tokio::test]
async fn an_upload_that_never_begins_to_flow_creates_nothing() {
    let served = served().await;
    let mut slow = connected(&served).await;
    let head = "POST /v1/videos HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5000\r\n\r\n";
    slow.write_all(head.as_bytes()).await.unwrap();
    let (mut answers, mut asks) = slow.into_split();
    let dribble = async {
        while asks.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let mut answer = [0; 12];
    tokio::select! {
        () = dribble => panic!("cut off without a word"),
        read = timeout(LONG, answers.read_exact(&mut answer)) => { read.unwrap().unwrap(); }
    }
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert!(served.videos.kept.lock().unwrap().is_empty());
}

#[tokio::test]
async fn uploads_that_hardly_begin_give_way_to_others() {
    const PLACES: usize = 4;
    let served = served_to(PLACES).await;
    let mut slow = Vec::new();
    for _ in 0..PLACES {
        let mut socket = connected(&served).await;
        let head = "POST /v1/videos HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5000\r\n\r\nx";
        socket.write_all(head.as_bytes()).await.unwrap();
        slow.push(socket);
    }
    // All places are busy.
    assert_eq!(live(&served).await.unwrap().status(), 200);
    let mut answers = Vec::new();
    for socket in &mut slow {
        answers.push(until_closed(socket).await);
    }
    assert!(answers.iter().any(String::is_empty), "{answers:?}");
}

#[tokio::test]
async fn who_takes_no_answer_gives_up_its_place() {
    let served = served_to(1).await;
    let key = "out/00000000000000000000000000/1/main-0000/u/360p.mp4";
    let path = served.folder.path().join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, vec![7; 32 << 20]).unwrap();
    let mut deaf = connected(&served).await;
    let head = "GET /v/00000000000000000000000000/o/1/main-0000/u/360p.mp4 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    deaf.write_all(head.as_bytes()).await.unwrap();
    deaf.readable().await.unwrap();
    // The slow client holds the only place until it is disconnected.
    assert_eq!(live(&served).await.unwrap().status(), 200);
    assert!(until_closed(&mut deaf).await.len() < 32 << 20);
}

#[tokio::test]
async fn a_server_that_stops_waits_for_work_and_not_for_silence() {
    let served = served().await;
    let _silent = connected(&served).await;
    let mut uploading = connected(&served).await;
    let head = "POST /v1/videos HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1500\r\n\r\n";
    uploading.write_all(head.as_bytes()).await.unwrap();
    uploading.write_all(&[1; 1000]).await.unwrap();
    eventually(|| !served.videos.kept.lock().unwrap().is_empty()).await;
    served.stop.cancel();
    uploading.write_all(&[1; 500]).await.unwrap();
    assert!(until_closed(&mut uploading).await.starts_with("HTTP/1.1 202 "));
    timeout(LONG, served.server).await.expect("it ends").unwrap();
}

#[tokio::test]
async fn a_small_object_is_one_piece_with_its_length_known() {
    let served = served().await;
    let key = "out/00000000000000000000000000/1/final-1/master.m3u8";
    let path = served.folder.path().join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, vec![7; 1000]).unwrap();
    for size in [None, Some(1000)] {
        let request = axum::http::HeaderMap::new();
        let answer =
            stored(&served.gateway, key.to_owned(), size, &request, Freshness::Immutable).await;
        let body = answer.unwrap().into_body();
        assert_eq!(hyper::body::Body::size_hint(&body).exact(), Some(1000));
    }
}
