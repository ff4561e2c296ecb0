//! Progress display: a bar per tier on a terminal, a line from time to time elsewhere, nothing with JSON output.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::output;

/// Pause between two lines without a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Kind of display.
enum Way {
    Bars { all: MultiProgress, by_name: BTreeMap<String, ProgressBar> },
    Lines { last: Option<Instant>, said: String },
    Silent,
}

/// A progress display.
pub(super) struct Bars(Way);

impl Bars {
    /// The display for this process; `quiet` shows nothing.
    pub(super) fn new(quiet: bool) -> Self {
        if quiet {
            return Self(Way::Silent);
        }
        if std::io::stderr().is_terminal() {
            return Self(Way::Bars { all: MultiProgress::new(), by_name: BTreeMap::new() });
        }
        Self(Way::Lines { last: None, said: String::new() })
    }

    /// Shows names with percentages, and a status word.
    pub(super) fn show(&mut self, word: &str, parts: &[(String, u8)]) {
        match &mut self.0 {
            Way::Silent => {}
            Way::Bars { all, by_name } => {
                for (name, percent) in parts {
                    let bar = by_name.entry(name.clone()).or_insert_with(|| all.add(bar(name)));
                    bar.set_position(u64::from(*percent));
                    bar.set_message(word.to_owned());
                }
            }
            Way::Lines { last, said } => {
                let line = line(word, parts);
                let due = last.is_none_or(|last| last.elapsed() >= LINE_INTERVAL);
                if due && line != *said {
                    output::note(&line);
                    *last = Some(Instant::now());
                    *said = line;
                }
            }
        }
    }

    /// Shows the final values, even if the last line was printed just before.
    pub(super) fn end(&mut self, word: &str, parts: &[(String, u8)]) {
        if let Way::Lines { last, .. } = &mut self.0 {
            *last = None;
        }
        self.show(word, parts);
    }

    /// Removes the display.
    pub(super) fn clear(&mut self) {
        if let Way::Bars { all, by_name } = &mut self.0 {
            by_name.values().for_each(ProgressBar::finish);
            if all.clear().is_err() {
                tracing::debug!("the terminal was closed");
            }
        }
    }
}

/// The status word, and the parts once one of them has progressed.
fn line(word: &str, parts: &[(String, u8)]) -> String {
    if parts.iter().all(|(_, percent)| *percent == 0) {
        return word.to_owned();
    }
    let parts: Vec<String> =
        parts.iter().map(|(name, percent)| format!("{name} {percent}%")).collect();
    format!("{word} {}", parts.join(" "))
}

fn bar(name: &str) -> ProgressBar {
    let bar = ProgressBar::new(100).with_prefix(name.to_owned());
    let style =
        ProgressStyle::with_template("{prefix:>8} {wide_bar} {pos:>3} % {elapsed_precise} {msg}");
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_parts_once_they_have_begun() {
        let part = |name: &str, percent| (name.to_owned(), percent);
        assert_eq!(line("queued", &[part("total", 0)]), "queued");
        let parts = [part("360p", 40), part("240p", 0), part("total", 20)];
        assert_eq!(line("encoding", &parts), "encoding 360p 40% 240p 0% total 20%");
    }
}
