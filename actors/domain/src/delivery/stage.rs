//! The stages whose messages can die, as data: name, queue and consumers of each.
//!
//! Code that handles all stages (orphans, replay, dead letters, subjects) reads [`Stage::ALL`] and [`Stage::about`]. A stage that is added
//! there needs no change to it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{Group, OrderId, TaskId};
use crate::order::lane::Lane;

/// A stage whose messages can die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Probes and plans uploads.
    Ingest,
    /// Encodes tasks.
    Encode,
    /// Evaluates and publishes orders.
    Publish,
}

/// Description of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// Name of the stage: its folder, role, span and metric label.
    pub word: &'static str,
    /// Stream of its queue.
    pub stream: &'static str,
    /// Durable consumer of its queue. Words in braces stand for any lane and any group.
    pub consumer: &'static str,
    /// Subjects of its queue. Words in braces stand for a value.
    pub subject: &'static str,
    /// Whether a settled message leaves the queue. A log keeps it.
    pub is_work_queue: bool,
}

/// A queue of a stage, as a worker pulls from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Its stream.
    pub stream: &'static str,
    /// Name of the durable consumer.
    pub consumer: String,
    /// Subjects that the consumer reads.
    pub filter: String,
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

/// The consumer of the stage's ledger entries is called `publish`. The consumer of its queue keeps the name it has on running clusters,
/// because a work queue takes no second consumer for the same subjects.
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

    /// Description of the stage.
    #[must_use]
    pub const fn about(self) -> About {
        match self {
            Self::Ingest => INGEST,
            Self::Encode => ENCODE,
            Self::Publish => PUBLISH,
        }
    }

    /// Name of the stage.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.about().word
    }

    /// The stage with that name.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == word)
    }

    /// The stage that a stream's consumer belongs to; `None` if it belongs to none.
    #[must_use]
    pub fn of_consumer(stream: &str, consumer: &str) -> Option<Self> {
        let of = |stage: &Self| {
            stage.about().stream == stream
                && stage.queues().iter().any(|queue| queue.consumer == consumer)
        };
        Self::ALL.into_iter().find(of)
    }

    /// Queues of the stage: one, or one for each lane and group.
    #[must_use]
    pub fn queues(self) -> Vec<Queue> {
        let mut queues: Vec<Queue> = Vec::new();
        for lane in Lane::ALL {
            queues.extend(Group::ALL.map(|group| self.queue(lane, group)));
        }
        queues.dedup();
        queues
    }

    /// Queue of the stage for a lane and a group.
    #[must_use]
    pub fn queue(self, lane: Lane, group: Group) -> Queue {
        let fill = |pattern: &str| {
            pattern.replace("{lane}", lane.as_str()).replace("{group}", group.as_str())
        };
        let About { stream, consumer, subject, .. } = self.about();
        Queue { stream, consumer: fill(consumer), filter: up_to_a_value(&fill(subject)) }
    }

    /// All subjects of its queues.
    #[must_use]
    pub fn filter(self) -> String {
        up_to_a_value(self.about().subject)
    }

    /// The subject of a message about a whole order.
    #[must_use]
    pub fn subject_of(self, order: &OrderId) -> String {
        let pattern = self.about().subject;
        let number = order.number.to_string();
        pattern.replace("{video}", order.video.as_str()).replace("{order}", &number)
    }

    /// Words of the subjects of its queue; `{…}` stands for a value.
    pub(crate) fn subject_words(self) -> impl Iterator<Item = &'static str> {
        self.about().subject.split('.')
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Filter for all subjects of a pattern: what stands before its first value, then `>`.
fn up_to_a_value(pattern: &str) -> String {
    let end = pattern.find('{').unwrap_or(pattern.len());
    format!("{}>", &pattern[..end])
}

/// The unit that is claimed, charged and buried: one task of an order, or the whole order in a stage. Written as `main-0007`, `ingest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Unit {
    Task(TaskId),
    /// The order as a whole, in a stage.
    Stage(Stage),
    /// A unit that this version does not know. A newer program may have written it.
    Unknown(String),
}

impl Unit {
    /// The task; `None` for a stage or an unknown unit.
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

/// Units are ordered by their texts, as documents list them.
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
        // A task in another notation would be written back differently, so it stays unknown.
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
            for Queue { stream, consumer, .. } in stage.queues() {
                assert_eq!(Stage::of_consumer(stream, &consumer), Some(stage));
            }
        }
        assert_eq!(Stage::Encode.queues().len(), Lane::ALL.len() * Group::ALL.len());
        assert_eq!(Stage::Ingest.queues().len(), 1);
        assert_eq!(Stage::of_consumer("LEDGER", "publish"), None);
        assert_eq!(Stage::of_consumer("ENCODE", "encode-normal-other"), None);
    }

    #[test]
    fn a_queue_reads_what_its_stage_is_sent() {
        let queue = Stage::Encode.queue(Lane::Low, Group::Main);
        assert_eq!(queue.consumer, "encode-low-main");
        assert_eq!(queue.filter, "video.encode.low.main.>");
        assert_eq!(Stage::Encode.filter(), "video.encode.>");
        for stage in Stage::ALL {
            let root = stage.filter();
            let root = root.trim_end_matches('>');
            assert!(stage.queues().iter().all(|queue| queue.filter.starts_with(root)));
        }
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
