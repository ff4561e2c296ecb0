//! [`Survey`] on JetStream: the queues as a whole, for the reconciler.

use std::collections::{BTreeMap, BTreeSet};
use std::time::UNIX_EPOCH;

use humantime_serde::re::humantime;
use jetreel_actors::intake;
use jetreel_actors::ports::{Extent, PortFuture, States, Survey, Versioned};
use jetreel_domain::delivery::dispatch::TaskQueue;
use jetreel_domain::delivery::message::Uploaded;
use jetreel_domain::delivery::room::Room;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::{OrderId, TaskId, VideoId};
use jetreel_domain::order::document;
use jetreel_domain::order::state::Video;
use jetreel_domain::upkeep::reconcile::Position;
use serde::{Deserialize, Serialize};

use super::broker::port;
use super::connection::Bus;
use super::found::Found;
use super::names;
use super::request::{READ_BUDGET, persist};
use super::severity::Fault;
use super::topology;
use super::write::is_marker;

/// Nanoseconds in a second.
const NANOSECONDS: i64 = 1_000_000_000;

#[derive(Serialize)]
struct Subjects<'a> {
    subjects_filter: &'a str,
    offset: usize,
}

/// Body of a request without parameters: an empty object. The server refuses `null`.
#[derive(Serialize)]
struct Nothing {}

#[derive(Deserialize)]
struct SubjectsPage {
    /// Number of subjects; absent if there are none.
    #[serde(default)]
    total: usize,
    state: SubjectsState,
}

#[derive(Deserialize)]
struct SubjectsState {
    #[serde(default)]
    subjects: Option<BTreeMap<String, u64>>,
}

#[derive(Deserialize)]
struct StreamBirth {
    created: String,
    state: Written,
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    last_seq: u64,
}

#[derive(Deserialize)]
struct StreamDepth {
    config: Limits,
    state: Depth,
}

#[derive(Deserialize)]
struct Limits {
    /// Negative without a limit.
    #[serde(default)]
    max_bytes: i64,
}

#[derive(Deserialize)]
struct Depth {
    messages: u64,
    bytes: u64,
}

#[derive(Deserialize)]
struct ConsumerState {
    delivered: Sequences,
    ack_floor: Sequences,
    #[serde(default)]
    num_ack_pending: u64,
}

#[derive(Deserialize)]
struct Sequences {
    #[serde(default)]
    stream_seq: u64,
}

impl Bus {
    /// Subjects of a stream that hold a message, as parsed by `pick`. From the leader, page by page.
    pub(super) async fn subjects<T: Ord>(
        &self,
        stream: &str,
        filter: &str,
        pick: impl Fn(String) -> Option<T> + Send,
    ) -> Result<BTreeSet<T>, Fault> {
        let path = format!("STREAM.INFO.{stream}");
        let (mut picked, mut offset) = (BTreeSet::new(), 0);
        loop {
            let wanted = Subjects { subjects_filter: filter, offset };
            let page: SubjectsPage =
                persist(READ_BUDGET, || self.api(path.clone(), &wanted)).await?;
            let subjects = page.state.subjects.unwrap_or_default();
            offset += subjects.len();
            let is_last = subjects.is_empty() || offset >= page.total;
            picked.extend(subjects.into_keys().filter_map(&pick));
            if is_last {
                return Ok(picked);
            }
        }
    }

    async fn states_after(&self, after: u64, limit: usize) -> Result<States, Fault> {
        let stream = names::bucket_stream(names::VIDEOS_BUCKET);
        let filter = names::bucket_subject(names::VIDEOS_BUCKET, ">");
        let prefix = names::bucket_subject(names::VIDEOS_BUCKET, "");
        let extent = self.extent(&stream).await?;
        let mut states = States { videos: Vec::new(), read: after, more: true, extent };
        let mut looked = 0;
        while looked < limit && states.more {
            let messages = self.messages_from(&stream, &filter, states.read + 1).await?;
            states.read = messages.last().map_or(states.read, |last| last.sequence);
            states.more = !messages.is_empty();
            looked += messages.len();
            states.videos.extend(messages.iter().filter_map(|message| video(&prefix, message)));
        }
        Ok(states)
    }

    /// Creation time and last sequence of a bucket's stream, from its leader.
    pub(super) async fn extent(&self, stream: &str) -> Result<Extent, Fault> {
        let path = format!("STREAM.INFO.{stream}");
        let StreamBirth { created, state } =
            persist(READ_BUDGET, || self.api(path.clone(), &Nothing {})).await?;
        let born = humantime::parse_rfc3339(&created)
            .map_err(|error| Fault::Malformed(format!("{created}: {error}")))?;
        let since = born.duration_since(UNIX_EPOCH).unwrap_or_default();
        let born = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
        Ok(Extent { born, last: state.last_seq })
    }

    async fn states_birth(&self) -> Result<i64, Fault> {
        let extent = self.extent(&names::bucket_stream(names::VIDEOS_BUCKET)).await?;
        Ok(extent.born / NANOSECONDS)
    }

    async fn dlq_room(&self) -> Result<Room, Fault> {
        let path = format!("STREAM.INFO.{}", names::DLQ);
        let found: StreamDepth =
            persist(READ_BUDGET, || self.api(path.clone(), &Nothing {})).await?;
        let limit = u64::try_from(found.config.max_bytes).ok().filter(|limit| *limit > 0);
        Ok(Room { letters: found.state.messages, bytes: found.state.bytes, limit })
    }

    /// Tasks that no worker has, by lane and group.
    pub(super) async fn tasks_without_worker(&self) -> Result<BTreeMap<TaskQueue, u64>, Fault> {
        let infos = topology::consumer_infos(self, names::ENCODE, READ_BUDGET).await?;
        let waiting = |queue: TaskQueue| {
            let consumer = names::encode_consumer(queue.lane, queue.group);
            let info = infos.iter().find(|info| info.name == consumer);
            (queue, info.map_or(0, |info| info.num_pending))
        };
        Ok(TaskQueue::all().map(waiting).collect())
    }

    async fn ingest_position(&self) -> Result<Position, Fault> {
        let path = format!("CONSUMER.INFO.{}.{}", names::UPLOADS, names::INGEST_CONSUMER);
        let state: ConsumerState =
            persist(READ_BUDGET, || self.api(path.clone(), &Nothing {})).await?;
        Ok(Position {
            delivered: state.delivered.stream_seq,
            floor: state.ack_floor.stream_seq,
            unsettled: state.num_ack_pending,
        })
    }

    async fn newest_upload(&self, order: &OrderId) -> Result<Option<u64>, Fault> {
        let subject = subject::upload(&order.video);
        let is_for = |payload: &[u8]| {
            let read = intake::read::<Uploaded>(&subject, payload);
            read.is_ok_and(|upload| upload.number == order.number && upload.source.is_none())
        };
        let last = persist(READ_BUDGET, || self.last_message(names::UPLOADS, &subject)).await?;
        let Some(last) = last else { return Ok(None) };
        if is_for(&last.payload) {
            return Ok(Some(last.sequence));
        }
        // The newest message is another order's. This order's may be before it.
        let (mut newest, mut from) = (None, 1);
        loop {
            let next =
                persist(READ_BUDGET, || self.next_message(names::UPLOADS, &subject, from)).await?;
            let Some(message) = next else { return Ok(newest) };
            from = message.sequence + 1;
            if is_for(&message.payload) {
                newest = Some(message.sequence);
            }
        }
    }

    /// Orders that have ledger entries or claims.
    pub(super) async fn on_record(&self) -> Result<BTreeSet<OrderId>, Fault> {
        let on_ledger = |subject: String| subject::order_on_ledger(&subject);
        let mut orders = self.subjects(names::LEDGER, subject::LEDGER_ALL, on_ledger).await?;
        let prefix = names::bucket_subject(names::CLAIMS_BUCKET, "");
        let in_claims = |subject: String| subject::order_in_claims(subject.strip_prefix(&prefix)?);
        let stream = names::bucket_stream(names::CLAIMS_BUCKET);
        orders.extend(self.subjects(&stream, &format!("{prefix}>"), in_claims).await?);
        Ok(orders)
    }

    async fn tasks(&self, stream: &str, filter: &str) -> Result<BTreeSet<TaskId>, Fault> {
        self.subjects(stream, filter, |subject| subject::task_in(&subject)).await
    }
}

impl Survey for Bus {
    fn states(&self, after: u64, limit: usize) -> PortFuture<'_, States> {
        port("read states", self.states_after(after, limit))
    }

    fn states_since(&self) -> PortFuture<'_, i64> {
        port("ask since when states are kept", self.states_birth())
    }

    fn dead_letters(&self) -> PortFuture<'_, Room> {
        port("count dead letters", self.dlq_room())
    }

    fn uploads_position(&self) -> PortFuture<'_, Position> {
        port("ask how far uploads are", self.ingest_position())
    }

    fn newest_part<'a>(&'a self, video: &'a VideoId) -> PortFuture<'a, Option<i64>> {
        port("look for the newest part of an upload", self.newest_logged(video))
    }

    fn uploads_on_record(&self) -> PortFuture<'_, BTreeSet<VideoId>> {
        port("list uploads on record", self.uploads_logged())
    }

    fn announced_upload<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, Option<u64>> {
        port("look up an upload", self.newest_upload(order))
    }

    fn queued_tasks<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, BTreeSet<TaskId>> {
        let filter = subject::encode_order_filter(order);
        port("list queued tasks", async move { self.tasks(names::ENCODE, &filter).await })
    }

    fn finished_tasks<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, BTreeSet<TaskId>> {
        let filter = subject::ledger_tasks_filter(order);
        port("list finished tasks", async move { self.tasks(names::LEDGER, &filter).await })
    }

    fn orders_on_record(&self) -> PortFuture<'_, BTreeSet<OrderId>> {
        port("list orders on record", self.on_record())
    }
}

/// The state in a message of the bucket `videos`; `None` if it holds none that this node can judge.
fn video(prefix: &str, message: &Found) -> Option<Versioned<Video>> {
    if is_marker(message) {
        return None;
    }
    let key = message.subject.strip_prefix(prefix).unwrap_or_default();
    match document::read::<Video>(&message.payload) {
        // Other contradictions are checked where the state is used.
        Ok(value) if value.id.as_str() == key => {
            return Some(Versioned { value, revision: message.sequence });
        }
        Ok(value) => tracing::warn!(key, id = %value.id, "a state of another video"),
        // Perhaps the state of a newer version, which this node must not judge.
        Err(error) => {
            tracing::warn!(subject = %message.subject, %error, "a state could not be read")
        }
    }
    None
}
