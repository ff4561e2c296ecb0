//! A broker that confirms what it has not synced: readiness, metric and doctor say so.

use std::process::Stdio;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::clips::{jetreel, path};
use crate::harness::nats::Nats;
use crate::harness::site::Site;

const METRIC: &str = "jetreel_js_sync_always";

/// Codes of the warnings of a node that is ready, and the line of the metric.
async fn told(site: &Site, own: &[(&str, &str)]) -> (Vec<String>, Option<String>) {
    let settings = [&[("NODE__ROLES", "gateway")], own].concat();
    let node = site.node("one", &settings).await;
    let ready = node.json("/readyz").await;
    assert_eq!(ready["status"], "ready");
    let code = |warning: &Value| warning["code"].as_str().unwrap().to_owned();
    let warnings = ready["warnings"].as_array().unwrap().iter().map(code).collect();
    let metrics = String::from_utf8(node.bytes("/metrics").await).unwrap();
    let line = metrics.lines().find(|line| line.starts_with(METRIC)).map(str::to_owned);
    (warnings, line)
}

async fn doctor(site: &Site, own: &[(&str, &str)]) -> (Option<i32>, Value) {
    let mut command = Command::new(jetreel());
    command.args(["doctor", "--json"]).envs(site.settings().iter().cloned());
    command.envs(own.iter().map(|(key, value)| (format!("JETREEL__{key}"), *value)));
    command.current_dir(site.folder()).stdin(Stdio::null()).env("PATH", path());
    let output = command.output().await.unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = found["findings"].as_array().unwrap();
    let sync = findings.iter().find(|finding| finding["check"] == "sync").unwrap().clone();
    (output.status.code(), sync)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_does_not_sync_is_told_by_all() {
    let site = Site::start().await;
    let monitor = ("NATS__MONITOR", site.nats().monitor_url());
    let (warnings, metric) = told(&site, &[monitor]).await;
    assert_eq!((warnings, metric), (vec!["broker-unsynced".into()], Some(format!("{METRIC} 0"))));
    let (warnings, metric) = told(&site, &[]).await;
    assert_eq!((warnings, metric), (vec!["broker-sync-unknown".into()], None), "nobody told");
    let (warnings, _) = told(&site, &[monitor, ("NATS__REPLICAS", "3")]).await;
    assert!(warnings.is_empty(), "copies stand in for it");

    let (exit, sync) = doctor(&site, &[monitor]).await;
    assert_eq!((exit, &sync["verdict"]), (Some(0), &json!("WARN")), "{sync}");
    assert!(sync["advice"].as_str().unwrap().contains("sync_interval: always"), "{sync}");
    let (exit, sync) = doctor(&site, &[monitor, ("NATS__REQUIRE_SYNC", "true")]).await;
    assert_eq!((exit, &sync["verdict"]), (Some(1), &json!("FAIL")), "{sync}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_demanded_a_node_is_not_ready_without_it() {
    let site = Site::start().await;
    let monitor = ("NATS__MONITOR", site.nats().monitor_url());
    let settings = [("NODE__ROLES", "gateway"), monitor, ("NATS__REQUIRE_SYNC", "true")];
    let node = site.node("one", &settings).await;
    let answer = node.get("/readyz").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["code"], "broker-unsynced");
    assert_eq!(node.get("/livez").await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_syncs_is_told_too() {
    let site = Site::start_with(Nats::start_synced().await).await;
    let monitor = ("NATS__MONITOR", site.nats().monitor_url());
    let (warnings, metric) = told(&site, &[monitor, ("NATS__REQUIRE_SYNC", "true")]).await;
    assert_eq!((warnings, metric), (Vec::new(), Some(format!("{METRIC} 1"))));
    let (exit, sync) = doctor(&site, &[monitor]).await;
    assert_eq!((exit, &sync["verdict"]), (Some(0), &json!("OK")), "{sync}");
}
