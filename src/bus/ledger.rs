//! The ledger: write-once entries, and reading them from the leader.

use std::sync::{Mutex, PoisonError};

use async_nats::HeaderMap;
use jetreel_actors::intake::{self, Refused};
use jetreel_actors::ports::{Forged, WriteOnce};
use jetreel_domain::delivery::subject;
use jetreel_domain::id::{OrderId, TaskId, VideoId};
use jetreel_domain::order::ledger::Entry;
use jetreel_domain::words::failure::Failure;
use serde::{Deserialize, Serialize};

use super::connection::Bus;
use super::found::Found;
use super::names;
use super::queue;
use super::request::{Outgoing, READ_BUDGET, WRITE_BUDGET, persist};
use super::sending::sent;
use super::severity::Fault;

#[derive(Serialize)]
struct Purge<'a> {
    filter: &'a str,
    /// Lowest sequence that is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
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
        match read.as_ref().map(decode) {
            None | Some(Err(Refused::Contradicting(_) | Refused::Unreadable(_))) => Ok(None),
            Some(Ok(entry)) => Ok(Some(entry)),
            Some(Err(Refused::Newer(failure))) => Err(Fault::Newer(failure.detail)),
        }
    }

    pub(super) async fn read_entries(
        &self,
        order: &OrderId,
        after: u64,
    ) -> Result<(Vec<Entry>, u64), Fault> {
        let messages = match after {
            0 => self.whole_ledger(order).await?,
            // Few entries were added since.
            _ => self.ledger_after(order, after).await?,
        };
        valid(messages, after)
    }

    pub(super) async fn read_entries_to(
        &self,
        order: &OrderId,
        after: u64,
        newest: u64,
    ) -> Result<(Vec<Entry>, u64), Fault> {
        let filter = subject::ledger_filter(order);
        valid(self.messages_to(names::LEDGER, &filter, after + 1, newest).await?, after)
    }

    /// All ledger messages of an order, in batches. If a replica may have returned a removed message, they are read from the leader one by
    /// one.
    async fn whole_ledger(&self, order: &OrderId) -> Result<Vec<Found>, Fault> {
        let (filter, mut found) = (subject::ledger_filter(order), Vec::new());
        loop {
            let from = found.last().map_or(1, |last: &Found| last.sequence + 1);
            let next = self.messages_from(names::LEDGER, &filter, from).await?;
            if next.is_empty() {
                break;
            }
            found.extend(next);
        }
        if found.len() > 1 && self.count_entries(order).await? != found.len() as u64 {
            return self.ledger_after(order, 0).await;
        }
        Ok(found)
    }

    /// Ledger messages of an order after a sequence, one by one from the leader.
    async fn ledger_after(&self, order: &OrderId, after: u64) -> Result<Vec<Found>, Fault> {
        let (mut found, mut highest) = (Vec::new(), after);
        while let Some(message) = self.next_in_ledger(order, highest).await? {
            highest = message.sequence;
            found.push(message);
        }
        Ok(found)
    }

    pub(super) async fn forged_entries(&self, order: &OrderId) -> Result<Vec<Forged>, Fault> {
        let mut forged = Vec::new();
        for message in self.ledger_after(order, 0).await? {
            // Only a newer program may judge an entry that only it can read.
            let Err(Refused::Contradicting(failure) | Refused::Unreadable(failure)) =
                decode(&message)
            else {
                continue;
            };
            let stream = names::LEDGER.to_owned();
            forged.push(Forged { stream, sequence: message.sequence, failure });
        }
        Ok(forged)
    }

    async fn next_in_ledger(&self, order: &OrderId, after: u64) -> Result<Option<Found>, Fault> {
        let filter = subject::ledger_filter(order);
        let from = after + 1;
        persist(READ_BUDGET, || self.next_message(names::LEDGER, &filter, from)).await
    }

    pub(super) async fn write_ledger(&self, entry: &Entry) -> Result<WriteOnce, Fault> {
        let subject = match entry.part {
            None => subject::ledger(&entry.order, entry.task),
            Some(part) => subject::ledger_part(&entry.order, entry.task, part),
        };
        let body = queue::encode(entry)?.into();
        let forged = Mutex::new(None);
        let mine = |there: &Found| match decode(there) {
            Ok(found) => found.writer == entry.writer,
            Err(refused) => {
                forged.lock().unwrap_or_else(PoisonError::into_inner).replace(refused);
                false
            }
        };
        let mut message = Outgoing { subject, headers: HeaderMap::new(), body };
        let span = message.begin(names::LEDGER, None);
        let written = sent(span, self.write_once(names::LEDGER, message, mine)).await?;
        let forged = forged.into_inner().unwrap_or_else(PoisonError::into_inner);
        match forged.filter(|_| written == WriteOnce::Taken) {
            // The message is no result. Readers of the ledger remove it, and the task is done again.
            Some(refused) => Err(Fault::Contradicting(in_the_way(refused))),
            None => Ok(written),
        }
    }

    /// Removes all entries of an order. It purges by filter, because deleting key by key would leave a marker for each.
    pub(super) async fn purge_order(&self, order: &OrderId) -> Result<(), Fault> {
        let entries = subject::ledger_filter(order);
        let claims = names::bucket_subject(names::CLAIMS_BUCKET, &subject::claim_filter(order));
        let bucket = names::bucket_stream(names::CLAIMS_BUCKET);
        tokio::try_join!(self.purge(names::LEDGER, &entries), self.purge(&bucket, &claims))?;
        Ok(())
    }

    pub(super) async fn count_entries(&self, order: &OrderId) -> Result<u64, Fault> {
        self.count(names::LEDGER, &subject::ledger_filter(order)).await
    }

    pub(super) async fn purge_entry(&self, order: &OrderId, task: TaskId) -> Result<(), Fault> {
        self.purge(names::LEDGER, &subject::ledger(order, task)).await
    }

    /// Removes a video's state. It is purged and not deleted, because a delete marker would stay forever.
    pub(super) async fn purge_video(&self, id: &VideoId) -> Result<(), Fault> {
        let subject = names::bucket_subject(names::VIDEOS_BUCKET, id.as_str());
        self.purge(&names::bucket_stream(names::VIDEOS_BUCKET), &subject).await
    }

    /// Removes a video's state up to a revision. Later writes stay.
    pub(super) async fn purge_video_upto(&self, id: &VideoId, revision: u64) -> Result<(), Fault> {
        let subject = names::bucket_subject(names::VIDEOS_BUCKET, id.as_str());
        let body = Purge { filter: &subject, seq: Some(revision + 1) };
        self.purge_of(&names::bucket_stream(names::VIDEOS_BUCKET), &body).await
    }

    /// Purges the messages of a filter, see [`Self::purge_order`].
    pub(super) async fn purge(&self, stream: &str, filter: &str) -> Result<(), Fault> {
        self.purge_of(stream, &Purge { filter, seq: None }).await
    }

    async fn purge_of(&self, stream: &str, body: &Purge<'_>) -> Result<(), Fault> {
        let path = format!("STREAM.PURGE.{stream}");
        persist(WRITE_BUDGET, || self.api::<Purged>(path.clone(), body)).await?;
        Ok(())
    }
}

/// The entries among messages after a sequence, and the highest sequence.
fn valid(messages: Vec<Found>, after: u64) -> Result<(Vec<Entry>, u64), Fault> {
    let highest = messages.last().map_or(after, |last| last.sequence);
    let mut entries = Vec::with_capacity(messages.len());
    for message in messages {
        match decode(&message) {
            Ok(entry) => entries.push(entry),
            Err(Refused::Newer(failure)) => return Err(Fault::Newer(failure.detail)),
            Err(Refused::Contradicting(failure) | Refused::Unreadable(failure)) => {
                tracing::debug!(%failure, subject = %message.subject, "no ledger entry");
            }
        }
    }
    Ok((entries, highest))
}

fn decode(message: &Found) -> Result<Entry, Refused> {
    intake::read(&message.subject, &message.payload)
}

/// The failure of an attempt whose result finds a forged message in its place. It charges no attempt.
fn in_the_way(refused: Refused) -> Failure {
    let failure = Failure::from(refused);
    if failure.code == "bad-message" { unread(failure) } else { failure }
}

fn unread(failure: Failure) -> Failure {
    let message = "A ledger entry cannot be decoded. Its task is done again.";
    Failure::task("entry-contradicts", message).with_detail(failure.detail)
}
