//! Dead letters: messages that no attempt could process, with all that is known about the reason.
//!
//! The body is the original's, byte for byte, under `video.transcodes.dlq.<original subject>`. Removing the prefix from the subject and
//! publishing the body again is a replay, with any client. The explanation is in headers.
//!
//! Invariant: a letter is its body and at most [`HEADERS_MAX`] bytes of headers, so long texts cannot fill the stream. The body is never
//! cut, because a cut body could not be replayed; the broker bounds its size.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::delivery::claim::Attempt;
use crate::delivery::stage::Unit;
use crate::delivery::subject;
use crate::id::OrderId;
use crate::words::excerpt::excerpt;
use crate::words::failure::{Failure, Severity};
use crate::words::redact::redact;

/// Code of the failure.
pub const REASON: &str = "Jetreel-Reason";
/// Sentence of the failure, for users.
pub const ERROR: &str = "Jetreel-Error";
/// Detail of the failure for operators, such as the end of the codec's log or the answer of a dependency. A JSON string.
pub const DETAIL: &str = "Jetreel-Detail";
/// Severity of the failure, such as `Permanent`.
pub const SEVERITY: &str = "Jetreel-Severity";
/// The attempts, oldest first. JSON, see [`Attempt`].
pub const ATTEMPTS: &str = "Jetreel-Attempts";
/// Name of the node that buried the message.
pub const NODE: &str = "Jetreel-Node";
/// `ingest`, `encode` or `publish`.
pub const STAGE: &str = "Jetreel-Stage";
/// The order, `<video>-<number>`. Absent if the message could not be decoded.
pub const ORDER: &str = "Jetreel-Order";
/// The video.
pub const VIDEO: &str = "Jetreel-Video";
/// Task, or name of the stage.
pub const TASK: &str = "Jetreel-Task";
/// When the message was first tried, in seconds since the Unix epoch.
pub const FIRST_SEEN: &str = "Jetreel-First-Seen";
/// Stream and sequence of the original message: `ENCODE 17`.
pub const ORIGIN: &str = "Jetreel-Origin";

/// Largest total size of the names and values of a letter's headers, in bytes.
pub const HEADERS_MAX: usize = 10 << 10;

/// Largest detail as written, in bytes.
const DETAIL_MAX: usize = 4 << 10;
/// Largest list of attempts as written, in bytes. The newest attempts that fit are kept.
const ATTEMPTS_MAX: usize = 2 << 10;
/// Largest total size of the message's own headers with their names, in bytes. The headers of CloudEvents and of a trace take a quarter of
/// it.
const OWN_MAX: usize = 2 << 10;
/// Largest sentence, in bytes.
const ERROR_MAX: usize = 512;
/// Largest name or code, in bytes.
const WORD_MAX: usize = 128;

/// A message that is buried, or to be buried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Stream of the message.
    pub stream: String,
    /// Sequence in the stream.
    pub sequence: u64,
    /// Subject that the message was published to.
    pub subject: String,
    /// Body of the message, byte for byte.
    pub body: Vec<u8>,
    /// Headers of the message, except those that instruct the broker.
    pub headers: Vec<(String, String)>,
    /// `ingest`, `encode` or `publish`.
    pub stage: String,
    /// Order of the message; `None` if the message could not be decoded.
    pub order: Option<OrderId>,
    /// Task or stage that the message asks for.
    pub task: Unit,
    /// Failure that ended the last attempt.
    pub failure: Failure,
    /// The attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// Name of the node that buried it.
    pub node: String,
    /// When it was first tried, in seconds since the Unix epoch.
    pub first_seen: i64,
}

/// A dead letter in its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buried {
    /// Sequence in DLQ, as `dlq show` and `dlq replay` take it.
    pub sequence: u64,
    /// When it was buried, in seconds since the Unix epoch.
    pub at: i64,
    pub letter: DeadLetter,
}

/// Explanation of a dead letter, as clients read it (JSON).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Sequence in DLQ.
    pub seq: u64,
    /// Original subject.
    pub subject: String,
    /// Stage that buried the message.
    pub stage: String,
    /// Id of the job; `None` if the message could not be decoded.
    pub job: Option<String>,
    /// Task, or name of the stage.
    pub task: String,
    /// Code of the failure.
    pub reason: String,
    /// Sentence of the failure, for users.
    pub error: String,
    /// Whether a replay fails in the same way unless the cause is repaired.
    pub permanent: bool,
    /// Detail of the failure, for operators.
    pub detail: String,
    /// The attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// Name of the node that buried it.
    pub node: String,
    /// When it was first tried, in seconds since the Unix epoch.
    pub first_seen: i64,
    /// When it was buried, in seconds since the Unix epoch.
    pub died: i64,
    /// Advice for the operator.
    pub suggestion: String,
}

impl DeadLetter {
    /// All headers: the original's own, then the explanation. Values are single lines.
    #[must_use]
    pub fn to_headers(&self) -> Vec<(String, String)> {
        let mut headers = within(&self.headers, OWN_MAX);
        let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
        add(REASON, one_line(&self.failure.code, WORD_MAX));
        add(ERROR, one_line(&redact(&self.failure.message), ERROR_MAX));
        add(DETAIL, json_text(&redact(&self.failure.detail), DETAIL_MAX));
        add(SEVERITY, format!("{:?}", self.failure.severity));
        add(ATTEMPTS, newest(&self.attempts, ATTEMPTS_MAX));
        add(NODE, one_line(&self.node, WORD_MAX));
        add(STAGE, one_line(&self.stage, WORD_MAX));
        if let Some(order) = &self.order {
            add(ORDER, order.to_string());
            add(VIDEO, order.video.to_string());
        }
        add(TASK, one_line(&self.task.to_string(), WORD_MAX));
        add(FIRST_SEEN, self.first_seen.to_string());
        add(ORIGIN, format!("{} {}", one_line(&self.stream, WORD_MAX), self.sequence));
        headers
    }

    /// Reads a letter. Missing headers are defaulted, so that a letter published by hand can be shown and replayed.
    #[must_use]
    pub fn from_parts(subject: String, body: Vec<u8>, all: Vec<(String, String)>) -> Self {
        let (ours, headers): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(name, _)| is_ours(name));
        let ours: BTreeMap<String, String> = ours.into_iter().collect();
        let text = |name: &str| ours.get(name).cloned().unwrap_or_default();
        let origin = text(ORIGIN);
        let (stream, sequence) = origin.split_once(' ').unwrap_or_default();
        Self {
            stream: stream.to_owned(),
            sequence: sequence.parse().unwrap_or_default(),
            order: text(ORDER).parse().ok().filter(|order| owns(order, &subject)),
            subject,
            body,
            headers,
            stage: text(STAGE),
            task: text(TASK).into(),
            failure: Failure {
                severity: severity(&text(SEVERITY)),
                code: text(REASON),
                message: text(ERROR),
                detail: serde_json::from_str(&text(DETAIL)).unwrap_or_default(),
                object: None,
            },
            attempts: serde_json::from_str(&text(ATTEMPTS)).unwrap_or_default(),
            node: text(NODE),
            first_seen: text(FIRST_SEEN).parse().unwrap_or_default(),
        }
    }
}

impl Buried {
    /// Explains the letter and adds advice.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        let letter = &self.letter;
        Explanation {
            seq: self.sequence,
            subject: letter.subject.clone(),
            stage: letter.stage.clone(),
            job: letter.order.as_ref().map(ToString::to_string),
            task: letter.task.to_string(),
            reason: letter.failure.code.clone(),
            error: letter.failure.message.clone(),
            permanent: letter.failure.severity == Severity::Permanent,
            detail: letter.failure.detail.clone(),
            attempts: letter.attempts.clone(),
            node: letter.node.clone(),
            first_seen: letter.first_seen,
            died: self.at,
            suggestion: crate::words::advice::suggestion(&letter.failure).to_owned(),
        }
    }
}

/// Whether the order may belong to the message: a letter published by hand can name any order. Of a subject outside of the stages' queues
/// nothing is known.
fn owns(order: &OrderId, subject: &str) -> bool {
    match subject::owner(subject) {
        Some((video, number)) => {
            order.video == video && number.is_none_or(|number| order.number == number)
        }
        None => subject::stage(subject).is_none(),
    }
}

fn is_ours(name: &str) -> bool {
    const OURS: [&str; 12] = [
        REASON, ERROR, DETAIL, SEVERITY, ATTEMPTS, NODE, STAGE, ORDER, VIDEO, TASK, FIRST_SEEN,
        ORIGIN,
    ];
    OURS.contains(&name)
}

fn severity(word: &str) -> Severity {
    match word {
        "Permanent" => Severity::Permanent,
        "DependencyFault" => Severity::DependencyFault,
        _ => Severity::TaskFault,
    }
}

/// The first headers that fit.
fn within(headers: &[(String, String)], bytes_max: usize) -> Vec<(String, String)> {
    let mut bytes = 0;
    let fits = |(name, value): &&(String, String)| {
        bytes += name.len() + value.len();
        bytes <= bytes_max
    };
    headers.iter().take_while(fits).cloned().collect()
}

/// The text on one line: a header ends at the end of its line.
fn one_line(text: &str, bytes_max: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    excerpt(&line, bytes_max - EXCERPT_SLACK)
}

/// How many bytes an excerpt may be longer than requested.
const EXCERPT_SLACK: usize = 8;

/// The text as a JSON string, which contains no line end. One character may take six bytes.
fn json_text(text: &str, bytes_max: usize) -> String {
    let mut room = bytes_max - EXCERPT_SLACK;
    loop {
        let written = serde_json::to_string(&excerpt(text, room)).unwrap_or_default();
        if written.len() <= bytes_max {
            return written;
        }
        room /= 2;
    }
}

/// The newest attempts that fit, oldest first.
fn newest(attempts: &[Attempt], bytes_max: usize) -> String {
    let written = (0..=attempts.len()).map(|from| serde_json::to_string(&attempts[from..]));
    written.flatten().find(|written| written.len() <= bytes_max).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::VideoId;

    fn letter() -> DeadLetter {
        let order = OrderId::new(VideoId::from_bits(7), 1);
        DeadLetter {
            stream: "ENCODE".into(),
            sequence: 17,
            subject: format!("video.encode.normal.main.{}.1.main-0003", order.video),
            body: vec![0, 255, b'{', b'{'],
            headers: vec![("traceparent".into(), "00-1-2-01".into())],
            stage: "encode".into(),
            order: Some(order),
            task: "main-0003".into(),
            failure: Failure::task("codec-signal", "it crashed")
                .with_detail("line 1\nline 2 \"q\""),
            attempts: vec![Attempt {
                number: 1,
                node: "a".into(),
                start: "a-1".into(),
                heard: Some(7),
                at: 5,
                error: Some("codec-signal".into()),
                unknown: BTreeMap::new(),
            }],
            node: "a".into(),
            first_seen: 5,
        }
    }

    #[test]
    fn a_letter_survives_its_headers() {
        let letter = letter();
        let headers = letter.to_headers();
        assert!(headers.iter().all(|(_, value)| !value.contains(['\n', '\r'])), "{headers:?}");
        let read = DeadLetter::from_parts(letter.subject.clone(), letter.body.clone(), headers);
        assert_eq!(read, letter);
    }

    #[test]
    fn a_letter_put_there_by_hand_can_be_read() {
        let read = DeadLetter::from_parts("video.publish.x.1".into(), vec![1], Vec::new());
        assert_eq!(
            (read.subject.as_str(), read.order, read.attempts),
            ("video.publish.x.1", None, vec![])
        );
    }

    #[test]
    fn a_letter_is_of_the_order_that_its_subject_names() {
        let letter = letter();
        let read = |subject: &str| {
            DeadLetter::from_parts(subject.to_owned(), Vec::new(), letter.to_headers()).order
        };
        assert_eq!(read(&letter.subject), letter.order);
        let other = VideoId::from_bits(8);
        for forged in [letter.subject.replace(".1.", ".2."), format!("video.uploads.raw.{other}")] {
            assert_eq!(read(&forged), None, "{forged}");
        }
    }

    #[test]
    fn a_long_log_keeps_its_end() {
        let mut letter = letter();
        letter.failure.detail = format!("{}é end", "é".repeat(DETAIL_MAX));
        let read = DeadLetter::from_parts(String::new(), Vec::new(), letter.to_headers());
        assert!(
            read.failure.detail.len() <= DETAIL_MAX && read.failure.detail.ends_with("é end"),
            "{}",
            read.failure.detail.len()
        );
    }

    #[test]
    fn whatever_is_known_a_letter_is_small_and_can_be_replayed() {
        let long = |text: &str| text.repeat(100_000);
        let mut letter = letter();
        letter.failure = Failure::task(&long("c"), long("a sentence ")).with_detail(long("\u{1}é"));
        letter.attempts = (0..50)
            .map(|number| Attempt {
                number,
                node: "n".repeat(200),
                start: "s".repeat(36),
                heard: None,
                at: 5,
                error: Some(long("e")),
                unknown: BTreeMap::new(),
            })
            .collect();
        let last = Attempt {
            number: 51,
            node: "last".into(),
            start: String::new(),
            heard: None,
            at: 6,
            error: None,
            unknown: BTreeMap::new(),
        };
        letter.attempts.push(last.clone());
        letter.node = long("node");
        letter.stage = long("stage");
        letter.task = long("task").into();
        letter.headers.extend((0..100).map(|n| (format!("x-{n}"), "v".repeat(1000))));
        letter.body = vec![7; 100_000];
        let headers = letter.to_headers();
        let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(bytes <= HEADERS_MAX, "{bytes}");
        let read = DeadLetter::from_parts(letter.subject.clone(), letter.body.clone(), headers);
        assert_eq!((&read.body, &read.subject), (&letter.body, &letter.subject));
        assert_eq!((read.sequence, &read.order), (letter.sequence, &letter.order));
        assert_eq!((read.attempts, &read.headers[0]), (vec![last], &letter.headers[0]));
        assert!(read.failure.detail.ends_with('é') && read.failure.message.starts_with("a sent"));
    }
}
