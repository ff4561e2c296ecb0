//! Dead letters by micro service, as any client of the broker asks it.

use std::time::Duration;

use async_nats::service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE};
use jetreel::admin::SERVICE;
use jetreel_domain::delivery::subject::{ADMIN_DLQ, ADMIN_JOBS};
use serde_json::{Value, json};

use super::Ward;
use crate::harness::nats::Nats;
use crate::harness::site::Site;

const SOON: Duration = Duration::from_secs(10);

async fn asked(nats: &Nats, subject: String, body: String) -> async_nats::Message {
    let client = nats.client().await;
    let asked = client.request(subject, body.into());
    tokio::time::timeout(SOON, asked).await.unwrap().unwrap()
}

async fn told(nats: &Nats, verb: &str, request: Value) -> Value {
    let answer = asked(nats, format!("{ADMIN_DLQ}.{verb}"), request.to_string()).await;
    let refused = answer.headers.as_ref().and_then(|headers| headers.get(NATS_SERVICE_ERROR));
    assert_eq!(refused, None, "{verb} {request}");
    serde_json::from_slice(&answer.payload).unwrap()
}

async fn refused(nats: &Nats, verb: &str, request: &str) -> (String, String) {
    let answer = asked(nats, format!("{ADMIN_DLQ}.{verb}"), request.to_owned()).await;
    let headers = answer.headers.unwrap();
    let text = |name| headers.get(name).unwrap().to_string();
    (text(NATS_SERVICE_ERROR_CODE), text(NATS_SERVICE_ERROR))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_task_is_brought_back_by_micro_service() {
    let Some(ward) = Ward::open().await else { return };
    let nats = ward.site.nats();
    ward.dies_and_lives(async |order, buried| {
        let seq = buried.sequence;
        let listed = told(nats, "ls", json!({ "stage": "encode", "limit": 10 })).await;
        assert_eq!((&listed["letters"][0]["seq"], &listed["next"]), (&seq.into(), &Value::Null));
        let shown = told(nats, "show", json!({ "seq": seq })).await;
        assert_eq!(
            (&shown["job"], &shown["source"]["codec"]),
            (&order.to_string().into(), &"h264".into())
        );
        let meant = told(nats, "discard", json!({ "all": true, "dry_run": true })).await;
        assert_eq!(meant["results"][0]["outcome"], "meant");

        let done = told(nats, "replay", json!({ "seq": seq })).await;
        assert_eq!(done["results"][0]["outcome"], "replayed");
        let (code, sentence) = refused(nats, "replay", &json!({ "seq": seq }).to_string()).await;
        assert_eq!(code, "404", "{sentence}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_is_found_and_says_why_it_refuses() {
    let site = Site::start().await;
    let _node = site.node("one", &[("NODE__ROLES", "deadletter")]).await;
    let nats = site.nats();
    let info = asked(nats, format!("$SRV.INFO.{SERVICE}"), String::new()).await;
    let info: Value = serde_json::from_slice(&info.payload).unwrap();
    let mut subjects: Vec<&str> = info["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|e| e["subject"].as_str())
        .collect();
    subjects.sort_unstable();
    let of_letters = ["discard", "ls", "replay", "show"].map(|verb| format!("{ADMIN_DLQ}.{verb}"));
    let all: Vec<String> =
        of_letters.into_iter().chain([format!("{ADMIN_JOBS}.priority")]).collect();
    assert_eq!(subjects, all);

    assert_eq!(told(nats, "ls", json!({})).await, json!({ "letters": [], "next": null }));
    for (verb, request, code) in [
        ("replay", "{}", "400"),
        ("discard", "{}", "400"),
        ("show", "{}", "400"),
        ("ls", "{\"sec\":1}", "400"),
        ("replay", "seventeen", "400"),
        ("show", "{\"seq\":17}", "404"),
    ] {
        let (found, sentence) = refused(nats, verb, request).await;
        assert_eq!(found, code, "{verb} {request}: {sentence}");
        assert!(sentence.contains(' '), "no sentence: {sentence}");
    }
}
