//! What came of a campaign: a table for people, JSON for programs.

use std::path::Path;
use std::time::Duration;

use comfy_table::{Table, presets};
use serde_json::json;

use super::checker::Findings;

/// Result of one fault.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    /// To choose it by.
    pub(crate) name: String,
    /// For people.
    pub(crate) fault: String,
    /// How often it was injected.
    pub(crate) runs: u32,
    /// Findings of the checker.
    pub(crate) findings: Findings,
    /// Uploads that were refused in time; tries without an answer.
    pub(crate) not_taken: (u32, u32),
    /// Longest time until work went on.
    pub(crate) resumed: Option<Duration>,
    /// Why it did not take place.
    pub(crate) skipped: Option<String>,
    /// How long it took.
    pub(crate) took: Duration,
}

impl Row {
    /// Whether everything held, or nothing was tried.
    pub(crate) fn holds(&self) -> bool {
        self.skipped.is_some() || self.findings.holds()
    }

    fn result(&self) -> String {
        match &self.skipped {
            Some(reason) => format!("skipped: {reason}"),
            None if self.holds() => "holds".to_owned(),
            None => "BROKEN".to_owned(),
        }
    }

    fn cells(&self) -> Vec<String> {
        let Findings { acknowledged, lost, duplicated, failed, recovered, stuck, foreign, .. } =
            &self.findings;
        if self.skipped.is_some() {
            let dashes = std::iter::repeat_n("-".to_owned(), HEADER.len() - 2);
            return std::iter::once(self.fault.clone())
                .chain(dashes)
                .chain([self.result()])
                .collect();
        }
        let seconds = self
            .resumed
            .map_or_else(|| "-".to_owned(), |time| format!("{:.1}", time.as_secs_f64()));
        let unanswered = format!("{recovered}+{stuck}");
        let numbers = [*acknowledged, lost.len(), duplicated.len(), *failed, foreign.len()];
        let [acknowledged, lost, duplicated, failed, foreign] = numbers.map(|n| n.to_string());
        vec![
            self.fault.clone(),
            self.runs.to_string(),
            acknowledged,
            lost,
            duplicated,
            failed,
            unanswered,
            foreign,
            seconds,
            self.result(),
        ]
    }

    fn json(&self) -> serde_json::Value {
        let found = &self.findings;
        json!({
            "name": self.name,
            "fault": self.fault,
            "runs": self.runs,
            "acknowledged": found.acknowledged,
            "lost": found.lost,
            "duplicated": found.duplicated,
            "failed_with_a_reason": found.failed,
            "unanswered_but_done": found.recovered,
            "unanswered_and_open": found.stuck,
            "objects_nobody_names": found.foreign,
            "broken": found.broken,
            "refused": self.not_taken.0,
            "without_an_answer": self.not_taken.1,
            "resumed_seconds": self.resumed.map(|time| time.as_secs_f64()),
            "skipped": self.skipped,
            "seconds": self.took.as_secs_f64(),
        })
    }
}

const HEADER: [&str; 10] = [
    "fault",
    "runs",
    "acknowledged",
    "lost",
    "duplicated",
    "failed",
    "unanswered: done+open",
    "orphans",
    "resumed (s)",
    "result",
];

/// The table, in Markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(HEADER);
    for row in rows {
        table.add_row(row.cells());
    }
    table.to_string()
}

/// Everything that does not hold, a line each.
pub(crate) fn complaints(rows: &[Row]) -> Vec<String> {
    let mut found = Vec::new();
    for row in rows {
        let Findings { lost, duplicated, broken, .. } = &row.findings;
        found.extend(lost.iter().map(|what| format!("{}: lost: {what}", row.name)));
        found.extend(duplicated.iter().map(|what| format!("{}: duplicated: {what}", row.name)));
        found.extend(broken.iter().map(|what| format!("{}: {what}", row.name)));
    }
    found
}

/// Writes everything as JSON.
pub(crate) fn write(rows: &[Row], place: &Path, took: Duration) -> anyhow::Result<()> {
    let rows: Vec<_> = rows.iter().map(Row::json).collect();
    let all = json!({ "seconds": took.as_secs_f64(), "faults": rows });
    if let Some(folder) = place.parent() {
        std::fs::create_dir_all(folder)?;
    }
    Ok(std::fs::write(place, serde_json::to_string_pretty(&all)?)?)
}
