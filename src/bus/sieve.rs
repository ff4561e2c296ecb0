//! Finds and removes messages that no consumer can deliver. It starts when a connection broke.
//!
//! A client that may publish to a queue can store a message whose head the client library cannot parse. Each delivery of it breaks the
//! node's connection. Jetreel never writes such a message.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::connection::Bus;
use super::found::Found;
use super::names;
use super::request::{READ_BUDGET, persist};
use super::severity::Fault;

/// Messages of one consumer per look. The next look continues with the others.
const LOOKS_MAX: usize = 4096;

#[derive(Serialize)]
struct Nothing {}

#[derive(Deserialize)]
struct ConsumerInfo {
    config: Filter,
    delivered: Position,
    ack_floor: Position,
}

#[derive(Deserialize)]
struct Filter {
    #[serde(default)]
    filter_subject: String,
}

#[derive(Deserialize)]
struct Position {
    #[serde(default)]
    stream_seq: u64,
}

/// A message that was removed because no client can receive it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    pub stream: String,
    /// Sequence in the stream.
    pub sequence: u64,
    /// Subject that it was published to, as far as it is UTF-8.
    pub subject: String,
    /// Fault of its head.
    pub why: &'static str,
}

/// Examines the messages that consumers have delivered and that are not settled.
#[derive(Debug, Default)]
pub struct Sieve {
    /// By consumer: the last sequence examined, if the look was not complete.
    looked: BTreeMap<String, u64>,
}

impl Sieve {
    /// Waits until a connection breaks, then looks. Returns the removed messages.
    pub async fn next(&mut self, bus: &Bus) -> Vec<Removed> {
        bus.suspects_garbled().await;
        let mut removed = Vec::new();
        let hook = (names::DLQ, names::HOOK_CONSUMER.to_owned());
        for (stream, consumer) in names::required_consumers().into_iter().chain([hook]) {
            match self.look(bus, stream, &consumer).await {
                Ok(found) => removed.extend(found),
                Err(fault) if fault.is_absent() => {}
                // The message breaks the connection again, which starts the next look.
                Err(fault) => {
                    tracing::debug!(stream, consumer, %fault, "the messages of a consumer could not be examined")
                }
            }
        }
        removed
    }

    async fn look(
        &mut self,
        bus: &Bus,
        stream: &str,
        consumer: &str,
    ) -> Result<Vec<Removed>, Fault> {
        let path = format!("CONSUMER.INFO.{stream}.{consumer}");
        let info: ConsumerInfo =
            persist(READ_BUDGET, || bus.api(path.clone(), &Nothing {})).await?;
        let (floor, delivered) = (info.ack_floor.stream_seq, info.delivered.stream_seq);
        let begun = self.looked.remove(consumer).filter(|looked| *looked < delivered);
        let mut from = begun.unwrap_or(0).max(floor) + 1;
        let (mut removed, filter) = (Vec::new(), info.config.filter_subject);
        for _ in 0..LOOKS_MAX {
            if from > delivered {
                return Ok(removed);
            }
            let next = persist(READ_BUDGET, || bus.next_message(stream, &filter, from)).await?;
            let Some(message) = next else { return Ok(removed) };
            from = message.sequence + 1;
            if message.sequence <= delivered {
                removed.extend(bus.remove_garbled(stream, &message).await?);
            }
        }
        self.looked.insert(consumer.to_owned(), from - 1);
        Ok(removed)
    }
}

impl Bus {
    /// Removes a message that no client can receive. `None` if the message is well-formed, or was removed by another node.
    pub(super) async fn remove_garbled(
        &self,
        stream: &str,
        message: &Found,
    ) -> Result<Option<Removed>, Fault> {
        let Some(why) = message.garbled else { return Ok(None) };
        let removed = Removed {
            stream: stream.to_owned(),
            sequence: message.sequence,
            subject: message.subject.clone(),
            why,
        };
        Ok(self.remove_at(stream, message.sequence).await?.then_some(removed))
    }
}
