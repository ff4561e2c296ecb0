//! What a video has cost: while it is encoded from the ledger, afterwards from the manifest; by HTTP, command line and metric.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::process::{Command, Stdio};

use jetreel_domain::id::OrderId;
use reqwest::StatusCode;
use serde_json::Value;

use crate::clips::{jetreel, path};
use crate::harness::media::{self, FILM};
use crate::harness::node::Node;
use crate::harness::site::Site;

const PRICES: [(&str, &str); 3] =
    [("COST__CURRENCY", "EUR"), ("COST__VCPU_HOUR", "36.0"), ("COST__OUT_GB", "1000.0")];

#[tokio::test(flavor = "multi_thread")]
async fn a_video_tells_its_cost_while_it_is_made_and_when_it_is_done() {
    let Some(film) = media::made(FILM) else { return };
    let site = Site::start().await;
    let node = site.node("one", &PRICES).await;
    let order = node.submit(&film).await;
    let mut facts = site.facts(&order).await;
    facts.until("playable").await;
    let held = node.freeze_codec().await;
    let open = cost(&node, &order).await;
    held.must_hold();
    let bytes = std::fs::metadata(&film).unwrap().len();
    assert_eq!(
        (open["status"].as_str(), open["bytes_in"].as_u64()),
        (Some("ENCODING"), Some(bytes))
    );
    let so_far = open["cpu_seconds"].as_f64().unwrap();
    assert!(so_far > 0.0 && open["bytes_stored"].as_u64().unwrap() > bytes, "{open}");

    facts.until("completed").await;
    let done = cost(&node, &order).await;
    let manifest = node.json(&format!("/v/{}/manifest.json", order.video)).await;
    let total = manifest["cpu_seconds"]["total"].as_f64().unwrap();
    let told = done["cpu_seconds"].as_f64().unwrap();
    assert!((told - total).abs() < 1e-6 && told > so_far, "{told} {total} {so_far}");
    // A cent for a second of a vCPU.
    assert!((done["compute"].as_f64().unwrap() - total * 0.01).abs() < 1e-6);
    assert_eq!((done["currency"].as_str(), &done["stored_month"]), (Some("EUR"), &Value::Null));
    let parts: Vec<&str> =
        done["parts"].as_array().unwrap().iter().map(|p| p["part"].as_str().unwrap()).collect();
    for part in ["original", "decode", "360p", "240p", "audio", "images", "playlists"] {
        assert!(parts.contains(&part), "{parts:?}");
    }
    assert!(
        done["plays"].as_array().unwrap().iter().all(|play| play["price"].as_f64() > Some(0.0))
    );
    must_be_shown(&node, &order, told);
    must_be_counted(&node, total).await;
    let missing = node.get("/v1/videos/00000000000000000000000000/cost").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}

async fn cost(node: &Node, order: &OrderId) -> Value {
    let document = node.json(&format!("/v1/videos/{}/cost", order.video)).await;
    assert_eq!(document["job"], order.to_string());
    let sum = |key: &str| -> f64 {
        document["parts"].as_array().unwrap().iter().filter_map(|part| part[key].as_f64()).sum()
    };
    assert!((sum("cpu_seconds") - document["cpu_seconds"].as_f64().unwrap()).abs() < 1e-6);
    assert!((sum("bytes_stored") - document["bytes_stored"].as_f64().unwrap()).abs() < 0.5);
    document
}

/// The commands that read it.
fn must_be_shown(node: &Node, order: &OrderId, cpu_seconds: f64) {
    let said = |words: &[&str]| {
        let mut command = Command::new(jetreel());
        command.args(words).args(["--url", node.authority()]).env("PATH", path());
        let output = command.stdin(Stdio::null()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    };
    let shown = said(&["cost", order.video.as_str()]);
    for words in ["360p", "EUR", "one complete play of 240p sends", "note: "] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let document: Value =
        serde_json::from_str(&said(&["cost", &order.to_string(), "--json"])).unwrap();
    assert_eq!(document["cpu_seconds"].as_f64(), Some(cpu_seconds));
    let like = ["capacity", "--uploads", "100", "--like", order.video.as_str(), "--json"];
    let capacity: Value = serde_json::from_str(&said(&like)).unwrap();
    let hours = capacity["answer"]["burst_encode_hours"].as_f64().unwrap();
    assert!((hours - 100.0 * cpu_seconds / 3600.0).abs() < 1e-6, "{hours}");
}

async fn must_be_counted(node: &Node, total: f64) {
    let metrics = String::from_utf8(node.bytes("/metrics").await).unwrap();
    let counted =
        metrics.lines().filter(|line| line.starts_with("jetreel_order_cpu_seconds_total{"));
    let counted: f64 =
        counted.map(|line| line.split_whitespace().last().unwrap().parse::<f64>().unwrap()).sum();
    assert!((counted - total).abs() < 1e-3, "{counted} {total}");
    assert!(metrics.contains("jetreel_price{currency=\"EUR\",of=\"vcpu-hour\"} 36"), "{metrics}");
}
