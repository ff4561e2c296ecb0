//! A letter as text.

use jetreel_actors::deadletter::{Facts, Inspection};
use jetreel_domain::delivery::claim::Attempt;

use crate::http::rfc3339;

/// Log lines that are shown. `--json` shows all that were kept.
const LOG_LINES_MAX: usize = 20;

/// All about a letter that helps to decide what to do.
pub(super) fn text(found: &Inspection) -> String {
    let letter = &found.letter;
    let mut lines = vec![
        format!("letter {}: {}", letter.seq, plain(&letter.error)),
        String::new(),
        pair("reason", &letter.reason),
        pair("stage", &letter.stage),
        pair("job", letter.job.as_deref().unwrap_or("unknown: the message could not be decoded")),
        pair("task", &letter.task),
        pair("node", &letter.node),
        pair("died", &rfc3339(letter.died)),
        pair("subject", &letter.subject),
    ];
    lines.extend(found.source.as_ref().map(|facts| pair("source", &source(facts))));
    lines.extend(letter.attempts.iter().map(|attempt| pair("attempt", &tried(attempt))));
    if !letter.detail.trim().is_empty() {
        lines.extend([String::new(), "log:".to_owned()]);
        lines.extend(tail(&letter.detail).map(|line| format!("  | {}", plain(line))));
    }
    lines.extend([String::new(), "what to do:".to_owned(), format!("  {}", letter.suggestion)]);
    let when = if letter.permanent {
        "a replay fails in the same way unless the cause is repaired first; then replay with any of:"
    } else {
        "replay with any of:"
    };
    lines.extend([String::new(), when.to_owned()]);
    lines.extend(found.replay.iter().map(|command| format!("  {command}")));
    if found.replay.iter().any(|command| command.contains("//GATEWAY/")) {
        lines.push(
            "GATEWAY is the address of a node with the role gateway, such as 127.0.0.1:8080."
                .to_owned(),
        );
    }
    lines.join("\n")
}

/// A letter may quote a hostile file or a forged message, so its control characters are escaped.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn pair(name: &str, value: &str) -> String {
    format!("{name:<8} {}", plain(value))
}

fn source(facts: &Facts) -> String {
    let Facts { width, height, frame_rate, codec, format, duration_seconds, bytes, class } = facts;
    let megabytes = *bytes as f64 / 1e6;
    format!(
        "{codec} {width}x{height} at {frame_rate:.2} frames/s, {duration_seconds:.1} s, {megabytes:.1} MB, {format}, class {class:?}"
    )
}

fn tried(attempt: &Attempt) -> String {
    let Attempt { number, node, at, error, start: _, heard: _, unknown: _ } = attempt;
    let ended = error.as_deref().unwrap_or("its node was lost");
    format!("{number} on {node} at {}: {ended}", rfc3339(*at))
}

fn tail(log: &str) -> impl Iterator<Item = &str> {
    let lines = log.trim_end().lines();
    let surplus = lines.clone().count().saturating_sub(LOG_LINES_MAX);
    lines.skip(surplus)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetreel_domain::delivery::deadletter::{Buried, DeadLetter};
    use jetreel_domain::words::failure::Failure;

    fn attempt(number: u32, node: &str, at: i64, error: Option<String>) -> Attempt {
        let (start, unknown) = (String::new(), std::collections::BTreeMap::new());
        Attempt { number, node: node.to_owned(), start, heard: None, at, error, unknown }
    }

    #[test]
    fn a_letter_says_why_and_what_to_do_and_nothing_controls_the_terminal() {
        let log: String = (0..100).map(|line| format!("line {line} \x1b[2J\n")).collect();
        let letter = DeadLetter {
            failure: Failure::task("codec-signal", "the decoder crashed").with_detail(log),
            attempts: vec![
                attempt(1, "a", 0, Some("codec-signal".to_owned())),
                attempt(2, "b", 60, None),
            ],
            ..DeadLetter::from_parts("x.y".into(), Vec::new(), Vec::new())
        };
        let buried = Buried { sequence: 17, at: 90, letter };
        let replay = vec!["jetreel dlq replay 17".to_owned()];
        let mut found = Inspection { letter: buried.explain(), source: None, replay };
        let text = super::text(&found);
        assert!(text.starts_with("letter 17: the decoder crashed\n"), "{text}");
        assert!(text.contains("1 on a at 1970-01-01T00:00:00Z: codec-signal"), "{text}");
        assert!(text.contains("2 on b at 1970-01-01T00:01:00Z: its node was lost"), "{text}");
        assert!(text.contains("line 99") && !text.contains("line 79 "), "{text}");
        assert!(!text.contains('\x1b') && text.ends_with("  jetreel dlq replay 17"), "{text}");
        assert!(!text.contains("fails in the same way"), "{text}");
        found.letter.permanent = true;
        found.replay.push("curl -X POST http://GATEWAY/v1/jobs/x/retry".to_owned());
        let text = super::text(&found);
        assert!(text.contains("a replay fails in the same way unless"), "{text}");
        assert!(text.contains("GATEWAY is the address"), "{text}");
    }
}
