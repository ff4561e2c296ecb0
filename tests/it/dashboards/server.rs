//! A Prometheus of a test's own, with the shipped rules: it scrapes given addresses every second.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::rules_folder;
use crate::clips::path;

/// Everything that is awaited comes within this time, or never.
const PATIENCE: Duration = Duration::from_secs(120);
const INTERVAL: Duration = Duration::from_millis(200);

/// A running server; killed when dropped.
pub(super) struct Prometheus {
    process: Child,
    url: String,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Starts a server that scrapes these addresses. Rules are evaluated every second; alerts wait and look
    /// back for seconds instead of minutes, and three videos are many.
    pub(super) async fn start(targets: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in ["recording.yml", "alerts.yml"] {
            let rules = std::fs::read_to_string(rules_folder().join(file)).unwrap();
            std::fs::write(folder.path().join(file), hurried(&rules)).unwrap();
        }
        std::fs::write(folder.path().join("prometheus.yml"), configuration(targets)).unwrap();
        // Prometheus does not say which port it got.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = spawn(folder.path(), port);
        let url = format!("http://127.0.0.1:{port}");
        let started = Self { process, url, client: reqwest::Client::new(), _folder: folder };
        started
            .until("Prometheus is ready", async |own: &Self| {
                let asked = own.client.get(format!("{}/-/ready", own.url)).send().await;
                asked.is_ok_and(|answer| answer.status().is_success())
            })
            .await;
        started
    }

    /// Its address.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Waits until something holds; fails with `what` when it takes too long.
    pub(super) async fn until(&self, what: &str, mut holds: impl AsyncFnMut(&Self) -> bool) {
        let mut looks = tokio::time::interval(INTERVAL);
        let waiting = async {
            while !holds(self).await {
                looks.tick().await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "never: {what}");
    }

    /// Numbers that a query gives now, without those that are none; `Err` if it is no query.
    pub(super) async fn numbers(&self, query: &str) -> Result<Vec<f64>, String> {
        let form = [("query", query)];
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/query", self.url), form);
        let answer = self.client.get(url.unwrap()).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        if answer["status"] != "success" {
            return Err(answer["error"].to_string());
        }
        let series = answer["data"]["result"].as_array().into_iter().flatten();
        let values = series.filter_map(|series| series["value"][1].as_str()?.parse::<f64>().ok());
        Ok(values.filter(|value| !value.is_nan()).collect())
    }

    /// Whether an alert fires now.
    pub(super) async fn fires(&self, alert: &str) -> bool {
        let query = format!(r#"ALERTS{{alertname="{alert}", alertstate="firing"}}"#);
        !self.numbers(&query).await.unwrap().is_empty()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Rules that wait and look back for seconds where the shipped ones do for minutes, and that fire at three videos.
fn hurried(rules: &str) -> String {
    let line = |line: &str| match line.split_once("for: ") {
        Some((indent, _)) if indent.trim().is_empty() => format!("{indent}for: 1s\n"),
        Some(_) | None => match line.split_once("interval: ") {
            Some((indent, _)) if indent.trim().is_empty() => format!("{indent}interval: 1s\n"),
            Some(_) | None => format!("{line}\n"),
        },
    };
    let hurried: String = rules.lines().map(line).collect();
    hurried.replace("[15m:1m]", "[10s:1s]").replace("> 200", "> 2")
}

fn configuration(targets: &[&str]) -> String {
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
         rule_files: [recording.yml, alerts.yml]\n\
         scrape_configs:\n- job_name: jetreel\n  static_configs:\n  - targets: {targets:?}\n"
    )
}

fn spawn(folder: &Path, port: u16) -> Child {
    let mut command = Command::new("prometheus");
    command.current_dir(folder).env("PATH", path());
    command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=error"]);
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}
