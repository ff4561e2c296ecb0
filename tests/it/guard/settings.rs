//! Settings, streams and server that do not fit together are refused at every check.

use async_nats::jetstream;
use async_nats::jetstream::consumer::{FromConsumer as _, pull};
use jetreel::bus::topology::{self, DEFAULT, Topology};

use super::{complaint, told};
use crate::harness::nats::Nats;
use crate::harness::site::Site;

/// A streams file with another text in place of one.
fn file(site: &Site, from: &str, to: &str) -> String {
    let text = DEFAULT.replace(from, to);
    assert_ne!(text, DEFAULT, "{from}");
    written(site, &text)
}

fn written(site: &Site, text: &str) -> String {
    let path = site.folder().join("own-streams.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_shorter_than_a_heartbeat_is_refused_everywhere() {
    let site = Site::start().await;
    let path = file(&site, "ack_wait = \"25s\"", "ack_wait = \"2s\"");
    let own = [("NATS__STREAMS", path.as_str())];
    for words in [&["config", "check"][..], &["streams", "plan"], &["streams", "apply"]] {
        let output = told(&site, words, &own).await;
        let said = complaint(&output);
        assert!(!output.status.success(), "{words:?}");
        assert!(said.contains("ack_wait = 2s") && said.contains("every 5s"), "{words:?}: {said}");
    }
    let doctor = told(&site, &["doctor"], &own).await;
    let found = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(!doctor.status.success() && found.contains("FAIL  relations"), "{found}");
    assert_eq!(topology::plan(&site.bus, &Topology::parse(DEFAULT).unwrap()).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_looks_at_what_the_server_really_has() {
    let site = Site::start().await;
    let context = jetstream::new(site.client().await);
    let stream = context.get_stream("UPLOADS").await.unwrap();
    let config = stream.consumer_info("ingest").await.unwrap().config;
    let mut config = pull::Config::try_from_consumer_config(config).unwrap();
    config.ack_wait = std::time::Duration::from_secs(2);
    stream.create_consumer(config).await.unwrap();
    let node = told(&site, &["node"], &[]).await;
    let said = complaint(&node);
    assert!(!node.status.success(), "{said}");
    assert!(said.contains("UPLOADS/ingest has ack_wait = 2s"), "{said}");
    let plan = told(&site, &["streams", "plan"], &[]).await;
    let said = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert_eq!(said.trim(), "update consumer UPLOADS/ingest: ack_wait 2s → 25s");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_no_list_of_parts_could_hold_is_refused_before_it_comes() {
    let site = Site::start().await;
    let own = [("LIMITS__UPLOAD_BYTES_MAX", "1099511627777"), ("HTTP__PART_BYTES", "1048576")];
    for words in [&["config", "check"][..], &["node"]] {
        let output = told(&site, words, &own).await;
        let said = complaint(&output);
        assert!(!output.status.success() && said.contains("limits.upload-bytes-max"), "{said}");
        assert!(said.contains("1,048,577 parts"), "{said}");
    }
    let larger = [own[0], ("HTTP__PART_BYTES", "1048577")];
    let _node = site.node("one", &larger).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_whose_messages_are_small_is_told_and_one_whose_are_too_small_is_refused() {
    let site = Site::start_with(Nats::start_with_payload(8192).await).await;
    let doctor = told(&site, &["doctor"], &[]).await;
    let found = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(found.contains("8,192 bytes (max_payload)") && !found.contains("FAIL"), "{found}");
    let site = Site::start_with(Nats::start_with_payload(8000).await).await;
    let node = told(&site, &["node"], &[]).await;
    let said = complaint(&node);
    assert!(!node.status.success() && said.contains("8,000 bytes (max_payload)"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn exported_streams_can_be_read_back() {
    let site = Site::start().await;
    let exported = told(&site, &["streams", "export"], &[]).await;
    let text = String::from_utf8(exported.stdout).unwrap();
    assert_eq!(Topology::parse(&text).unwrap(), Topology::parse(DEFAULT).unwrap());
    let path = written(&site, &text);
    let own = [("NATS__STREAMS", path.as_str())];
    let planned = told(&site, &["streams", "plan"], &own).await;
    assert!(planned.status.success() && planned.stdout.is_empty(), "{planned:?}");
    let again = told(&site, &["streams", "export"], &own).await;
    assert_eq!(String::from_utf8(again.stdout).unwrap(), text);
    let json = told(&site, &["streams", "export", "--format", "json"], &own).await;
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["consumers"]["UPLOADS"]["ingest"]["ack_wait"], 25_000_000_000_u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_streams_file_declares_nothing_that_works() {
    let site = Site::start().await;
    let path = written(&site, "");
    for words in
        [&["config", "check"][..], &["streams", "plan"], &["streams", "apply"], &["doctor"]]
    {
        let output = told(&site, words, &[("NATS__STREAMS", &path)]).await;
        assert!(!output.status.success(), "{words:?}");
        let said = format!("{}{}", complaint(&output), String::from_utf8_lossy(&output.stdout));
        assert!(said.contains("stream UPLOADS") && said.contains("streams export"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_loses_messages_names_the_flag_that_allows_it() {
    let site = Site::start().await;
    let path = file(&site, "max_bytes = 1_073_741_824", "max_bytes = 1_000_000");
    let own = [("NATS__STREAMS", path.as_str())];
    let refused = told(&site, &["streams", "apply"], &own).await;
    assert!(!refused.status.success());
    assert!(complaint(&refused).contains("--allow-destructive"), "{}", complaint(&refused));
    let allowed = told(&site, &["streams", "apply", "--allow-destructive"], &own).await;
    assert!(allowed.status.success(), "{}", complaint(&allowed));
}
