//! One letter out of many, replayed or discarded, and what became of it.

use jetreel_domain::delivery::deadletter::Buried;
use jetreel_domain::words::failure::{Failure, Severity};
use serde::Serialize;

use super::replay::Outcome;
use super::service::DlqService;

/// What is to be done with letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Publish each again, and remove it.
    Replay,
    /// Remove each for good.
    Discard,
}

/// What became of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Queued again; the letter went.
    Replayed,
    /// Jetreel's own message is still in its place: again in a moment. The letter stays.
    Busy,
    /// Its job is over; the letter went.
    NotNeeded,
    /// State knows no such job. The letter stays.
    Unknown,
    /// Its subject is none that a stage reads or cannot be published to, or what it is of cannot be read. The letter stays.
    Refused,
    /// Removed for good.
    Discarded,
    /// Somebody else removed it meanwhile.
    Absent,
    /// It was only asked what would be done.
    Meant,
}

/// A letter that was dealt with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Handled {
    /// Sequence in DLQ.
    pub seq: u64,
    /// The job, where the message could be understood.
    pub job: Option<String>,
    /// The task, or the stage's own name.
    pub task: String,
    /// Stable code of what it died of.
    pub reason: String,
    /// What became of it.
    pub outcome: Fate,
}

impl Fate {
    /// The letter is dealt with, or was only to be shown.
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
    /// Does `action` to a letter; with `dry_run` only says that it would.
    ///
    /// # Errors
    /// When the broker fails. A letter that cannot be replayed is no error: others can.
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
                // Of this letter alone; what is away would be so for the others, too.
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
