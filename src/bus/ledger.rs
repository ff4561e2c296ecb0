//! The ledger: write-once entries, and reading them from the leader.

use async_nats::HeaderMap;
use async_nats::jetstream::message::StreamMessage;
use jetreel_actors::ports::WriteOnce;
use jetreel_domain::id::{OrderId, TaskId, VideoId};
use jetreel_domain::ledger::Entry;
use jetreel_domain::subject;
use serde::{Deserialize, Serialize};

use super::connection::Bus;
use super::names;
use super::queue;
use super::request::{Outgoing, READ_BUDGET, WRITE_BUDGET, persist};
use super::severity::Fault;

#[derive(Serialize)]
struct Purge<'a> {
    filter: &'a str,
}

#[derive(Deserialize)]
struct Purged {}

impl Bus {
    pub(super) async fn read_entry(
        &self,
        order: &OrderId,
        task: TaskId,
    ) -> Result<Option<Entry>, Fault> {
        let subject = subject::ledger(order, task);
        let read = persist(READ_BUDGET, || self.last_message(names::LEDGER, &subject)).await?;
        read.as_ref().map(decode).transpose()
    }

    pub(super) async fn read_entries(
        &self,
        order: &OrderId,
        after: u64,
    ) -> Result<(Vec<Entry>, u64), Fault> {
        let filter = subject::ledger_filter(order);
        let (mut entries, mut highest) = (Vec::new(), after);
        loop {
            let from = highest + 1;
            let next =
                persist(READ_BUDGET, || self.next_message(names::LEDGER, &filter, from)).await?;
            let Some(message) = next else { return Ok((entries, highest)) };
            highest = message.sequence;
            entries.push(decode(&message)?);
        }
    }

    pub(super) async fn write_ledger(&self, entry: &Entry) -> Result<WriteOnce, Fault> {
        let subject = match entry.part {
            None => subject::ledger(&entry.order, entry.task),
            Some(part) => subject::ledger_part(&entry.order, entry.task, part),
        };
        let body = queue::encode(entry)?.into();
        let mine = |there: &StreamMessage| {
            decode(there).is_ok_and(|found: Entry| found.writer == entry.writer)
        };
        let message = Outgoing { subject, headers: HeaderMap::new(), body };
        self.write_once(names::LEDGER, message, mine).await
    }

    /// Purges by filter: deleting key by key would leave a marker each.
    pub(super) async fn purge_order(&self, order: &OrderId) -> Result<(), Fault> {
        self.purge(names::LEDGER, &subject::ledger_filter(order)).await?;
        let claims = names::bucket_subject(names::CLAIMS_BUCKET, &subject::claim_filter(order));
        self.purge(&names::bucket_stream(names::CLAIMS_BUCKET), &claims).await
    }

    pub(super) async fn count_entries(&self, order: &OrderId) -> Result<u64, Fault> {
        self.count(names::LEDGER, &subject::ledger_filter(order)).await
    }

    pub(super) async fn purge_entry(&self, order: &OrderId, task: TaskId) -> Result<(), Fault> {
        self.purge(names::LEDGER, &subject::ledger(order, task)).await
    }

    /// Purged, not marked as deleted: a marker would stay for ever.
    pub(super) async fn purge_video(&self, id: &VideoId) -> Result<(), Fault> {
        let subject = names::bucket_subject(names::VIDEOS_BUCKET, id.as_str());
        self.purge(&names::bucket_stream(names::VIDEOS_BUCKET), &subject).await
    }

    async fn purge(&self, stream: &str, filter: &str) -> Result<(), Fault> {
        let (path, body) = (format!("STREAM.PURGE.{stream}"), Purge { filter });
        persist(WRITE_BUDGET, || self.api::<Purged>(path.clone(), &body)).await?;
        Ok(())
    }
}

fn decode(message: &StreamMessage) -> Result<Entry, Fault> {
    rmp_serde::from_slice(&message.payload)
        .map_err(|error| Fault::Unreadable(format!("{}: {error}", message.subject)))
}
