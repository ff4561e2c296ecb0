//! Changes of the bucket `videos`, read on from the last read.
//!
//! Invariant: only the leader decides that nothing more is there. Earlier messages are read in batches from any replica, and the order of
//! sequences shows that none is left out. A batch breaks the connection at a message with a malformed head; from there on messages are read
//! one by one.

use std::time::Duration;

use async_nats::StatusCode;
use async_nats::jetstream::message::StreamMessage;
use bytes::Bytes;
use futures::StreamExt;
use jetreel_actors::ports::{Changed, Changes};
use jetreel_domain::id::VideoId;
use serde::Serialize;

use super::connection::Bus;
use super::found::Found;
use super::kv::state;
use super::names;
use super::request::{READ_BUDGET, persist};
use super::severity::Fault;
use super::write::is_marker;

/// Messages per request.
const BATCH: usize = 256;
/// Longest wait for the next message of a batch.
const BATCH_WAIT: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct GetBatch<'a> {
    seq: u64,
    batch: usize,
    next_by_subj: &'a str,
}

/// Messages by ascending sequence, and whether the connection broke at the next one.
struct Batch {
    messages: Vec<Found>,
    broke: bool,
}

impl Bus {
    pub(super) async fn changes_after(&self, after: u64) -> Result<Changes, Fault> {
        let stream = names::bucket_stream(names::VIDEOS_BUCKET);
        let prefix = names::bucket_subject(names::VIDEOS_BUCKET, "");
        let filter = format!("{prefix}>");
        let extent = self.extent(&stream).await?;
        let mut changes = Changes { changed: Vec::new(), read: after, more: false, extent };
        let next = persist(READ_BUDGET, || self.next_message(&stream, &filter, after + 1)).await?;
        let Some(first) = next else { return Ok(changes) };
        changes.more = true;
        changes.read = first.sequence;
        changes.changed.extend(changed(&prefix, &first));
        let Batch { messages, broke } = self.batch(&stream, &filter, first.sequence + 1).await?;
        for message in messages {
            changes.read = message.sequence;
            changes.changed.extend(changed(&prefix, &message));
        }
        for _ in 0..if broke { BATCH } else { 0 } {
            let from = changes.read + 1;
            let next = persist(READ_BUDGET, || self.next_message(&stream, &filter, from)).await?;
            let Some(message) = next else { break };
            changes.read = message.sequence;
            changes.changed.extend(changed(&prefix, &message));
        }
        Ok(changes)
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
            let Ok(Some(message)) = next else { break };
            match message.status {
                None | Some(StatusCode::OK) => {}
                // The batch ended, no message is there, or no server answers. The next request shows which.
                Some(_) => break,
            }
            let message = StreamMessage::try_from(message);
            let message = message.map_err(|error| Fault::Malformed(error.to_string()))?;
            batch.messages.push(message.into());
        }
        Ok(batch)
    }
}

/// `None` if the key is no video's.
fn changed(prefix: &str, message: &Found) -> Option<Changed> {
    let id: VideoId = message.subject.strip_prefix(prefix)?.parse().ok()?;
    let read = || {
        let state = state(id.as_str(), &message.payload);
        state.map_err(|fault| fault.failure("read a change"))
    };
    let state = if is_marker(message) { Ok(None) } else { read().map(Some) };
    Some(Changed { id, revision: message.sequence, state })
}
