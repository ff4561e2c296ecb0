//! The dashboards as Grafana reads them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::clips::root;

/// A panel with queries.
#[derive(Debug, Clone, Default)]
pub(super) struct Panel {
    /// Dashboard and title.
    pub(super) title: String,
    pub(super) exprs: Vec<String>,
}

/// Names and contents of the files.
pub(super) fn files() -> Vec<(String, Value)> {
    let folder = std::fs::read_dir(root().join("dashboards/grafana")).expect("the dashboards");
    let paths = folder.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> =
        paths.filter(|p| p.extension().is_some_and(|end| end == "json")).collect();
    paths.sort();
    let read = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a file");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, serde_json::from_str(&text).expect("JSON"))
    };
    paths.into_iter().map(read).collect()
}

/// All panels of all dashboards, with variables filled in.
pub(super) fn all() -> Vec<Panel> {
    let mut found = Vec::new();
    for (name, board) in files() {
        for panel in panels(&board) {
            let title = format!("{name}: {}", text(panel, "title"));
            let exprs = exprs(panel).map(concrete).collect();
            found.push(Panel { title, exprs });
        }
    }
    assert!(found.len() > 60, "the dashboards are not read as they are written");
    found
}

/// An expression with values for Grafana's variables: everything, over ten minutes.
fn concrete(expr: &str) -> String {
    let mut expr = expr.to_owned();
    for (variable, value) in [
        ("$__rate_interval", "10m"),
        ("$__range", "10m"),
        ("$instance", ".*"),
        ("$job", ".*"),
        ("$lane", ".*"),
        ("$group", ".*"),
    ] {
        expr = expr.replace(variable, value);
    }
    expr
}

/// Panels with queries, those of collapsed rows too.
fn panels(board: &Value) -> impl Iterator<Item = &Value> {
    let outer = board["panels"].as_array().into_iter().flatten();
    outer
        .flat_map(|panel| {
            std::iter::once(panel).chain(panel["panels"].as_array().into_iter().flatten())
        })
        .filter(|panel| panel["type"] != "row")
}

fn exprs(panel: &Value) -> impl Iterator<Item = &str> {
    let targets = panel["targets"].as_array().into_iter().flatten();
    targets.map(|target| text(target, "expr"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// A complaint for each thing that a reader or Grafana would miss.
pub(super) fn malformed(files: &[(String, Value)]) -> Vec<String> {
    let mut found = Vec::new();
    let mut uids = BTreeSet::new();
    let mut queries: BTreeMap<String, String> = BTreeMap::new();
    for (name, board) in files {
        if !uids.insert(text(board, "uid")) || text(board, "uid").is_empty() {
            found.push(format!("{name}: its uid is not its own"));
        }
        if text(board, "title").is_empty() || board["editable"] != false {
            found.push(format!("{name}: no title, or changes by hand are allowed"));
        }
        let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
        for panel in panels(board) {
            let title = format!("{name}: {}", text(panel, "title"));
            let mut complain = |what: &str| found.push(format!("{title}: {what}"));
            if !ids.insert(panel["id"].as_u64()) {
                complain("its id is not its own");
            }
            if !places.insert((panel["gridPos"]["x"].as_u64(), panel["gridPos"]["y"].as_u64())) {
                complain("another panel is at its place");
            }
            undescribed(panel).iter().for_each(|what| complain(what));
            undefined(panel, board).iter().for_each(|what| complain(what));
            for expr in exprs(panel) {
                if let Some(other) = queries.insert(expr.to_owned(), title.clone()) {
                    complain(&format!("it shows the same as {other}"));
                }
            }
        }
    }
    found
}

/// What a reader of the panel lacks.
fn undescribed(panel: &Value) -> Vec<&'static str> {
    let defaults = &panel["fieldConfig"]["defaults"];
    let mut found = Vec::new();
    for (value, what) in [
        (text(panel, "title"), "it has no title"),
        (text(panel, "description"), "it has no description"),
        (text(defaults, "unit"), "it has no unit"),
        (exprs(panel).next().unwrap_or_default(), "it has no query"),
    ] {
        found.extend(value.is_empty().then_some(what));
    }
    found
}

/// Variables that the panel uses and the dashboard lacks, and sources of data that are no variable.
fn undefined(panel: &Value, board: &Value) -> Vec<String> {
    let variables = board["templating"]["list"].as_array().into_iter().flatten();
    let defined: Vec<&str> = variables.map(|variable| text(variable, "name")).collect();
    let lacks = |name: &str| !defined.contains(&name);
    let mut found = Vec::new();
    let sources = panel["targets"].as_array().into_iter().flatten().chain([panel]);
    for source in sources.map(|target| text(&target["datasource"], "uid")) {
        if source != "${datasource}" || lacks("datasource") {
            found.push("its source of data is no variable".to_owned());
        }
    }
    for expr in exprs(panel) {
        for rest in expr.split('$').skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let name = &rest[..end.unwrap_or(rest.len())];
            if !name.starts_with("__") && lacks(name) {
                found.push(format!("the dashboard has no variable {name}"));
            }
        }
    }
    found
}
