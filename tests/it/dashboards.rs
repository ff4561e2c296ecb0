//! Dashboards and alert rules: they show every metric, name only what exists, and each alert has a runbook page and tests.
//!
//! Each rule is a function to complaints. It runs on the project, where it must find nothing, and on a bad sample, where it must find
//! something.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod boards;
mod keda;
mod known;
mod live;
mod promql;
mod promtool;
mod rules;
mod runbooks;
mod server;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use jetreel::metrics::Kind;
use serde_json::json;

use crate::clips::{path, root};
use crate::harness::tools::there_is;
use boards::Panel;
use known::Known;

/// Folder of the alert rules.
fn rules_folder() -> PathBuf {
    root().join("dashboards/prometheus")
}

fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Metrics that no panel shows.
fn not_shown<'a>(metrics: impl Iterator<Item = &'a str>, panels: &[Panel]) -> Vec<String> {
    let mut shown = BTreeSet::new();
    for expr in panels.iter().flat_map(|panel| &panel.exprs) {
        let series = promql::named(expr).selectors.into_iter().map(|selector| selector.metric);
        shown.extend(series.map(|series| known::metric_of(&series).to_owned()));
    }
    let missing = metrics.filter(|name| !shown.contains(known::metric_of(name)));
    missing.map(|name| format!("{name}: no panel shows it")).collect()
}

/// Queries of panels that show a counter as it is, or a gauge as a rate.
fn of_the_wrong_kind(panels: &[Panel], known: &Known) -> Vec<String> {
    let mut found = Vec::new();
    for (panel, expr) in panels.iter().flat_map(|panel| panel.exprs.iter().map(move |e| (panel, e)))
    {
        for selector in promql::named(expr).selectors {
            let counts = known.kind(&selector.metric) == Some(Kind::Counter);
            if counts != selector.is_range {
                found.push(format!(
                    "{}: {}: a counter needs a range, a gauge none",
                    panel.title, selector.metric
                ));
            }
        }
    }
    found
}

#[test]
fn every_metric_is_on_a_dashboard() {
    let (panels, known) = (boards::all(), Known::new());
    assert_none(&not_shown(known.own(), &panels));
    assert_eq!(not_shown(["jetreel_of_tomorrow_total"].into_iter(), &panels).len(), 1);
    assert_eq!(not_shown(["jetreel_breaker_open"].into_iter(), &panels[..1]).len(), 1);
}

#[test]
fn metrics_that_are_to_come_are_not_there_yet() {
    assert_none(&known::come());
}

#[test]
fn every_query_names_existing_metrics_and_labels() {
    let known = Known::new();
    let panels = boards::all();
    let of_panels =
        panels.iter().flat_map(|p| p.exprs.iter().map(|e| (p.title.clone(), e.clone())));
    let of_rules = rules::all().into_iter().map(|rule| (rule.name, rule.expr));
    let mut complaints = Vec::new();
    for (title, expr) in of_panels.chain(of_rules) {
        complaints.extend(known.complaints(&expr).into_iter().map(|why| format!("{title}: {why}")));
    }
    assert_none(&complaints);
    for bad in [
        "sum(jetreel_of_tomorrow)",
        r#"jetreel_breaker_open{tier="x"}"#,
        "sum by (reason) (jetreel_breaker_open)",
        "rate(jetreel_breaker_open_total[5m])",
        "jetreel_http_connections_bucket",
        r#"rate(jetreel_http_requests_total{le="1"}[5m])"#,
    ] {
        assert_eq!(known.complaints(bad).len(), 1, "{bad}");
    }
    for good in [
        r#"rate(jetreel_http_request_duration_seconds_bucket{le="1", route=~"/v.*"}[5m])"#,
        r#"label_replace(sum(up{job="a"}), "made", "$1", "job", "(.*)") * on (made) up"#,
    ] {
        assert_none(&known.complaints(good));
    }
}

#[test]
fn panels_show_counters_as_rates_and_gauges_as_they_are() {
    let known = Known::new();
    assert_none(&of_the_wrong_kind(&boards::all(), &known));
    for bad in ["jetreel_repairs_total", "rate(jetreel_breaker_open[1m])"] {
        let panel = Panel { exprs: vec![bad.to_owned()], ..Panel::default() };
        assert_eq!(of_the_wrong_kind(&[panel], &known).len(), 1, "{bad}");
    }
}

#[test]
fn panels_are_described_and_no_query_is_there_twice() {
    assert_none(&boards::malformed(&boards::files()));
    let panel = |id: u64, expr: &str| {
        json!({
            "id": id, "type": "stat", "title": "T", "description": "D", "datasource": {"uid": "${datasource}"},
            "fieldConfig": {"defaults": {"unit": "s"}}, "gridPos": {"x": 0, "y": id, "w": 4, "h": 1},
            "targets": [{"expr": expr, "datasource": {"uid": "${datasource}"}}],
        })
    };
    let board = |panels: Vec<serde_json::Value>| {
        let variables = json!({"list": [{"name": "datasource"}]});
        let board = json!({"uid": "u", "title": "T", "editable": false, "templating": variables, "panels": panels});
        vec![("a.json".to_owned(), board)]
    };
    assert_none(&boards::malformed(&board(vec![panel(1, "up"), panel(2, "up == 1")])));
    assert_eq!(boards::malformed(&board(vec![panel(1, "up"), panel(2, "up")])).len(), 1, "twice");
    assert_eq!(
        boards::malformed(&board(vec![panel(1, "up"), panel(1, "up > 1")])).len(),
        2,
        "id and place"
    );
    assert_eq!(
        boards::malformed(&board(vec![panel(1, r#"up{job="$job"}"#)])).len(),
        1,
        "no variable"
    );
    let mut without = panel(1, "up");
    without["fieldConfig"]["defaults"]["unit"] = "".into();
    without["description"].take();
    assert_eq!(boards::malformed(&board(vec![without])).len(), 2, "unit and description");
}

#[test]
fn dashboards_are_as_their_source_says() {
    if !there_is("python3") {
        return;
    }
    let mut command = Command::new("python3");
    command.args(["-B", "dashboards/grafana/source", "--check"]).current_dir(root());
    let done = command.env("PATH", path()).stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn every_alert_has_a_severity_texts_and_a_runbook_page() {
    let alerts = rules::alerts();
    assert!(alerts.len() > 15, "the rules are not read as they are written");
    assert_none(&runbooks::missing(&alerts));
    let mut bad = alerts[0].clone();
    bad.severity = "loud".to_owned();
    bad.runbook = "docs/runbooks/of-tomorrow.md".to_owned();
    bad.summary.clear();
    assert_eq!(runbooks::missing(&[bad]).len(), 3 + runbooks::pages().len());
}

#[test]
fn every_command_in_a_runbook_exists() {
    assert_none(&runbooks::unknown_commands(&runbooks::pages()));
    let bad = [("a.md".to_owned(), "Run `jetreel dlq ls`, then `jetreel guess JOB`.".to_owned())];
    assert_eq!(runbooks::unknown_commands(&bad).len(), 1);
}

#[test]
fn every_alert_is_tested_to_fire_not_to_fire_and_to_clear() {
    let names: Vec<String> = rules::alerts().into_iter().map(|alert| alert.name).collect();
    assert_none(&rules::untested(&names, &rules::tests()));
    assert_eq!(rules::untested(&["JetreelOfTomorrow".to_owned()], &rules::tests()).len(), 3);
}
