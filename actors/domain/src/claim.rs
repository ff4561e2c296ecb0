//! Who runs a task, and how often it was tried. Attempts belong to the task, not to the delivery.

use serde::{Deserialize, Serialize};

/// The document at `claims/<video>.<number>.<task>`. Its revision in the bucket is the fence: only its holder may hand back,
/// fail or dead-letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// UUID of the attempt; also the last part of its object keys.
    pub attempt_id: String,
    /// Node that runs it.
    pub node: String,
    /// Stream sequence of the message it was claimed for.
    pub sequence: u64,
    /// Attempts charged so far, this one included.
    pub attempts: u32,
    /// What ended earlier attempts, newest last; bounded by the retry schedule.
    #[serde(default)]
    pub errors: Vec<String>,
    /// The attempt was given back uncharged or failed: nobody runs it now.
    #[serde(default)]
    pub released: bool,
}

/// What a delivery may do about a claim it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Take it: charge an attempt and go.
    Take,
    /// Another lane's message for the same task is still queued and was claimed: this delivery is a duplicate, acknowledge it.
    Duplicate,
}

/// Decides. `other_queued`: whether the message that the claim names is still in the stream.
#[must_use]
pub fn decide(found: Option<&Claim>, sequence: u64, other_queued: bool) -> Verdict {
    match found {
        Some(claim) if claim.sequence != sequence && other_queued => Verdict::Duplicate,
        Some(_) | None => Verdict::Take,
    }
}

/// The claim a worker writes over what it found.
#[must_use]
pub fn take(found: Option<Claim>, attempt_id: String, node: String, sequence: u64) -> Claim {
    let (attempts, errors) = found.map_or((0, Vec::new()), |old| (old.attempts, old.errors));
    Claim { attempt_id, node, sequence, attempts: attempts + 1, errors, released: false }
}
