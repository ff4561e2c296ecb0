//! The stages whose messages can die, as data: the word of each, its queue, and its consumers.
//!
//! What knows all stages (orphans, replay, dead letters, subjects) reads [`Stage::ALL`] and [`Stage::about`]: a stage that is added
//! there is known to them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{Group, TaskId};
use crate::order::lane::Lane;

/// A stage whose messages can die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Probes and plans uploads.
    Ingest,
    /// Does tasks.
    Encode,
    /// Evaluates and publishes orders.
    Publish,
}

/// What is known of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// The word for the stage: folder, role, span and metric label.
    pub word: &'static str,
    /// Stream of its queue.
    pub stream: &'static str,
    /// Durable consumer of its queue; words in braces stand for any lane and any group.
    pub consumer: &'static str,
    /// Subjects of its queue; words in braces stand for a value.
    pub subject: &'static str,
    /// Whether a message leaves the queue when it is settled. A log keeps it.
    pub is_work_queue: bool,
}

const INGEST: About = About {
    word: "ingest",
    stream: "UPLOADS",
    consumer: "ingest",
    subject: "video.uploads.raw.{video}",
    is_work_queue: false,
};

const ENCODE: About = About {
    word: "encode",
    stream: "ENCODE",
    consumer: "encode-{lane}-{group}",
    subject: "video.encode.{lane}.{group}.{video}.{order}.{task}",
    is_work_queue: true,
};

/// The consumer of its ledger entries is called `publish`; that of its queue keeps the name it has on running clusters, because a work
/// queue takes no second consumer for the same subjects.
const PUBLISH: About = About {
    word: "publish",
    stream: "PUBLISH",
    consumer: "evaluate",
    subject: "video.publish.{video}.{order}",
    is_work_queue: true,
};

impl Stage {
    /// Every stage, in pipeline order.
    pub const ALL: [Self; 3] = [Self::Ingest, Self::Encode, Self::Publish];

    /// What is known of it.
    #[must_use]
    pub const fn about(self) -> About {
        match self {
            Self::Ingest => INGEST,
            Self::Encode => ENCODE,
            Self::Publish => PUBLISH,
        }
    }

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.about().word
    }

    /// The stage with that word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == word)
    }

    /// The stage that a consumer of a stream belongs to; `None` where it is none of a stage's queue.
    #[must_use]
    pub fn of_consumer(stream: &str, consumer: &str) -> Option<Self> {
        let of = |stage: &Self| {
            stage.about().stream == stream && stage.consumers().iter().any(|name| name == consumer)
        };
        Self::ALL.into_iter().find(of)
    }

    /// Names of all its consumers.
    #[must_use]
    pub fn consumers(self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for lane in Lane::ALL {
            names.extend(Group::ALL.map(|group| self.consumer(lane, group)));
        }
        names.dedup();
        names
    }

    /// Name of its consumer for a lane and a group.
    #[must_use]
    pub fn consumer(self, lane: Lane, group: Group) -> String {
        let pattern = self.about().consumer;
        pattern.replace("{lane}", lane.as_str()).replace("{group}", group.as_str())
    }

    /// Words of the subjects of its queue; `{…}` stands for a value.
    pub(crate) fn subject_words(self) -> impl Iterator<Item = &'static str> {
        self.about().subject.split('.')
    }
}

/// What is claimed, charged and buried of an order: one task, or the whole order in a stage. Written as `main-0007`, `ingest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Unit {
    /// A task.
    Task(TaskId),
    /// The order as a whole, in a stage.
    Stage(Stage),
    /// A word that this version does not know. A newer program may have written it.
    Unknown(String),
}

impl Unit {
    /// The task, where it is one.
    #[must_use]
    pub fn task(&self) -> Option<TaskId> {
        match self {
            Self::Task(task) => Some(*task),
            Self::Stage(_) | Self::Unknown(_) => None,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(task) => task.fmt(f),
            Self::Stage(stage) => f.write_str(stage.as_str()),
            Self::Unknown(word) => f.write_str(word),
        }
    }
}

/// By their texts: documents list them in this order.
impl Ord for Unit {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.to_string().cmp(&other.to_string())
    }
}

impl PartialOrd for Unit {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl From<String> for Unit {
    fn from(text: String) -> Self {
        if let Some(stage) = Stage::of_word(&text) {
            return Self::Stage(stage);
        }
        // A task that is written otherwise than we write it would come back as another text.
        let task = text.parse::<TaskId>().ok().filter(|task| task.to_string() == text);
        task.map_or(Self::Unknown(text), Self::Task)
    }
}

impl From<Unit> for String {
    fn from(unit: Unit) -> Self {
        unit.to_string()
    }
}

impl From<TaskId> for Unit {
    fn from(task: TaskId) -> Self {
        Self::Task(task)
    }
}

impl From<Stage> for Unit {
    fn from(stage: Stage) -> Self {
        Self::Stage(stage)
    }
}

impl From<&str> for Unit {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_belongs_to_one_stage() {
        for stage in Stage::ALL {
            for consumer in stage.consumers() {
                assert_eq!(Stage::of_consumer(stage.about().stream, &consumer), Some(stage));
            }
        }
        assert_eq!(Stage::Encode.consumers().len(), Lane::ALL.len() * Group::ALL.len());
        assert_eq!(Stage::of_consumer("LEDGER", "publish"), None);
        assert_eq!(Stage::of_consumer("ENCODE", "encode-normal-other"), None);
    }

    #[test]
    fn a_unit_is_written_as_it_was_read() {
        let known = [
            ("main-0007", Unit::Task(TaskId::new(Group::Main, 7))),
            ("ingest", Unit::Stage(Stage::Ingest)),
            ("publish", Unit::Stage(Stage::Publish)),
        ];
        for (text, unit) in known {
            assert_eq!((Unit::from(text), unit.to_string().as_str()), (unit.clone(), text));
        }
        for text in ["main-7", "fanout", "", "other-0001"] {
            assert_eq!(Unit::from(text), Unit::Unknown(text.to_owned()));
            assert_eq!(Unit::from(text).to_string(), text);
        }
    }
}
