//! Dead letters on the stream DLQ. A letter is buried once for each original message, read without being consumed, and replayed to its
//! original subject.
//!
//! Invariant: a replay keeps the letter, and a discard publishes nothing. A caller that wants both does the replay first.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use jetreel_actors::ports::{DeadLetters, Delivered, PortFuture, WriteOnce};
use jetreel_domain::delivery::deadletter::{Buried, DeadLetter, ORIGIN};
use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::delivery::subject;
use serde::{Deserialize, Serialize};

use super::broker::port;
use super::connection::Bus;
use super::found::Found;
use super::names;
use super::request::{Outgoing, READ_BUDGET, WRITE_BUDGET, persist};
use super::severity::Fault;

/// Prefix of headers that instruct the broker.
const BROKER_HEADERS: &str = "nats-";

#[derive(Serialize)]
struct Bound<'a> {
    subject: &'a str,
}

#[derive(Deserialize)]
struct StreamNames {
    #[serde(default)]
    streams: Option<Vec<String>>,
}

/// Without `no_erase`, so that the server overwrites a discarded letter: its log tail may quote a user's file.
#[derive(Serialize)]
struct DeleteAt {
    seq: u64,
}

#[derive(Deserialize)]
struct Deleted {
    success: bool,
}

impl DeadLetters for Bus {
    fn bury<'a>(&'a self, letter: &'a DeadLetter) -> PortFuture<'a, u64> {
        port("bury a dead letter", self.bury_letter(letter))
    }

    fn letters(&self, after: u64, limit: usize) -> PortFuture<'_, Vec<Buried>> {
        port("read dead letters", self.read_letters(after, limit))
    }

    fn letter(&self, sequence: u64) -> PortFuture<'_, Option<Buried>> {
        port("read a dead letter", async move {
            let read = persist(READ_BUDGET, || self.message_at(names::DLQ, sequence)).await?;
            Ok(read.map(buried))
        })
    }

    fn next_letter(&self, wait: Duration) -> PortFuture<'_, Option<Delivered>> {
        let pulled = self.next_delivery(names::DLQ, names::HOOK_CONSUMER, wait);
        port("pull a dead letter", pulled)
    }

    fn replay<'a>(&'a self, buried: &'a Buried) -> PortFuture<'a, WriteOnce> {
        port("replay a dead letter", self.replay_letter(buried))
    }

    fn discard(&self, sequence: u64) -> PortFuture<'_, bool> {
        port("discard a dead letter", self.discard_letter(sequence))
    }
}

impl Bus {
    /// Buries a letter. The server recognises a repeat by its message id for a while; after that the stored letter shows it.
    async fn bury_letter(&self, letter: &DeadLetter) -> Result<u64, Fault> {
        let subject = subject::dead_letter(&letter.subject);
        let told = letter.to_headers();
        let origin = told.iter().find(|(name, _)| name == ORIGIN).map(|(_, value)| value.as_str());
        if let Some(there) = self.newest_at(&subject).await? {
            let found = there.headers.get(ORIGIN).map(|value| value.as_str());
            if found.is_some() && found == origin {
                return Ok(there.sequence);
            }
        }
        let mut headers = header_map(&told);
        headers.insert(NATS_MESSAGE_ID, format!("{}-{}", letter.stream, letter.sequence));
        let mut message = Outgoing { subject, headers, body: letter.body.clone().into() };
        let sequence = persist(WRITE_BUDGET, || self.publish(&message)).await?;
        let there = persist(READ_BUDGET, || self.message_at(names::DLQ, sequence)).await?;
        if there.is_some() {
            return Ok(sequence);
        }
        // The answer belongs to an earlier burial whose letter was discarded. The server remembers its id for a while longer.
        message.headers.insert(NATS_MESSAGE_ID, uuid::Uuid::new_v4().to_string());
        persist(WRITE_BUDGET, || self.publish(&message)).await
    }

    async fn read_letters(&self, after: u64, limit: usize) -> Result<Vec<Buried>, Fault> {
        let all = subject::dead_letter(">");
        let (mut letters, mut from) = (Vec::new(), after + 1);
        while letters.len() < limit {
            let next = persist(READ_BUDGET, || self.next_message(names::DLQ, &all, from)).await?;
            let Some(message) = next else { break };
            from = message.sequence + 1;
            letters.push(buried(message));
        }
        Ok(letters)
    }

    async fn newest_at(&self, subject: &str) -> Result<Option<Found>, Fault> {
        persist(READ_BUDGET, || self.last_message(names::DLQ, subject)).await
    }

    /// Publishes the body to its original subject. A message on a queue without a release header is a replay, this one or another, which is
    /// equally good. The message that died may still be there and is about to be removed, also if it was a replay itself; a message with a
    /// release header is that one, or a new one. Then nothing was replayed.
    async fn replay_letter(&self, buried: &Buried) -> Result<WriteOnce, Fault> {
        let letter = &buried.letter;
        let mut headers = header_map(&letter.headers);
        let subject = letter.subject.clone();
        let stream = self.stream_of(&subject).await?;
        let queue =
            Stage::ALL.map(Stage::about).into_iter().find(|q| stream.as_deref() == Some(q.stream));
        match (stream.as_deref(), queue.map(|queue| queue.is_work_queue)) {
            (Some(stream), Some(true)) => {
                let message = Outgoing { subject, headers, body: letter.body.clone().into() };
                let by_hand = |there: &Found| {
                    let released = there.headers.get(names::RELEASE_HEADER).is_some();
                    !released && there.sequence != letter.sequence
                };
                self.queue_once(stream, message, by_hand).await
            }
            (Some(_), Some(false)) | (Some(names::DELIVERIES | names::REDO), None) => {
                headers.insert(NATS_MESSAGE_ID, replay_id(buried));
                let message = Outgoing { subject, headers, body: letter.body.clone().into() };
                persist(WRITE_BUDGET, || self.publish(&message)).await?;
                Ok(WriteOnce::Mine)
            }
            // A letter published by hand must not become a way to write states.
            (Some(_) | None, _) => Err(Fault::BadSubject),
        }
    }

    async fn stream_of(&self, subject: &str) -> Result<Option<String>, Fault> {
        let wanted = Bound { subject };
        let path = || "STREAM.NAMES".to_owned();
        let found: StreamNames = persist(READ_BUDGET, || self.api(path(), &wanted)).await?;
        Ok(found.streams.unwrap_or_default().into_iter().next())
    }

    async fn discard_letter(&self, sequence: u64) -> Result<bool, Fault> {
        let path = format!("STREAM.MSG.DELETE.{}", names::DLQ);
        let wanted = DeleteAt { seq: sequence };
        match persist(WRITE_BUDGET, || self.api::<Deleted>(path.clone(), &wanted)).await {
            Ok(deleted) => Ok(deleted.success),
            // The server has several errors for a missing message.
            Err(fault @ Fault::Refused { .. }) => {
                let read = persist(READ_BUDGET, || self.message_at(names::DLQ, sequence)).await?;
                if read.is_some() { Err(fault) } else { Ok(false) }
            }
            Err(fault) => Err(fault),
        }
    }
}

/// Message id that is the same for every replay of one death, so that the server stores it once within its window.
fn replay_id(buried: &Buried) -> String {
    match (buried.sequence, &buried.letter) {
        // Rebuilt without a letter: the id names the message that died.
        (0, letter) => format!("replay-{}-{}", letter.subject, letter.sequence),
        (sequence, _) => format!("replay-{sequence}"),
    }
}

fn buried(message: Found) -> Buried {
    let subject = message.subject.strip_prefix(subject::DLQ_PREFIX).unwrap_or(&message.subject);
    let headers = pairs(&message.headers).into_iter().filter(|(name, _)| is_kept(name)).collect();
    let letter = DeadLetter::from_parts(subject.to_owned(), message.payload.to_vec(), headers);
    Buried { sequence: message.sequence, at: message.at, letter }
}

/// All headers, sorted by name. A name with several values appears several times.
pub(super) fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let each = headers.iter().flat_map(|(name, values)| {
        values.iter().map(|value| (name.to_string(), value.as_str().to_owned()))
    });
    let mut pairs: Vec<(String, String)> = each.collect();
    // A stable sort keeps the order of the values of one name.
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs
}

pub(super) fn header_map(pairs: &[(String, String)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs.iter().filter(|(name, _)| is_kept(name)) {
        headers.append(name.as_str(), value.as_str());
    }
    headers
}

/// Whether a header belongs to the letter. Headers that instruct the broker, and the release header, do not.
fn is_kept(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    !lower.starts_with(BROKER_HEADERS) && !name.eq_ignore_ascii_case(names::RELEASE_HEADER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_speaks_to_the_broker_is_left_out() {
        let pair = |name: &str| (name.to_owned(), "x".to_owned());
        let headers = header_map(&[
            pair("Nats-Msg-Id"),
            pair("nats-expected-stream"),
            pair("Jetreel-Release"),
            pair("traceparent"),
            pair("traceparent"),
        ]);
        assert_eq!(pairs(&headers), [pair("traceparent"), pair("traceparent")]);
    }
}
