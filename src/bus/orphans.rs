//! Messages that the broker gave up, found by its advisories and by the counts of its consumers.

use std::time::Duration;

use jetreel_actors::ports::{Delivered, LostSight, Stored};
use jetreel_domain::delivery::stage::{Queue, Stage};
use jetreel_domain::delivery::subject;
use jetreel_domain::id::{OrderId, TaskId};
use serde::{Deserialize, Serialize};

use super::connection::Bus;
use super::deadletters::{header_map, pairs};
use super::found::Found;
use super::names;
use super::request::{Outgoing, READ_BUDGET, WRITE_BUDGET, persist};
use super::severity::Fault;

/// Most suspects of one consumer per look. The next look finds the others.
const SUSPECTS_MAX: usize = 256;

#[derive(Serialize)]
struct Filter<'a> {
    subjects_filter: &'a str,
}

#[derive(Deserialize)]
struct StreamInfo {
    state: StreamState,
}

#[derive(Deserialize)]
struct StreamState {
    #[serde(default)]
    subjects: Option<std::collections::BTreeMap<String, u64>>,
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Deserialize)]
struct ConsumerInfo {
    delivered: Position,
    num_ack_pending: u64,
    num_pending: u64,
}

#[derive(Deserialize)]
struct Position {
    stream_seq: u64,
}

#[derive(Serialize)]
struct DeleteAt {
    seq: u64,
    no_erase: bool,
}

#[derive(Deserialize)]
struct Deleted {
    success: bool,
}

impl Bus {
    pub(super) async fn pull_advisory(&self, wait: Duration) -> Result<Option<Delivered>, Fault> {
        self.next_delivery(names::ADVISORY, names::DEADLETTER_CONSUMER, wait).await
    }

    /// The consumers of work queues that account for fewer messages than their queues hold.
    pub(super) async fn find_lost_sight(&self) -> Result<Vec<LostSight>, Fault> {
        let mut lost = Vec::new();
        let work_queues = Stage::ALL.into_iter().filter(|stage| stage.about().is_work_queue);
        for Queue { stream, consumer, filter } in work_queues.flat_map(Stage::queues) {
            match self.account(stream, &consumer, &filter).await {
                Ok(found) => lost.extend(found),
                // A missing consumer gives up no messages. The others may.
                Err(fault) if fault.is_absent() => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(lost)
    }

    async fn account(
        &self,
        stream: &str,
        consumer: &str,
        filter: &str,
    ) -> Result<Option<LostSight>, Fault> {
        let there = self.count(stream, filter).await?;
        if there == 0 {
            return Ok(None);
        }
        let path = format!("CONSUMER.INFO.{stream}.{consumer}");
        let info: ConsumerInfo =
            persist(READ_BUDGET, || self.api(path.clone(), &Nothing {})).await?;
        if there <= info.num_pending + info.num_ack_pending {
            return Ok(None);
        }
        let delivered = info.delivered.stream_seq;
        let suspects = self.delivered_and_there(stream, filter, delivered).await?;
        Ok(Some(LostSight {
            name: consumer.to_owned(),
            stream: stream.to_owned(),
            suspects,
            in_hand: info.num_ack_pending,
        }))
    }

    pub(super) async fn count(&self, stream: &str, filter: &str) -> Result<u64, Fault> {
        let path = format!("STREAM.INFO.{stream}");
        let wanted = Filter { subjects_filter: filter };
        let info: StreamInfo = persist(READ_BUDGET, || self.api(path.clone(), &wanted)).await?;
        Ok(info.state.subjects.unwrap_or_default().values().sum())
    }

    async fn delivered_and_there(
        &self,
        stream: &str,
        filter: &str,
        delivered: u64,
    ) -> Result<Vec<u64>, Fault> {
        let (mut found, mut from) = (Vec::new(), 1);
        while found.len() < SUSPECTS_MAX {
            let next = persist(READ_BUDGET, || self.next_message(stream, filter, from)).await?;
            match next {
                Some(message) if message.sequence <= delivered => {
                    from = message.sequence + 1;
                    found.push(message.sequence);
                }
                Some(_) | None => break,
            }
        }
        Ok(found)
    }

    pub(super) async fn stored_at(
        &self,
        stream: &str,
        sequence: u64,
    ) -> Result<Option<Stored>, Fault> {
        let read = persist(READ_BUDGET, || self.message_at(stream, sequence)).await?;
        let Some(message) = read else { return Ok(None) };
        if message.garbled.is_some() {
            // The broker gave up the message before the sieve looked for it.
            let removed = self.remove_garbled(stream, &message).await?;
            tracing::warn!(?removed, "a message that no client can receive was removed");
            return Ok(None);
        }
        Ok(Some(stored(stream, message)))
    }

    /// Messages of an order's queued tasks, or of one task, in every lane.
    pub(super) async fn tasks_in_queues(
        &self,
        order: &OrderId,
        task: Option<TaskId>,
    ) -> Result<Vec<Stored>, Fault> {
        let filter = match task {
            Some(task) => subject::encode_task_filter(order, task),
            None => subject::encode_order_filter(order),
        };
        let mut found = Vec::new();
        for subject in self.subjects(names::ENCODE, &filter, Some).await? {
            let read = persist(READ_BUDGET, || self.last_message(names::ENCODE, &subject)).await?;
            let sound = read.filter(|message| message.garbled.is_none());
            found.extend(sound.map(|message| stored(names::ENCODE, message)));
        }
        Ok(found)
    }

    /// Removes the message at a sequence. `false` if it was gone already.
    pub(super) async fn remove_at(&self, stream: &str, sequence: u64) -> Result<bool, Fault> {
        let path = format!("STREAM.MSG.DELETE.{stream}");
        let wanted = DeleteAt { seq: sequence, no_erase: true };
        match persist(WRITE_BUDGET, || self.api::<Deleted>(path.clone(), &wanted)).await {
            Ok(deleted) => Ok(deleted.success),
            Err(fault) => {
                let read = persist(READ_BUDGET, || self.message_at(stream, sequence)).await?;
                if read.is_some() { Err(fault) } else { Ok(false) }
            }
        }
    }

    /// Publishes the message again and removes the old one. A queue holds one message per subject, so the old one is removed first; the
    /// reconciler finds a message that is lost by a crash in between. A log holds both.
    pub(super) async fn renew_stored(&self, stored: &Stored) -> Result<(), Fault> {
        let mut headers = header_map(&stored.headers);
        for (name, value) in &stored.headers {
            if name.eq_ignore_ascii_case(names::RELEASE_HEADER) {
                headers.append(name.as_str(), value.as_str());
            }
        }
        let (subject, body) = (stored.subject.clone(), stored.body.clone());
        let message = Outgoing { subject, headers, body };
        let queues = Stage::ALL.map(Stage::about);
        let is_log = queues.iter().any(|q| q.stream == stored.stream && !q.is_work_queue);
        if !is_log {
            self.remove_at(&stored.stream, stored.sequence).await?;
        }
        persist(WRITE_BUDGET, || self.publish(&message)).await?;
        if is_log {
            self.remove_at(&stored.stream, stored.sequence).await?;
        }
        Ok(())
    }

    /// Asks the leader of the states. Fails if a stream is missing that all work needs.
    pub(super) async fn probe(&self) -> Result<(), Fault> {
        self.lacking()?;
        let stream = names::bucket_stream(names::VIDEOS_BUCKET);
        let subject = names::bucket_subject(names::VIDEOS_BUCKET, "probe");
        self.last_message(&stream, &subject).await.map(|_| ())
    }
}

fn stored(stream: &str, message: Found) -> Stored {
    Stored {
        stream: stream.to_owned(),
        sequence: message.sequence,
        subject: message.subject,
        headers: pairs(&message.headers),
        released: message.headers.get(names::RELEASE_HEADER).is_some(),
        body: message.payload,
    }
}
