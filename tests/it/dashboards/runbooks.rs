//! The runbook pages of the alerts.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use super::rules::Rule;
use crate::clips::{jetreel, root};

const FOLDER: &str = "docs/runbooks";
const INDEX: &str = "README.md";
const SEVERITIES: [&str; 2] = ["critical", "warning"];
/// Headings of every page.
const HEADINGS: [&str; 5] = [
    "## What it means",
    "## What users notice",
    "## What to look at",
    "## What to do",
    "## When it clears",
];
/// Commands that are not there yet. Who adds one takes it off this list.
const COMING: [&str; 0] = [];

/// Names and texts of the pages.
pub(super) fn pages() -> Vec<(String, String)> {
    let folder = std::fs::read_dir(root().join(FOLDER)).expect("the runbooks");
    let paths = folder.map(|entry| entry.expect("an entry").path());
    let named = paths.map(|path| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, std::fs::read_to_string(&path).expect("a page"))
    });
    named.filter(|(name, _)| name != INDEX).collect()
}

/// A complaint for each part of an alert that is missing, and for each page without an alert.
pub(super) fn missing(alerts: &[Rule]) -> Vec<String> {
    let (pages, mut found) = (pages(), Vec::new());
    let index = std::fs::read_to_string(root().join(FOLDER).join(INDEX)).expect("the index");
    let mut used = BTreeSet::new();
    for alert in alerts {
        let mut complain = |what: &str| found.push(format!("{}: {what}", alert.name));
        if !SEVERITIES.contains(&alert.severity.as_str()) {
            complain("its severity is none");
        }
        if alert.summary.is_empty() || alert.description.is_empty() {
            complain("it has no summary or no description");
        }
        let name = alert.runbook.strip_prefix(FOLDER).unwrap_or_default().trim_start_matches('/');
        used.insert(name);
        match pages.iter().find(|(page, _)| page == name) {
            None => complain("its runbook page does not exist"),
            Some((_, text)) => {
                if !text.lines().next().is_some_and(|title| title.contains(&alert.name)) {
                    complain("its page does not name it");
                }
                if !HEADINGS.iter().all(|heading| text.contains(heading)) {
                    complain("its page lacks a heading");
                }
                if !index.contains(&format!("({name})")) {
                    complain("the index does not list its page");
                }
            }
        }
    }
    let unused = pages.iter().filter(|(name, _)| !used.contains(name.as_str()));
    found.extend(unused.map(|(name, _)| format!("{name}: no alert names this page")));
    found
}

/// A complaint for each command of Jetreel that does not exist.
pub(super) fn unknown_commands(pages: &[(String, String)]) -> Vec<String> {
    let mut command = Command::new(jetreel());
    let help = command.arg("--help").stdin(Stdio::null()).output().expect("the help");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let there: BTreeSet<&str> = help
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .collect();
    assert!(there.contains("doctor"), "the help is not read as it is written: {help}");
    let mut found = Vec::new();
    for (name, text) in pages {
        let quoted = text.split('`').skip(1).step_by(2);
        let commands =
            quoted.filter_map(|quoted| quoted.strip_prefix("jetreel ")?.split_whitespace().next());
        let unknown = commands.filter(|word| !there.contains(word) && !COMING.contains(word));
        found.extend(unknown.map(|word| format!("{name}: there is no command {word}")));
    }
    found
}

/// Whether a command to come has come.
#[test]
fn commands_that_are_to_come_are_not_there_yet() {
    for word in COMING {
        let done = Command::new(jetreel()).args([word, "--help"]).stdin(Stdio::null()).output();
        assert!(!done.expect("a run").status.success(), "{word} is there: take it off COMING");
    }
}
