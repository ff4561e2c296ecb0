//! The table of all clips.

use std::fmt::Write as _;
use std::path::Path;

use super::recipe::Expected;
use super::view::View;

/// Result of one clip.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    pub(super) clip: String,
    /// Class and number of chunks, or the reason of a refusal.
    pub(super) verdict: String,
    /// Found in each output, and expected.
    pub(super) flashes: String,
    pub(super) beeps: String,
    /// Output and worst distance of a beep from its flash.
    pub(super) worst: Vec<String>,
    /// Output and seconds of picture and sound.
    pub(super) seconds: Vec<String>,
    /// Faults; empty if there are none.
    pub(super) problems: Vec<String>,
    /// Found in each output.
    counts: Vec<(usize, usize)>,
}

impl Row {
    /// Of a clip of which nothing is known yet.
    pub(super) fn of(clip: &str) -> Self {
        Self { clip: clip.to_owned(), ..Self::default() }
    }

    /// Notes a problem.
    pub(super) fn wrong(mut self, problem: String) -> Self {
        self.problems.push(problem);
        self
    }

    /// Notes an output.
    pub(super) fn measured(&mut self, view: &View, worst: Option<f64>) {
        let worst = worst.map_or_else(|| "–".to_owned(), |off| format!("{:+.0}", off * 1000.0));
        self.worst.push(format!("{} {worst}", view.name));
        let (picture, sound) = (view.picture_end, view.sound.end);
        self.seconds.push(format!("{} {picture:.2}/{sound:.2}", view.name));
        self.counts.push((view.picture.flashes.len(), view.sound.beeps.len()));
    }

    /// Sets the cells of what was counted.
    pub(super) fn counted(&mut self, expected: &Expected) {
        let flashes = expected.flashes.len();
        let beeps = expected.tracks.first().map_or(0, |track| track.beeps.len());
        let cell = |mut found: Vec<usize>, expected: usize| {
            found.dedup();
            let found: Vec<String> = found.iter().map(usize::to_string).collect();
            let found = if found.is_empty() { "–".to_owned() } else { found.join(", ") };
            format!("{found} of {expected}")
        };
        self.flashes = cell(self.counts.iter().map(|(flashes, _)| *flashes).collect(), flashes);
        self.beeps = cell(self.counts.iter().map(|(_, beeps)| *beeps).collect(), beeps);
    }
}

const HEAD: &str = "| clip | verdict | flashes | beeps | worst offset, ms | picture/sound, s | |";

/// The table as Markdown, with a line that counts.
pub(super) fn table(rows: &[Row]) -> String {
    let columns = HEAD.matches('|').count() - 1;
    let mut text = format!("{HEAD}\n|{}\n", "---|".repeat(columns));
    for row in rows {
        let problems =
            if row.problems.is_empty() { "ok".to_owned() } else { row.problems.join("; ") };
        let (worst, seconds) = (row.worst.join(", "), row.seconds.join(", "));
        let cells =
            [&row.clip, &row.verdict, &row.flashes, &row.beeps, &worst, &seconds, &problems];
        let cells = cells.map(|cell| cell.replace('|', "/").replace('\n', " "));
        let _written = writeln!(text, "| {} |", cells.join(" | "));
    }
    let good = rows.iter().filter(|row| row.problems.is_empty()).count();
    let _written = writeln!(text, "\n{good} of {} clips as they must be", rows.len());
    text
}

/// The table, also written to `name` in the folder that `JETREEL_SYNC_REPORT` names.
pub(super) fn publish(rows: &[Row], name: &str) -> String {
    let text = table(rows);
    if let Some(folder) = std::env::var_os("JETREEL_SYNC_REPORT") {
        std::fs::create_dir_all(&folder).expect("a folder for the report");
        std::fs::write(Path::new(&folder).join(name), &text).expect("the report can be written");
    }
    text
}
