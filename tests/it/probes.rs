//! Health and metrics of nodes without a gateway, and of nodes with an unusable codec.

use std::os::unix::fs::symlink;

use crate::clips::jetreel;
use crate::harness::media::{self, SHORT};
use crate::harness::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_gateway_serves_health_and_numbers_where_it_is_told_to() {
    const SERVED: &str = "metrics and health checks are served";
    let site = Site::start().await;
    let settings = [("NODE__ROLES", "encode"), ("HTTP__ADMIN_LISTEN", "127.0.0.1:0")];
    let node = site.node("worker", &settings).await;
    node.logs(SERVED).await;
    let log = node.log();
    let line = log.lines().find(|line| line.contains(SERVED)).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let address = line["address"].as_str().unwrap().to_owned();
    let get = async |path: &str| {
        let answer = reqwest::get(format!("http://{address}{path}")).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for path in ["/livez", "/startupz", "/readyz"] {
        assert_eq!(get(path).await.0, 200, "{path}");
    }
    let (status, numbers) = get("/metrics").await;
    assert!(status == 200 && numbers.contains("jetreel_"), "{numbers}");
    // Under a name that is not its own a foreign page could read them.
    let request = reqwest::Client::new().get(format!("http://{address}/metrics"));
    let answer = request.header("host", "evil.example").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 421);
    // What users see is not there.
    assert_eq!(get("/v1/jobs").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_codec_that_cannot_be_used_is_said_and_costs_no_video_an_attempt() {
    let Some(film) = media::made(SHORT) else { return };
    let site = Site::start().await;
    let codec = site.folder().join("codec");
    symlink("/bin/false", &codec).unwrap();
    let path = codec.to_str().unwrap();
    let node = site.node("one", &[("CODEC__PATH", path)]).await;
    let order = node.submit(&film).await;
    node.logs("codec-unusable").await;
    let answer = node.get("/readyz").await;
    assert_eq!(answer.status().as_u16(), 503);
    let problem: serde_json::Value = answer.json().await.unwrap();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(path) && detail.contains("codec.path"), "{problem}");
    // Mended, it is used without a restart.
    std::fs::remove_file(&codec).unwrap();
    symlink(jetreel().with_file_name("jetreel-codec"), &codec).unwrap();
    let told = site.facts(&order).await.until("completed").await;
    assert!(told.iter().all(|told| told.body.error.is_none()), "{}", node.log());
    assert_eq!(node.get("/readyz").await.status().as_u16(), 200, "{}", node.log());
    assert_eq!(site.subjects("DLQ", ">").await, Vec::<String>::new());
}
