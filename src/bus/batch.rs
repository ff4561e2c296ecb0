//! Reads many messages of a stream with one request.
//!
//! Invariant: only the leader decides that nothing more is there. Earlier messages are read in batches from any replica, and the order of
//! sequences shows that none is left out. A replica may still return a message that was removed a moment ago. A batch breaks the connection
//! at a message with a malformed head; from there on messages are read one by one.

use std::time::Duration;

use async_nats::StatusCode;
use async_nats::jetstream::message::StreamMessage;
use bytes::Bytes;
use futures::StreamExt;
use serde::Serialize;

use super::connection::Bus;
use super::found::Found;
use super::request::{READ_BUDGET, persist};
use super::severity::Fault;

/// Messages per request.
const BATCH: usize = 256;
/// Longest wait for the next message of a batch.
const BATCH_WAIT: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct GetBatch<'a> {
    seq: u64,
    batch: usize,
    next_by_subj: &'a str,
}

/// Messages by ascending sequence.
struct Batch {
    messages: Vec<Found>,
    /// Whether the next one must come from the leader: the connection broke at it, or no replica answers.
    broke: bool,
}

impl Bus {
    /// The next messages of a filter at or after a sequence, by ascending sequence. None only if the leader has none.
    pub(super) async fn messages_from(
        &self,
        stream: &str,
        filter: &str,
        from: u64,
    ) -> Result<Vec<Found>, Fault> {
        let next = |from| persist(READ_BUDGET, move || self.next_message(stream, filter, from));
        let Some(first) = next(from).await? else { return Ok(Vec::new()) };
        let mut from = first.sequence + 1;
        let Batch { messages, broke } = self.batch(stream, filter, from).await?;
        let mut found = vec![first];
        found.extend(messages);
        for _ in 0..if broke { BATCH } else { 0 } {
            from = found.last().map_or(from, |last| last.sequence + 1);
            let Some(message) = next(from).await? else { break };
            found.push(message);
        }
        Ok(found)
    }

    /// The messages of a filter at or after a sequence, by ascending sequence, at least up to the sequence `newest`, which such a message
    /// is known to have. If a replica has not got it yet, or it was removed, the leader is asked.
    pub(super) async fn messages_to(
        &self,
        stream: &str,
        filter: &str,
        from: u64,
        newest: u64,
    ) -> Result<Vec<Found>, Fault> {
        let mut found: Vec<Found> = Vec::new();
        let after = |found: &[Found]| found.last().map_or(from, |last| last.sequence + 1);
        loop {
            let Batch { messages, broke } = self.batch(stream, filter, after(&found)).await?;
            let ends = broke || messages.is_empty();
            found.extend(messages);
            if after(&found) > newest {
                return Ok(found);
            }
            if ends {
                break;
            }
        }
        while after(&found) <= newest {
            let from = after(&found);
            let next = persist(READ_BUDGET, || self.next_message(stream, filter, from)).await?;
            let Some(message) = next else { break };
            found.push(message);
        }
        Ok(found)
    }

    /// The next messages of a filter, by ascending sequence. It may return fewer than exist, or none; the caller asks again.
    async fn batch(&self, stream: &str, filter: &str, from: u64) -> Result<Batch, Fault> {
        let wanted = GetBatch { seq: from, batch: BATCH, next_by_subj: filter };
        let body = serde_json::to_vec(&wanted).map_err(|e| Fault::Malformed(e.to_string()))?;
        let mut breaks = self.breaks.clone();
        breaks.mark_unchanged();
        let inbox = self.client.new_inbox();
        let lost = |error: &dyn std::fmt::Display| Fault::Connection(error.to_string());
        let heard = self.client.subscribe(inbox.clone()).await;
        let mut heard = heard.map_err(|error| lost(&error))?;
        let subject = format!("$JS.API.DIRECT.GET.{stream}");
        let sent = self.client.publish_with_reply(subject, inbox, Bytes::from(body)).await;
        sent.map_err(|error| lost(&error))?;
        let mut batch = Batch { messages: Vec::new(), broke: false };
        loop {
            let next = tokio::select! {
                biased;
                next = tokio::time::timeout(BATCH_WAIT, heard.next()) => next,
                _ = breaks.changed() => {
                    batch.broke = true;
                    break;
                }
            };
            let Ok(Some(message)) = next else {
                batch.broke = true;
                break;
            };
            match message.status {
                None | Some(StatusCode::OK) => {}
                Some(StatusCode::NO_RESPONDERS) => {
                    batch.broke = true;
                    break;
                }
                // The batch ended, or no message is there. The next request shows which.
                Some(_) => break,
            }
            let message = StreamMessage::try_from(message);
            let message = message.map_err(|error| Fault::Malformed(error.to_string()))?;
            batch.messages.push(message.into());
        }
        Ok(batch)
    }
}
