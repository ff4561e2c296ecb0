//! Classifies the broker's answers: one total mapping from a fault to a [`Failure`] and to "try again".
//!
//! Invariant: trouble of the broker is a dependency fault, which charges no attempt. Only a fault that no retry can cure (a message that is
//! too large) is permanent, and only a document that cannot be decoded is the task's own fault.

use async_nats::{RequestError, RequestErrorKind, jetstream};
use jetreel_domain::order::document::{self, DocumentFault};
use jetreel_domain::words::failure::Failure;

/// "wrong last sequence": a compare-and-set met another writer.
pub(super) const WRONG_LAST_SEQUENCE: u64 = 10071;
/// The same error of a replicated stream, where it can also be spurious.
pub(super) const WRONG_LAST_SEQUENCE_IN_PROCESS: u64 = 10164;
/// "store failed": the subject is taken, or the stream is full.
pub(super) const STORE_FAILED: u64 = 10077;
/// How the server words [`STORE_FAILED`] if only the subject is taken.
const SUBJECT_TAKEN: &str = "maximum messages per subject exceeded";
/// The stream does not exist.
pub(super) const STREAM_NOT_FOUND: u64 = 10059;
const CONSUMER_NOT_FOUND: u64 = 10014;
const MESSAGE_TOO_LARGE: u64 = 10054;
const NO_SPACE: [u64; 4] = [10047, 10023, 10002, 10028];

/// Faults of a request to the broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// No answer in time. The request may or may not have been carried out.
    #[error("no answer in time")]
    Timeout,
    /// No server answers on the subject: an election, or JetStream is off.
    #[error("no responders")]
    NoResponders,
    /// The connection broke, or the client is closed.
    #[error("connection: {0}")]
    Connection(String),
    /// The payload exceeds the server's limit.
    #[error("message too large")]
    TooLarge,
    /// The subject is malformed.
    #[error("invalid subject")]
    BadSubject,
    /// The answer violates the protocol.
    #[error("unexpected answer: {0}")]
    Malformed(String),
    /// This version cannot decode a stored document.
    #[error("unreadable document: {0}")]
    Unreadable(String),
    /// A newer version wrote a stored document. This version cannot read it or must not change it.
    #[error("newer document: {0}")]
    Newer(String),
    /// A stored document contradicts its place.
    #[error("{}", .0.told())]
    Contradicting(Failure),
    /// The server refused the request.
    #[error("{description} ({status}, {code})")]
    Refused {
        /// HTTP-like class.
        status: usize,
        /// Error code of the server; 0 without one.
        code: u64,
        /// Error text of the server.
        description: String,
    },
}

impl Fault {
    /// Whether the same request may succeed in a moment (an election, a reconnect).
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Timeout | Self::NoResponders | Self::Connection(_) => true,
            Self::Refused { status, code, .. } => {
                *status == 503 && !NO_SPACE.contains(code) && *code != STORE_FAILED
            }
            Self::TooLarge
            | Self::BadSubject
            | Self::Malformed(_)
            | Self::Unreadable(_)
            | Self::Newer(_)
            | Self::Contradicting(_) => false,
        }
    }

    /// Whether the fault concerns one document only.
    pub(super) fn is_of_document(&self) -> bool {
        matches!(self, Self::Unreadable(_) | Self::Newer(_) | Self::Contradicting(_))
    }

    /// Whether the request may have been carried out without a confirmation.
    pub(super) fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Timeout | Self::Connection(_) | Self::Malformed(_))
    }

    /// Whether a compare-and-set met another writer.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { code, .. }
            if [WRONG_LAST_SEQUENCE, WRONG_LAST_SEQUENCE_IN_PROCESS].contains(code))
    }

    /// Whether the stream did not store the message because its subject is taken or the stream is full.
    pub(super) fn is_store_failed(&self) -> bool {
        matches!(self, Self::Refused { code: STORE_FAILED, .. })
    }

    /// Whether the stream did not store the message because its subject is taken. `false` if the server's text leaves that open.
    pub(super) fn is_subject_taken(&self) -> bool {
        matches!(self, Self::Refused { code: STORE_FAILED, description, .. }
            if description.contains(SUBJECT_TAKEN))
    }

    /// Whether the stream or consumer does not exist.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Refused { code: STREAM_NOT_FOUND | CONSUMER_NOT_FOUND, .. })
    }

    /// The failure for a stage. `doing` names the operation.
    pub(super) fn failure(&self, doing: &str) -> Failure {
        let failure = match self {
            Self::Timeout => {
                Failure::dependency("broker-timeout", "The broker did not answer in time.")
            }
            Self::NoResponders => Failure::dependency(
                "broker-unavailable",
                "No stream at the broker accepts the request: the stream is missing or has no leader.",
            ),
            Self::Connection(_) => {
                Failure::dependency("broker-unreachable", "The connection to the broker is down.")
            }
            Self::TooLarge => too_large(),
            Self::BadSubject => {
                Failure::permanent("bad-subject", "A name cannot be part of a subject.")
            }
            Self::Malformed(_) => {
                Failure::dependency("broker-protocol", "The broker's answer violates the protocol.")
            }
            Self::Unreadable(_) => {
                Failure::task("unreadable-document", "A stored document is of an unknown form.")
            }
            Self::Newer(_) => document::newer(),
            Self::Contradicting(failure) => return failure.clone(),
            Self::Refused { status, code, .. } => refusal(*status, *code),
        };
        failure.with_detail(format_args!("{doing}: {self}"))
    }
}

fn too_large() -> Failure {
    Failure::permanent("message-too-large", "A message is above the broker's size limit.")
}

fn refusal(status: usize, code: u64) -> Failure {
    match code {
        STORE_FAILED => Failure::dependency("stream-full", "A stream is full."),
        MESSAGE_TOO_LARGE => too_large(),
        STREAM_NOT_FOUND | CONSUMER_NOT_FOUND => Failure::dependency(
            "topology-missing",
            "A stream or consumer is missing. Create it with `jetreel streams apply`.",
        ),
        WRONG_LAST_SEQUENCE | WRONG_LAST_SEQUENCE_IN_PROCESS => Failure::dependency(
            "broker-conflict",
            "Other writers changed the document at each try. Try again.",
        ),
        code if NO_SPACE.contains(&code) => {
            Failure::dependency("storage-full", "The broker is out of storage.")
        }
        _ if status == 401 || status == 403 => {
            Failure::dependency("broker-denied", "The broker denies this user the request.")
        }
        _ if status == 503 => {
            Failure::dependency("broker-unavailable", "The broker is not ready for this request.")
        }
        _ => Failure::dependency("broker-refused", "The broker refused a request."),
    }
}

impl Fault {
    /// The fault of a document at `place` that cannot be read or written.
    pub(super) fn of_document(place: &str, fault: &DocumentFault) -> Self {
        let told = format!("{place}: {fault}");
        match fault {
            DocumentFault::Newer(_) => Self::Newer(told),
            DocumentFault::Form(_) => Self::Unreadable(told),
        }
    }
}

impl From<RequestError> for Fault {
    fn from(error: RequestError) -> Self {
        match error.kind() {
            RequestErrorKind::TimedOut => Self::Timeout,
            RequestErrorKind::NoResponders => Self::NoResponders,
            RequestErrorKind::InvalidSubject => Self::BadSubject,
            RequestErrorKind::MaxPayloadExceeded => Self::TooLarge,
            RequestErrorKind::Other => Self::Connection(error.to_string()),
        }
    }
}

impl From<jetstream::Error> for Fault {
    fn from(error: jetstream::Error) -> Self {
        let (status, code) = (error.code(), error.error_code().0);
        Self::Refused { status, code, description: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use jetreel_domain::words::failure::Severity;

    use super::*;

    fn refused(status: usize, code: u64) -> Fault {
        Fault::Refused { status, code, description: "no".into() }
    }

    #[test]
    fn every_answer_has_its_severity_and_its_word() {
        use Severity::{DependencyFault, Permanent, TaskFault};
        let table = [
            (Fault::Timeout, DependencyFault, "broker-timeout", true),
            (Fault::NoResponders, DependencyFault, "broker-unavailable", true),
            (Fault::Connection("eof".into()), DependencyFault, "broker-unreachable", true),
            (Fault::TooLarge, Permanent, "message-too-large", false),
            (Fault::BadSubject, Permanent, "bad-subject", false),
            (Fault::Malformed("?".into()), DependencyFault, "broker-protocol", false),
            (Fault::Unreadable("?".into()), TaskFault, "unreadable-document", false),
            (Fault::Newer("?".into()), TaskFault, "newer-document", false),
            (refused(400, 10071), DependencyFault, "broker-conflict", false),
            (refused(400, 10164), DependencyFault, "broker-conflict", false),
            (refused(503, 10077), DependencyFault, "stream-full", false),
            (refused(500, 10047), DependencyFault, "storage-full", false),
            (refused(503, 10023), DependencyFault, "storage-full", false),
            (refused(404, 10059), DependencyFault, "topology-missing", false),
            (refused(404, 10014), DependencyFault, "topology-missing", false),
            (refused(400, 10054), Permanent, "message-too-large", false),
            (refused(503, 10008), DependencyFault, "broker-unavailable", true),
            (refused(503, 0), DependencyFault, "broker-unavailable", true),
            (refused(403, 0), DependencyFault, "broker-denied", false),
            (refused(409, 0), DependencyFault, "broker-refused", false),
        ];
        for (fault, severity, code, passing) in table {
            let failure = fault.failure("publish");
            assert_eq!(
                (failure.severity, failure.code.as_str(), fault.is_passing()),
                (severity, code, passing),
                "{fault:?}"
            );
            assert!(failure.detail.starts_with("publish: "), "{failure:?}");
        }
    }

    #[test]
    fn both_words_for_a_lost_compare_and_set_are_conflicts() {
        assert!(refused(400, 10071).is_conflict() && refused(400, 10164).is_conflict());
        assert!(!refused(503, 10077).is_conflict() && refused(503, 10077).is_store_failed());
    }
}
