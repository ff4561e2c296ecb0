//! A real Prometheus scrapes two real nodes under load: every panel has data, and alerts fire and clear.

use std::process::{Command, Stdio};

use reqwest::StatusCode;

use super::boards;
use super::known::{is_coming, needs_more};
use super::rules;
use super::server::Prometheus;
use crate::clips::{path, root};
use crate::deadletters::BURY_REFUSED;
use crate::harness::media::{self, FILM};
use crate::harness::node::Node;
use crate::harness::site::Site;
use crate::harness::tools::{skipped, there_is};

/// Prices, so that panels of money have something to show.
const PRICES: [(&str, &str); 3] =
    [("COST__CURRENCY", "EUR"), ("COST__VCPU_HOUR", "0.04"), ("COST__STORED_GB_MONTH", "0.02")];

/// A panel that shows lines when two nodes have encoded, and one that shows 0.
const WITH_LINES: &str = "CPU of codecs by group";
const WITHOUT: &str = "Claims lost";
/// The alert about dead letters.
const LETTERS: &str = "JetreelDeadLettersGrow";

/// Uploads a film to a node, waits until it is ready, and plays a part of it.
async fn process(site: &Site, node: &Node, film: &std::path::Path) {
    let order = node.submit(film).await;
    site.facts(&order).await.until("completed").await;
    node.bytes(&format!("/v/{}/master.m3u8", order.video)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_has_data_from_two_nodes_under_load() {
    if !there_is("prometheus") {
        return;
    }
    let Some(film) = media::made(FILM) else { return };
    let site = Site::start().await;
    let nodes = [site.node("left", &PRICES).await, site.node("right", &PRICES).await];
    let targets = [nodes[0].authority(), nodes[1].authority()];
    let prometheus = Prometheus::start(&targets).await;
    assert!(!has_data(&prometheus, "jetreel_of_tomorrow").await);
    // A counter is seen to grow from the second video on: its series begins with the first.
    for (done, node) in nodes.iter().enumerate() {
        process(&site, node, &film).await;
        process(&site, node, &film).await;
        let completed = format!(
            "sum(jetreel_facts_announced_total{{fact=\"completed\"}}) >= {}",
            2 * (done + 1)
        );
        prometheus
            .until("the counters are scraped", async |own| has_data(own, &completed).await)
            .await;
    }
    let exprs = boards::all()
        .into_iter()
        .flat_map(|p| p.exprs.into_iter().map(move |e| (p.title.clone(), e)));
    for (title, expr) in exprs {
        if needs_more(&expr) {
            assert!(prometheus.numbers(&expr).await.is_ok(), "{title}: {expr}");
            continue;
        }
        prometheus.until(&format!("{title}: {expr}"), async |own| has_data(own, &expr).await).await;
    }
    for rule in rules::all() {
        assert!(prometheus.numbers(&rule.expr).await.is_ok(), "{}", rule.name);
    }
    if there_is("python3") {
        must_be_drawn(&site, &prometheus);
    }
}

/// Draws the last minutes of a dashboard.
fn must_be_drawn(site: &Site, prometheus: &Prometheus) {
    let picture = site.folder().join("nodes.svg");
    let mut command = Command::new("python3");
    command.args(["-B", "dashboards/draw.py", "dashboards/grafana/nodes.json", "--minutes", "5"]);
    command.args(["--prometheus", prometheus.url(), "--panel", WITH_LINES, "--panel", WITHOUT]);
    command.arg("--out").arg(&picture).current_dir(root()).env("PATH", path());
    let done = command.stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let drawn = std::fs::read_to_string(picture).unwrap();
    assert!(drawn.contains(WITH_LINES) && drawn.contains(WITHOUT), "{drawn}");
    assert!(drawn.contains("<polyline") && drawn.contains("0 throughout"), "{drawn}");
}

async fn has_data(prometheus: &Prometheus, query: &str) -> bool {
    !prometheus.numbers(query).await.unwrap_or_else(|error| panic!("{query}: {error}")).is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_about_waiting_videos_and_a_queue_without_reader_fire_and_clear() {
    if !there_is("prometheus") {
        return;
    }
    if is_coming("jetreel_lag") || is_coming("jetreel_videos_waiting") {
        return skipped("the lag is not measured yet");
    }
    let Some(film) = media::made(FILM) else { return };
    let site = Site::start().await;
    let roles = "gateway,ingest,publish,deadletter,reconciler,scaler";
    let node = site.node("one", &[("NODE__ROLES", roles)]).await;
    let prometheus = Prometheus::start(&[node.authority()]).await;
    prometheus.until("lag is read", async |own| has_data(own, "sum(jetreel_lag) == 0").await).await;
    let alerts = ["JetreelVideosWaiting", "JetreelQueueWithoutReader"];
    for alert in alerts {
        assert!(!prometheus.fires(alert).await, "{alert}");
    }
    for _ in 0..3 {
        node.submit(&film).await;
    }
    for alert in alerts {
        prometheus.until(alert, async |own| own.fires(alert).await).await;
    }
    let _encodes = site.node("two", &[("NODE__ROLES", "encode")]).await;
    for alert in alerts {
        let what = format!("{alert} clears");
        prometheus.until(&what, async |own| !own.fires(alert).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_alert_about_dead_letters_fires_and_clears() {
    if !there_is("prometheus") {
        return;
    }
    let site = Site::start().await;
    let node = site.node("one", &[BURY_REFUSED, ("RECONCILER__PASS_SECONDS", "1")]).await;
    let prometheus = Prometheus::start(&[node.authority()]).await;
    let none = "max(jetreel_dlq_depth) == 0";
    prometheus.until("there are no letters", async |own| has_data(own, none).await).await;
    assert!(!prometheus.fires(LETTERS).await);

    assert_eq!(node.post(b"no video".to_vec()).await.status(), StatusCode::ACCEPTED);
    prometheus.until("it fires", async |own| own.fires(LETTERS).await).await;
    prometheus.until("it clears", async |own| !own.fires(LETTERS).await).await;
    assert!(
        has_data(&prometheus, "max(jetreel_dlq_depth) == 1").await,
        "the letter is still there"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_about_a_gone_node_and_an_open_breaker_fire_and_clear() {
    if !there_is("prometheus") {
        return;
    }
    let mut site = Site::start().await;
    let nodes = [site.node("left", &[]).await, site.node("right", &[]).await];
    let targets = [nodes[0].authority(), nodes[1].authority()];
    let prometheus = Prometheus::start(&targets).await;
    let fires = async |alert: &str, wanted: bool| {
        let what = format!("{alert} fires: {wanted}");
        prometheus.until(&what, async |own| own.fires(alert).await == wanted).await;
    };
    prometheus.until("both are scraped", async |own| has_data(own, "sum(up) == 2").await).await;
    assert!(!prometheus.fires("JetreelNodeGone").await);

    nodes[1].stop();
    fires("JetreelNodeGone", true).await;
    nodes[1].go_on();
    fires("JetreelNodeGone", false).await;

    assert!(!prometheus.fires("JetreelBreakerOpen").await);
    site.nats_mut().kill();
    fires("JetreelBreakerOpen", true).await;
    site.nats_mut().restart().await;
    fires("JetreelBreakerOpen", false).await;
}
