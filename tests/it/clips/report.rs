//! The table of all clips.

use std::fmt::Write as _;

/// Result of one clip.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    /// File name.
    pub(crate) clip: String,
    /// `accepted` or `refused`, with class or reason.
    pub(crate) verdict: String,
    /// Decoded source frames, and frames of each tier.
    pub(crate) frames: String,
    /// Chunks.
    pub(crate) chunks: String,
    /// Largest difference of a frame's time, output ticks.
    pub(crate) ticks: String,
    /// IDR instants, the same in all tiers.
    pub(crate) idrs: String,
    /// Seconds of the playlists, the same in all tiers.
    pub(crate) seconds: String,
    /// Worst tier's advantage over a single pass, dB.
    pub(crate) quality: String,
    /// Demuxers that agree.
    pub(crate) demuxers: String,
    /// Wall seconds of the product.
    pub(crate) wall: String,
    /// Faults; empty if there are none.
    pub(crate) problems: Vec<String>,
}

impl Row {
    /// Notes a problem, or gives the value on.
    pub(crate) fn check<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|problem| self.problems.push(problem)).ok()
    }
}

const HEAD: &str = "| clip | verdict | source → tiers, frames | chunks | ticks off | IDRs | s | SSIM dB | demuxers | wall s | |";

/// The table as Markdown, with a line that counts.
pub(crate) fn table(rows: &[Row]) -> String {
    let columns = HEAD.matches('|').count() - 1;
    let mut text = format!("{HEAD}\n|{}\n", "---|".repeat(columns));
    for row in rows {
        let problems =
            if row.problems.is_empty() { "ok".to_owned() } else { row.problems.join("; ") };
        let cells = [
            &row.clip,
            &row.verdict,
            &row.frames,
            &row.chunks,
            &row.ticks,
            &row.idrs,
            &row.seconds,
            &row.quality,
            &row.demuxers,
            &row.wall,
            &problems,
        ];
        let cells = cells.map(|cell| cell.replace('|', "/").replace('\n', " "));
        let _written = writeln!(text, "| {} |", cells.join(" | "));
    }
    let good = rows.iter().filter(|row| row.problems.is_empty()).count();
    let _written = writeln!(text, "\n{good} of {} clips as they must be", rows.len());
    text
}

/// The table, also written to the file that `JETREEL_CLIPS_REPORT` names.
pub(crate) fn publish(rows: &[Row]) -> String {
    let text = table(rows);
    if let Some(file) = std::env::var_os("JETREEL_CLIPS_REPORT") {
        std::fs::write(&file, &text).expect("the report can be written");
    }
    text
}
