//! Tests of the gateway over the wire.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::{StreamExt, stream};
use jetreel_actors::parts::Lists;
use jetreel_domain::order::state::{Fact, Status};
use reqwest::header::HeaderValue;
use reqwest::{Body, Client, Response};
use serde_json::{Value, json};

use super::testing::{PART_BYTES, Served, UPLOAD_BYTES_MAX, served};

async fn problem(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let body: Value = answer.json().await.unwrap();
    assert_eq!((&body["status"], &body["request_id"]), (&status.into(), &Value::from(id)));
    assert!(!body["detail"].as_str().unwrap().is_empty());
    (status, body["code"].as_str().unwrap().to_owned())
}

pub(super) async fn eventually(holds: impl Fn() -> bool) {
    let patience = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), patience).await.unwrap();
}

async fn upload(served: &Served, query: &str, body: impl Into<Body>) -> Response {
    let url = served.at(&format!("/v1/videos{query}"));
    Client::new().post(url).body(body).send().await.unwrap()
}

#[tokio::test]
async fn an_upload_is_confirmed_only_when_state_and_store_have_it() {
    let served = served().await;
    let query = "?title=a%20%3Cb%3E&owner=team%20a";
    let answer = upload(&served, query, vec![7u8; 2500]).await;
    assert_eq!(answer.status(), 202);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    assert!(answer.headers().contains_key("retry-after"));
    let body: Value = answer.json().await.unwrap();
    let video = served.video();
    assert_eq!(location, format!("/v1/jobs/{}-1", video.id));
    assert_eq!((body["status"].as_str(), video.title.as_str()), (Some("QUEUED"), "a <b>"));
    assert_eq!(video.orders[0].status, Status::Queued);
    let store = served.gateway.ports.store.as_ref();
    let list = Lists::default().get(store, &video.id, &video.source).await.unwrap();
    let sizes: Vec<u64> = list.iter().map(|part| part.bytes).collect();
    assert_eq!((video.source.bytes, sizes), (2500, vec![PART_BYTES, PART_BYTES, 500]));
    assert!(list.iter().all(|part| part.sha256.is_some()));
    assert_eq!(served.files(), 4, "three parts and their list");
    eventually(|| served.videos.logged.lock().unwrap().is_empty()).await;
    let announced = served.videos.announced.lock().unwrap().clone();
    assert_eq!(announced, std::slice::from_ref(&video.id));
    let job = reqwest::get(served.at(&location)).await.unwrap();
    assert!(job.headers().contains_key("retry-after"));
    let job: Value = job.json().await.unwrap();
    assert_eq!((job["status"].as_str(), job["progress"].as_u64()), (Some("QUEUED"), Some(0)));
    assert_eq!((&job["retry_available"], &job["owner"]), (&json!(false), &json!("team a")));
}

#[tokio::test]
async fn the_name_that_a_client_sends_becomes_the_title() {
    for (disposition, title) in [
        ("attachment; filename=\"Пример; 1.mp4\"", "Пример; 1.mp4"),
        ("attachment; filename=\"x.mp4\"; filename*=UTF-8''%E6%97%A5%00%0A%E2%80%AE.mp4", "日.mp4"),
    ] {
        let served = served().await;
        let disposition = HeaderValue::from_bytes(disposition.as_bytes()).unwrap();
        let request = Client::new().post(served.at("/v1/videos")).body("x");
        let answer = request.header("content-disposition", disposition).send().await.unwrap();
        assert_eq!(answer.status(), 202);
        assert_eq!(served.video().title, title);
    }
}

#[tokio::test]
async fn what_is_not_an_upload_is_refused_and_leaves_nothing() {
    let served = served().await;
    let too_large = vec![0u8; UPLOAD_BYTES_MAX as usize + 1];
    assert_eq!(problem(upload(&served, "", "").await).await, (400, "empty-upload".into()));
    let answer = upload(&served, "", too_large.clone()).await;
    assert_eq!(problem(answer).await, (413, "too-large".into()));
    for query in ["?lane=fast", "?owner=a%0Ab", "?owner=%20a"] {
        let answer = upload(&served, query, "x").await;
        assert_eq!(problem(answer).await, (400, "bad-query".into()), "{query}");
    }
    let form = Client::new().post(served.at("/v1/videos")).header("content-type", "multipart/x");
    let answer = form.body("x").send().await.unwrap();
    assert_eq!(problem(answer).await, (415, "unsupported-media-type".into()));
    assert!(served.videos.kept.lock().unwrap().is_empty());
    // Without a declared length the limit is reached during the upload.
    let pieces = too_large.chunks(1000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec()));
    let body = Body::wrap_stream(stream::iter(pieces.collect::<Vec<_>>()));
    assert_eq!(problem(upload(&served, "", body).await).await, (413, "too-large".into()));
    assert_eq!(served.video().orders[0].status, Status::Cancelled);
    assert_eq!(served.files(), 0);
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_cancelled_and_cleared_up() {
    let served = served().await;
    let videos = served.videos.clone();
    let break_off = async move {
        eventually(|| !videos.kept.lock().unwrap().is_empty()).await;
        Err(std::io::Error::other("gone"))
    };
    let body = stream::iter([Ok(vec![1u8; 2500])]).chain(stream::once(break_off));
    let request = Client::new().post(served.at("/v1/videos")).body(Body::wrap_stream(body));
    assert!(request.send().await.is_err());
    eventually(|| served.video().orders[0].status == Status::Cancelled).await;
    assert!(served.video().orders[0].knows(&Fact::Cancelled), "subscribers are told");
    eventually(|| served.videos.logged.lock().unwrap().is_empty()).await;
    assert_eq!(served.files(), 0);
    let list: Value = reqwest::get(served.at("/v1/jobs")).await.unwrap().json().await.unwrap();
    assert_eq!(list["jobs"], Value::Array(Vec::new()), "it was given up");
    assert!(served.videos.announced.lock().unwrap().is_empty());
}

#[tokio::test]
async fn without_a_broker_nothing_is_accepted_and_the_answer_says_when_to_come_back() {
    let served = served().await;
    served.videos.is_away.store(true, Ordering::Relaxed);
    let answer = upload(&served, "", "x").await;
    assert_eq!(answer.headers()["retry-after"], "5");
    assert_eq!(problem(answer).await, (503, "broker-unreachable".into()));
    let ready = reqwest::get(served.at("/readyz")).await.unwrap();
    assert_eq!(problem(ready).await, (503, "broker-unavailable".into()));
    assert_eq!(reqwest::get(served.at("/livez")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_node_that_goes_down_takes_no_uploads_and_is_not_ready() {
    let served = served().await;
    assert_eq!(reqwest::get(served.at("/readyz")).await.unwrap().status(), 200);
    served.gateway.drain();
    assert_eq!(problem(upload(&served, "", "x").await).await, (503, "draining".into()));
    let ready = reqwest::get(served.at("/readyz")).await.unwrap();
    assert_eq!(problem(ready).await, (503, "draining".into()));
}

#[tokio::test]
async fn a_job_that_has_not_failed_is_not_retried() {
    let served = served().await;
    assert_eq!(upload(&served, "", "x").await.status(), 202);
    let job = served.at(&format!("/v1/jobs/{}-1/retry", served.video().id));
    let answer = Client::new().post(&job).send().await.unwrap();
    assert_eq!(problem(answer).await, (409, "nothing-to-retry".into()));
    let nobody = served.at("/v1/jobs/00000000000000000000000000-1/retry");
    let answer = Client::new().post(nobody).send().await.unwrap();
    assert_eq!(problem(answer).await, (404, "no-such-job".into()));
    let wrong = reqwest::get(job).await.unwrap();
    assert_eq!(problem(wrong).await, (405, "method-not-allowed".into()));
}

#[tokio::test]
async fn what_is_no_plain_upload_is_refused_with_what_to_do() {
    let served = served().await;
    let post = |query: &str, name: &'static str, value: &'static str| {
        let url = served.at(&format!("/v1/videos{query}"));
        Client::new().post(url).header(name, value).body("x").send()
    };
    for (name, value, code) in [
        ("content-type", "Application/JSON", "unsupported-media-type"),
        ("content-type", "Multipart/Form-Data; boundary=x", "unsupported-media-type"),
        ("content-encoding", "gzip", "content-encoding"),
    ] {
        let answer = post("", name, value).await.unwrap();
        assert_eq!(problem(answer).await, (415, code.into()), "{value}");
    }
    let answer = post("?source=raw/x", "content-type", "video/mp4").await.unwrap();
    assert_eq!(problem(answer).await, (400, "bad-query".into()));
    assert!(served.videos.kept.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_page_of_another_site_can_neither_upload_nor_cancel() {
    let served = served().await;
    assert_eq!(upload(&served, "", "x").await.status(), 202);
    let cancel = format!("/v1/jobs/{}-1/cancel", served.video().id);
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        for path in ["/v1/videos", &cancel] {
            let request = Client::new().post(served.at(path)).header(name, value);
            let request = request.header("content-type", "text/plain").body("x");
            let answer = request.send().await.unwrap();
            assert_eq!(problem(answer).await, (403, "cross-site".into()), "{path} {name}: {value}");
        }
    }
    assert_eq!(served.videos.kept.lock().unwrap().len(), 1);
    assert_eq!(served.video().orders[0].status, Status::Queued);
    // The server's own page, and a page under a public name behind a proxy.
    for origin in [served.at(""), "https://videos.example.com".to_owned()] {
        let request = Client::new().post(served.at("/v1/videos")).header("origin", origin);
        assert_eq!(request.body("x").send().await.unwrap().status(), 202);
    }
}

#[tokio::test]
async fn only_known_names_are_answered_to() {
    let served = served().await;
    let get =
        |host: &'static str| Client::new().get(served.at("/v1/jobs")).header("host", host).send();
    let answer = get("evil.example:8080").await.unwrap();
    assert_eq!(problem(answer).await, (421, "unknown-host".into()));
    for host in ["localhost", "videos.example.com", "192.0.2.1:8080"] {
        assert_eq!(get(host).await.unwrap().status(), 200, "{host}");
    }
}

#[tokio::test]
async fn a_bad_address_is_a_page_for_a_person() {
    let served = served().await;
    for path in ["/nowhere", "/watch/x", "/v1/jobs/x"] {
        let request = Client::new().get(served.at(path)).header("accept", "text/html,*/*;q=0.8");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 404);
        assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
        assert!(answer.headers().contains_key("content-security-policy"));
        let text = answer.text().await.unwrap();
        assert!(text.contains("There is n") && text.contains("href=\"/\""), "{path}: {text}");
    }
}

#[tokio::test]
async fn a_list_goes_on_where_its_last_page_ended() {
    let served = served().await;
    for _ in 0..5 {
        assert_eq!(upload(&served, "", "x").await.status(), 202);
    }
    let mut ids = Vec::new();
    let mut next = "/v1/jobs?limit=2".to_owned();
    loop {
        let answer = reqwest::get(served.at(&next)).await.unwrap();
        let link = answer.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
        let page: Value = answer.json().await.unwrap();
        let jobs = page["jobs"].as_array().unwrap();
        ids.extend(jobs.iter().map(|job| job["video"].as_str().unwrap().to_owned()));
        let Some(link) = link else { break };
        assert_eq!(jobs.len(), 2);
        next = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
        assert_eq!(page["next"], next);
    }
    let kept = served.videos.kept.lock().unwrap();
    let newest_first: Vec<&str> = kept.keys().rev().map(|id| id.as_str()).collect();
    assert_eq!(ids, newest_first);
}

#[tokio::test]
async fn every_error_is_a_problem_document() {
    let served = served().await;
    for (path, code) in [
        ("/nowhere", "not-found"),
        ("/assets/nothing.js", "not-found"),
        ("/watch/x", "no-such-video"),
        ("/v1/jobs/x", "no-such-job"),
        ("/v1/jobs/00000000000000000000000000-1", "no-such-job"),
        ("/v/x/master.m3u8", "no-such-video"),
        ("/v/00000000000000000000000000/o/..%2F..%2Fraw", "no-such-file"),
        ("/v/00000000000000000000000000/o/1/x.mp4", "no-such-object"),
    ] {
        let answer = reqwest::get(served.at(path)).await.unwrap();
        assert_eq!(problem(answer).await, (404, code.into()), "{path}");
    }
    let wrong = Client::new().delete(served.at("/v1/jobs")).send().await.unwrap();
    assert_eq!(problem(wrong).await, (405, "method-not-allowed".into()));
    for query in ["limit=0", "after=x", "page=2"] {
        let answer = reqwest::get(served.at(&format!("/v1/jobs?{query}"))).await.unwrap();
        assert_eq!(problem(answer).await, (400, "bad-query".into()), "{query}");
    }
}

#[tokio::test]
async fn a_request_id_is_taken_over_when_it_is_plain() {
    let served = served().await;
    for (given, taken) in [("abc-1", true), ("a b", false)] {
        let request = Client::new().get(served.at("/livez")).header("x-request-id", given);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["x-request-id"] == given, taken, "{given}");
    }
}

#[tokio::test]
async fn objects_are_served_in_ranges_to_any_page() {
    let served = served().await;
    let key = "out/00000000000000000000000000/1/main-0000/u/360p.mp4";
    let path = served.folder.path().join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let content: Vec<u8> = (0..3_000_000u32).map(|i| i as u8).collect();
    std::fs::write(&path, &content).unwrap();
    let url = served.at("/v/00000000000000000000000000/o/1/main-0000/u/360p.mp4");
    let whole = reqwest::get(&url).await.unwrap();
    assert_eq!(whole.headers()["content-type"], "video/mp4");
    assert_eq!(whole.headers()["access-control-allow-origin"], "*");
    assert!(whole.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    let etag = whole.headers()["etag"].clone();
    assert_eq!(whole.bytes().await.unwrap(), content);
    let part = Client::new().get(&url).header("range", "bytes=1000000-2999999");
    let part = part.header("if-range", etag.clone()).send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.headers()["content-range"], "bytes 1000000-2999999/3000000");
    assert_eq!(part.bytes().await.unwrap(), content[1_000_000..]);
    let outside = Client::new().get(&url).header("range", "bytes=3000000-").send().await.unwrap();
    assert_eq!(outside.headers()["content-range"], "bytes */3000000");
    assert_eq!(problem(outside).await, (416, "range-outside".into()));
    let known = Client::new().get(&url).header("if-none-match", etag).send().await.unwrap();
    assert_eq!(known.status(), 304);
    let head = Client::new().head(&url).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "3000000");
}
