//! Refused uploads: media that is no video, uploads that break off, empty bodies. Each gets an error and leaves no object.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jetreel_domain::order::state::Status;
use jetreel_domain::words::sentence;
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::clips::{below, jetreel, path};
use crate::harness::eventually::eventually;
use crate::harness::media::{self, SHORT, SOUND_ALONE};
use crate::harness::node::Node;
use crate::harness::site::Site;

/// Files that are refused, with the code that says why.
fn refused(folder: &Path) -> Option<Vec<(PathBuf, &'static str)>> {
    let text = folder.join("text.mp4");
    std::fs::write(&text, "this is no video\n".repeat(1000)).unwrap();
    let noise = folder.join("noise.mp4");
    let bytes: Vec<u8> =
        (0..100_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(&noise, bytes).unwrap();
    let sound = media::made(SOUND_ALONE)?;
    // Its index is at the end, and cut off.
    let whole = std::fs::read(media::made(SHORT)?).unwrap();
    let cut = folder.join("cut.mp4");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    Some(vec![
        (text, "unknown-format"),
        (noise, "unknown-format"),
        (sound, "no-video"),
        (cut, "unreadable"),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn media_that_is_no_video_is_refused_with_its_reason() {
    let site = Site::start().await;
    let Some(files) = refused(site.folder()) else { return };
    let node = site.node("one", &[]).await;
    for (file, code) in files {
        let order = node.submit(&file).await;
        let told = site.facts(&order).await.until("failed-1").await;
        let reason = told[0].body.error.clone().unwrap();
        let job = node.json(&format!("/v1/jobs/{order}")).await;
        assert_eq!((job["status"].as_str(), told.len()), (Some("FAILED"), 1), "{job}");
        assert_eq!(
            (job["error"]["code"].as_str(), reason.code.as_str()),
            (Some(code), code),
            "{job}"
        );
        assert_eq!((&job["error"]["permanent"], &job["playable"]), (&true.into(), &false.into()));
        let sentence = job["error"]["message"].as_str().unwrap();
        assert_eq!(sentence::check_plain(sentence), Ok(()));
        assert_eq!(node.get(&format!("/v/{}/master.m3u8", order.video)).await.status(), 404);
        assert!(site.ledger(&order).await.is_empty());
        let claims = site.claim_keys(&order).await;
        let of_tasks = claims.iter().filter(|key| !key.ends_with(".ingest"));
        assert_eq!(of_tasks.count(), 0, "{claims:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_file_leaves_nothing_behind() {
    let place = tempfile::tempdir().unwrap();
    let Some(files) = refused(place.path()) else { return };
    for (file, code) in files {
        let run = tempfile::tempdir().unwrap();
        for folder in ["tmp", "cwd", "above"] {
            std::fs::create_dir(run.path().join(folder)).unwrap();
        }
        let mut command = Command::new(jetreel());
        command.arg("transcode").arg(&file).arg("--json");
        command.arg("--out").arg(run.path().join("above/out"));
        command.env("TMPDIR", run.path().join("tmp")).env("PATH", path());
        command.current_dir(run.path().join("cwd")).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["error"]["code"], code, "{said}");
        assert_eq!(below(run.path()), ["above", "cwd", "tmp"], "left behind");
    }
}

/// Sends the head of an upload of `length` bytes, and `sent` of them.
async fn half_an_upload(node: &Node, length: usize, sent: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(node.authority()).await.unwrap();
    let head = format!(
        "POST /v1/videos HTTP/1.1\r\nHost: {}\r\nContent-Type: video/mp4\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n",
        node.authority()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(sent).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_leaves_nothing() {
    const PART: usize = 1 << 20;
    let site = Site::start().await;
    let node = site
        .node("one", &[("HTTP__PART_BYTES", "1048576"), ("LIMITS__UPLOAD_BYTES_MAX", "1073741824")])
        .await;
    let mut states = site.states().await;
    let stream = half_an_upload(&node, 8 * PART, &vec![7; 3 * PART + 99]).await;
    let begun = states.next("the upload is begun", |_, _| true).await;
    assert_eq!(begun.orders[0].status, Status::Receiving);
    let raw = site.folder().join("media/raw");
    let parts = || below(&raw).iter().filter(|name| name.contains('/')).count();
    eventually("two parts are stored", || parts() >= 2).await;
    drop(stream);

    let ended = states.next("the upload is given up", |_, video| video.id == begun.id).await;
    assert_eq!(ended.orders[0].status, Status::Cancelled, "never QUEUED");
    assert_eq!(parts(), 0, "{:?}", below(&raw));
    assert!(site.subjects("UPLOADS", ">").await.is_empty());
    let job = node.json(&format!("/v1/jobs/{}-1", begun.id)).await;
    assert_eq!(job["status"], "CANCELLED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_bytes_is_refused_at_once() {
    let site = Site::start().await;
    let node = site.node("one", &[]).await;
    let answer = node.post(Vec::new()).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let problem: serde_json::Value = answer.json().await.unwrap();
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("empty")), "{problem}");

    // Without a declared length only the body itself shows that it is empty.
    let mut stream = TcpStream::connect(node.authority()).await.unwrap();
    let request = format!(
        "POST /v1/videos HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\
         Connection: close\r\n\r\n0\r\n\r\n",
        node.authority()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert!(said.starts_with("HTTP/1.1 400"), "{said}");
    assert!(site.subjects("KV_videos", ">").await.is_empty(), "no video was created");
}
