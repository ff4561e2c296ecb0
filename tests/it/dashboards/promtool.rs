//! What promtool says: the configuration and the rules are valid, their tests pass, every query of a panel is PromQL.

use std::fmt::Write as _;
use std::process::{Command, Output, Stdio};

use super::{boards, rules_folder};
use crate::clips::path;
use crate::harness::tools::there_is;

fn promtool(args: &[&str]) -> Output {
    let mut command = Command::new("promtool");
    command.args(args).current_dir(rules_folder()).env("PATH", path());
    command.stdin(Stdio::null()).output().expect("promtool")
}

fn must_be_content(args: &[&str]) {
    let done = promtool(args);
    let said = [done.stdout, done.stderr].concat();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&said));
}

/// Expressions as recording rules, which promtool checks.
fn as_rules(exprs: &[String]) -> String {
    let mut text = "groups:\n  - name: panels\n    rules:\n".to_owned();
    for (number, expr) in exprs.iter().enumerate() {
        let expr = serde_json::to_string(expr).expect("a text");
        writeln!(text, "      - record: panel:{number}\n        expr: {expr}").expect("a line");
    }
    text
}

#[test]
fn configuration_and_rules_are_valid() {
    if there_is("promtool") {
        must_be_content(&["check", "config", "prometheus.yml"]);
    }
}

#[test]
fn tests_of_the_rules_pass() {
    if !there_is("promtool") {
        return;
    }
    let folder = std::fs::read_dir(rules_folder().join("tests")).expect("the tests");
    for entry in folder {
        let file = entry.expect("an entry").path();
        must_be_content(&["test", "rules", file.to_str().expect("a path")]);
    }
}

#[test]
fn every_query_of_a_panel_is_promql() {
    if !there_is("promtool") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let check = |exprs: &[String]| {
        let file = folder.path().join("panels.yml");
        std::fs::write(&file, as_rules(exprs)).expect("a file");
        promtool(&["check", "rules", file.to_str().expect("a path")])
    };
    let exprs: Vec<String> = boards::all().into_iter().flat_map(|panel| panel.exprs).collect();
    let done = check(&exprs);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(!check(&["sum by (a (b)".to_owned()]).status.success());
}
