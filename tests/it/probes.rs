//! Health and numbers of nodes that have no gateway.

use crate::harness::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_gateway_serves_health_and_numbers_where_it_is_told_to() {
    const SERVED: &str = "numbers and health are served";
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
