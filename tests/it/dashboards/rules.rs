//! The rules for Prometheus, and their tests.

use serde_norway::Value;

use super::rules_folder;

/// Files with rules.
const FILES: [&str; 2] = ["recording.yml", "alerts.yml"];

/// An alert rule, or a recording rule.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) expr: String,
    /// Empty for recording rules, as are the following.
    pub(super) severity: String,
    pub(super) summary: String,
    pub(super) description: String,
    /// Path of its page in the repository.
    pub(super) runbook: String,
}

impl Rule {
    /// Whether it is an alert. Names of recording rules have colons.
    pub(super) fn is_alert(&self) -> bool {
        !self.name.contains(':')
    }
}

/// A test of promtool: the alerts that it looks at, and at each moment whether one fires.
pub(super) struct Case {
    steps: Vec<(String, bool)>,
}

/// All rules.
pub(super) fn all() -> Vec<Rule> {
    let files = FILES.iter().map(|file| read(&rules_folder().join(file)));
    files.flat_map(|file| rules(&file)).collect()
}

/// All alerts.
pub(super) fn alerts() -> Vec<Rule> {
    all().into_iter().filter(Rule::is_alert).collect()
}

fn rules(file: &Value) -> Vec<Rule> {
    let groups = list(&file["groups"]);
    let rules = groups.iter().flat_map(|group| list(&group["rules"]));
    let rule = |rule: Value| Rule {
        name: text(&rule["alert"]).or_else(|| text(&rule["record"])).expect("a name"),
        expr: text(&rule["expr"]).expect("an expression"),
        severity: text(&rule["labels"]["severity"]).unwrap_or_default(),
        summary: text(&rule["annotations"]["summary"]).unwrap_or_default(),
        description: text(&rule["annotations"]["description"]).unwrap_or_default(),
        runbook: text(&rule["annotations"]["runbook_url"]).unwrap_or_default(),
    };
    rules.map(rule).collect()
}

/// All tests of alerts.
pub(super) fn tests() -> Vec<Case> {
    let folder = std::fs::read_dir(rules_folder().join("tests")).expect("the tests");
    let files = folder.map(|entry| read(&entry.expect("an entry").path()));
    let cases = files.flat_map(|file| list(&file["tests"]));
    let step = |step: &Value| {
        let name = text(&step["alertname"]).expect("an alert");
        (name, !list(&step["exp_alerts"]).is_empty())
    };
    let case =
        |case: Value| Case { steps: list(&case["alert_rule_test"]).iter().map(step).collect() };
    cases.map(case).collect()
}

/// A complaint for each alert and each of the three that no test shows.
pub(super) fn untested(alerts: &[String], cases: &[Case]) -> Vec<String> {
    let mut found = Vec::new();
    for alert in alerts {
        let of_alert = |case: &Case| -> Vec<bool> {
            let own = case.steps.iter().filter(|(name, _)| name == alert);
            own.map(|(_, fires)| *fires).collect()
        };
        let own: Vec<Vec<bool>> =
            cases.iter().map(of_alert).filter(|own| !own.is_empty()).collect();
        let clears = |steps: &Vec<bool>| steps.contains(&true) && steps.last() == Some(&false);
        for (holds, what) in [
            (own.iter().any(|steps| steps.contains(&true)), "fires"),
            (own.iter().any(|steps| !steps.contains(&true)), "does not fire"),
            (own.iter().any(clears), "clears"),
        ] {
            found.extend((!holds).then(|| format!("{alert}: no test shows that it {what}")));
        }
    }
    found
}

fn read(path: &std::path::Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a file");
    serde_norway::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn list(value: &Value) -> Vec<Value> {
    value.as_sequence().cloned().unwrap_or_default()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
