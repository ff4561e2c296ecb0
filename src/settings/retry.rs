//! `[retry]`: retries of failed messages.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use humantime_serde::re::humantime;
use jetreel_domain::delivery::retry::{Schedule, Schedules};
use jetreel_domain::delivery::stage::Stage;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Delays between attempts, as in `1m, 5m, 25m`. An empty text means no second attempt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delays(pub Vec<Duration>);

impl FromStr for Delays {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let delays = words.map(|word| {
            let delay = humantime::parse_duration(word);
            delay.map_err(|_| {
                format!("{word:?} is not a duration; write a list such as \"1m, 5m, 25m\"")
            })
        });
        delays.collect::<Result<_, _>>().map(Self)
    }
}

impl<'de> Deserialize<'de> for Delays {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(Error::custom)
    }
}

/// The section: a key for each stage, under its word, and the others.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Retry {
    /// Delays of each stage.
    pub stages: BTreeMap<Stage, Delays>,
    /// Share by which each delay varies.
    pub jitter: f64,
    /// Seconds between two searches for messages that the broker gave up.
    pub sweep_seconds: u64,
    /// Whether refused media is buried in the dead letters.
    pub bury_refused: bool,
}

impl Retry {
    /// Delays of a stage.
    #[must_use]
    pub fn of(&self, stage: Stage) -> &[Duration] {
        self.stages.get(&stage).map_or(&[], |delays| &delays.0)
    }
}

impl From<&Retry> for Schedules {
    fn from(retry: &Retry) -> Self {
        let schedule = |(stage, delays): (&Stage, &Delays)| {
            (*stage, Schedule { delays: delays.0.clone(), jitter: retry.jitter })
        };
        Self { own: retry.stages.iter().map(schedule).collect(), ..Self::default() }
    }
}

impl<'de> Deserialize<'de> for Retry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Section)
    }
}

struct Section;

impl<'de> Visitor<'de> for Section {
    type Value = Retry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the section [retry]")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Retry, A::Error> {
        let mut retry = Retry::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "jitter" => retry.jitter = map.next_value()?,
                "sweep-seconds" => retry.sweep_seconds = map.next_value()?,
                "bury-refused" => retry.bury_refused = map.next_value()?,
                word => {
                    let stage = Stage::of_word(word).ok_or_else(|| {
                        A::Error::custom(format_args!("no stage is called {word}"))
                    })?;
                    retry.stages.insert(stage, map.next_value()?);
                }
            }
        }
        match Stage::ALL.into_iter().find(|stage| !retry.stages.contains_key(stage)) {
            Some(stage) => Err(A::Error::custom(format_args!("retry.{stage} is missing"))),
            None => Ok(retry),
        }
    }
}
