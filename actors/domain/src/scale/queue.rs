//! Names of the queues that are measured, and selections of them.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::delivery::dispatch::TaskQueue;
use crate::delivery::stage::Stage;
use crate::id::Group;
use crate::order::lane::Lane;

/// Who reads a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reader {
    /// The workers of a stage.
    Stage(Stage),
    /// The workers of the stage publish, for the entries of the ledger.
    Ledger,
    /// The sweeper of messages that the broker gave up.
    Deadletter,
    /// The caller of the dead-letter hook.
    Hook,
}

impl Reader {
    /// All readers, in pipeline order.
    pub fn all() -> impl Iterator<Item = Self> {
        let stages = Stage::ALL.into_iter().map(Self::Stage);
        stages.chain([Self::Ledger, Self::Deadletter, Self::Hook])
    }

    /// Name in metric labels and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stage(stage) => stage.as_str(),
            Self::Ledger => "ledger",
            Self::Deadletter => "deadletter",
            Self::Hook => "hook",
        }
    }
}

impl Serialize for Reader {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Name of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Queue {
    /// Its reader.
    pub stage: Reader,
    /// Lane and group of its tasks; `None` if the stage has neither.
    pub tasks: Option<TaskQueue>,
}

impl Queue {
    /// All queues, in pipeline order.
    #[must_use]
    pub fn all() -> Vec<Self> {
        Reader::all().flat_map(Self::of).collect()
    }

    /// The queue of a group's tasks in a lane.
    #[must_use]
    pub fn of_tasks(lane: Lane, group: Group) -> Self {
        let tasks = Some(TaskQueue::new(lane, group));
        Self { stage: Reader::Stage(Stage::Encode), tasks }
    }

    fn of(stage: Reader) -> Vec<Self> {
        match stage {
            Reader::Stage(Stage::Encode) => {
                TaskQueue::all().map(|tasks| Self { stage, tasks: Some(tasks) }).collect()
            }
            Reader::Stage(Stage::Ingest | Stage::Publish)
            | Reader::Ledger
            | Reader::Deadletter
            | Reader::Hook => vec![Self { stage, tasks: None }],
        }
    }

    /// Metric labels: stage, lane, group. Lane and group are empty if the stage has none.
    #[must_use]
    pub fn labels(&self) -> [&'static str; 3] {
        let lane = self.tasks.map_or("", |tasks| tasks.lane.as_str());
        let group = self.tasks.map_or("", |tasks| tasks.group.as_str());
        [self.stage.as_str(), lane, group]
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tasks {
            Some(TaskQueue { lane, group }) => write!(f, "{lane}/{group}"),
            None => f.write_str(self.stage.as_str()),
        }
    }
}

/// Some of the queues: `low`, `encode`, or `low/main`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    Lane(Lane),
    Stage(Reader),
    Tasks(TaskQueue),
}

impl Selection {
    /// Whether a queue is one of them.
    #[must_use]
    pub fn holds(self, queue: &Queue) -> bool {
        match self {
            Self::Lane(lane) => queue.tasks.is_some_and(|tasks| tasks.lane == lane),
            Self::Stage(stage) => queue.stage == stage,
            Self::Tasks(tasks) => queue.tasks == Some(tasks),
        }
    }
}

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((lane, group)) = text.split_once('/') {
            let lane = lane.parse().map_err(|_| unknown(lane, "lane", &words(Lane::ALL)))?;
            let group = group.parse().map_err(|_| unknown(group, "group", &words(Group::ALL)))?;
            return Ok(Self::Tasks(TaskQueue::new(lane, group)));
        }
        let lane = text.parse().ok().map(Self::Lane);
        let stage = || Reader::all().find(|stage| stage.as_str() == text).map(Self::Stage);
        lane.or_else(stage).ok_or_else(|| {
            let stages: Vec<&str> = Reader::all().map(Reader::as_str).collect();
            format!(
                "{text:?} is no queue; use a lane ({}), a stage ({}), or a lane and a group as in low/main",
                words(Lane::ALL),
                stages.join(", ")
            )
        })
    }
}

fn words<T: fmt::Display>(all: impl IntoIterator<Item = T>) -> String {
    let words: Vec<String> = all.into_iter().map(|word| word.to_string()).collect();
    words.join(", ")
}

fn unknown(text: &str, kind: &str, known: &str) -> String {
    format!("{text:?} is no {kind}; use one of {known}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(text: &str) -> Result<Vec<String>, String> {
        let selection: Selection = text.parse()?;
        let all = Queue::all().into_iter().filter(|queue| selection.holds(queue));
        Ok(all.map(|queue| queue.to_string()).collect())
    }

    #[test]
    fn a_lane_a_stage_or_both_words_select_queues() {
        let low = "low/first low/audio low/main low/top low/images low/package";
        assert_eq!(selected("low").unwrap().join(" "), low);
        assert_eq!(selected("low/main").unwrap(), ["low/main"]);
        assert_eq!(selected("encode").unwrap().len(), 18);
        for stage in ["ingest", "publish", "ledger", "deadletter", "hook"] {
            assert_eq!(selected(stage).unwrap(), [stage]);
        }
        assert_eq!(Queue::all().len(), 23);
    }

    #[test]
    fn a_wrong_word_is_answered_with_the_right_ones() {
        let said = |text: &str| selected(text).unwrap_err();
        assert!(said("lo").contains("high, normal, low") && said("lo").contains("ingest, encode"));
        assert_eq!(
            said("low/x"),
            "\"x\" is no group; use one of first, audio, main, top, images, package"
        );
        assert_eq!(said("x/main"), "\"x\" is no lane; use one of high, normal, low");
        assert!(
            selected("").is_err() && selected("low/").is_err() && selected("low/main/1").is_err()
        );
    }

    #[test]
    fn labels_of_a_stage_without_lanes_are_empty() {
        let all = Queue::all();
        assert_eq!(all[0].labels(), ["ingest", "", ""]);
        assert_eq!(all[1].labels(), ["encode", "high", "first"]);
    }
}
