//! Replays or discards one letter of a batch, and reports the outcome.

use jetreel_domain::delivery::deadletter::Buried;
use jetreel_domain::words::failure::{Failure, Severity};
use serde::Serialize;

use super::replay::Outcome;
use super::service::DlqService;

/// Operation on letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Publish each letter's message again and remove the letter.
    Replay,
    /// Remove each letter for good.
    Discard,
}

/// Outcome for one letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// The message is queued again, and the letter is removed.
    Replayed,
    /// Jetreel's own message is still in the queue. The letter stays; try again in a moment.
    Busy,
    /// The job is closed. The letter is removed.
    NotNeeded,
    /// No state knows the job. The letter stays.
    Unknown,
    /// No stage reads the letter's subject, the subject cannot be published to, or the body cannot be decoded. The letter stays.
    Refused,
    /// The letter is removed for good.
    Discarded,
    /// Another process removed the letter in the meantime.
    Absent,
    /// Dry run: nothing was done.
    Meant,
}

/// Outcome of an operation on one letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Handled {
    pub seq: u64,
    /// Id of the job; `None` if the message cannot be decoded.
    pub job: Option<String>,
    /// Task, or name of the stage.
    pub task: String,
    /// Code of the failure that buried the message.
    pub reason: String,
    pub outcome: Fate,
}

impl Fate {
    /// Whether the letter is done with, or was only part of a dry run.
    #[must_use]
    pub fn is_good(self) -> bool {
        match self {
            Self::Replayed | Self::NotNeeded | Self::Discarded | Self::Absent | Self::Meant => true,
            Self::Busy | Self::Unknown | Self::Refused => false,
        }
    }
}

impl From<Outcome> for Fate {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Replayed => Self::Replayed,
            Outcome::Busy => Self::Busy,
            Outcome::NotNeeded => Self::NotNeeded,
            Outcome::Unknown => Self::Unknown,
        }
    }
}

impl DlqService {
    /// Runs `action` on a letter. With `dry_run` it changes nothing.
    ///
    /// # Errors
    /// The broker failed. A letter that cannot be replayed is an outcome, not an error, so that the batch continues.
    pub async fn handle(
        &self,
        action: Action,
        buried: &Buried,
        dry_run: bool,
    ) -> Result<Handled, Failure> {
        let outcome = match (dry_run, action) {
            (true, _) => Fate::Meant,
            (false, Action::Replay) => match self.replay(buried).await {
                Ok(outcome) => outcome.into(),
                // This failure concerns one letter. A failure of a dependency would hit every letter and ends the batch.
                Err(failure) if failure.severity != Severity::DependencyFault => {
                    tracing::warn!(sequence = buried.sequence, %failure, "a letter cannot be replayed");
                    Fate::Refused
                }
                Err(failure) => return Err(failure),
            },
            (false, Action::Discard) => {
                if self.letters.discard(buried.sequence).await? {
                    Fate::Discarded
                } else {
                    Fate::Absent
                }
            }
        };
        let letter = &buried.letter;
        Ok(Handled {
            seq: buried.sequence,
            job: letter.order.as_ref().map(ToString::to_string),
            task: letter.task.to_string(),
            reason: letter.failure.code.clone(),
            outcome,
        })
    }
}
