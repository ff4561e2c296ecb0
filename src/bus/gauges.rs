//! [`Gauges`] on JetStream: the state of every consumer from its leader, and the ledger from a sequence on.
//!
//! Invariant: ages are differences of the server's own times. The clock of this machine is not asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use futures::future::try_join_all;
use humantime_serde::re::humantime;
use jetreel_actors::intake;
use jetreel_actors::ports::{Finished, Gauges, PortFuture};
use jetreel_domain::delivery::dispatch::TaskQueue;
use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::delivery::subject;
use jetreel_domain::order::ledger::Entry;
use jetreel_domain::scale::backlog::Done;
use jetreel_domain::scale::load::{QueueLoad, Queues};
use jetreel_domain::scale::queue::{Queue, Reader};
use serde::Deserialize;
use serde_json::Value;

use super::broker::port;
use super::connection::Bus;
use super::found::Found;
use super::names;
use super::request::{READ_BUDGET, persist};
use super::severity::Fault;
use super::topology::{self, ConsumerInfo};

#[derive(Deserialize)]
struct StreamInfo {
    state: StreamState,
}

#[derive(Deserialize)]
struct StreamState {
    messages: u64,
}

/// Stream and durable consumer of a queue.
pub(super) fn consumer(queue: &Queue) -> (&'static str, String) {
    match (queue.stage, queue.tasks) {
        (Reader::Stage(stage), Some(TaskQueue { lane, group })) => {
            let queue = stage.queue(lane, group);
            (queue.stream, queue.consumer)
        }
        (Reader::Stage(stage), None) => (stage.about().stream, stage.about().consumer.to_owned()),
        (Reader::Ledger, _) => (names::LEDGER, names::PUBLISH_CONSUMER.to_owned()),
        (Reader::Deadletter, _) => (names::ADVISORY, names::DEADLETTER_CONSUMER.to_owned()),
        (Reader::Hook, _) => (names::DLQ, names::HOOK_CONSUMER.to_owned()),
    }
}

impl Bus {
    async fn measure(&self) -> Result<Queues, Fault> {
        let wanted: BTreeMap<(&str, String), Queue> =
            Queue::all().into_iter().map(|queue| (consumer(&queue), queue)).collect();
        let streams: BTreeSet<&str> = wanted.keys().map(|(stream, _)| *stream).collect();
        let before = self.depths().await?;
        let infos = try_join_all(streams.iter().map(|stream| self.infos(stream))).await?;
        let after = self.depths().await?;
        let infos = streams.iter().zip(infos).flat_map(|(stream, infos)| {
            infos.into_iter().map(|info| (*stream, info)).collect::<Vec<_>>()
        });
        let known = infos.filter_map(|(stream, info)| {
            let queue = wanted.get(&(stream, info.name.clone()))?;
            Some((*queue, stream, info))
        });
        let measured = try_join_all(known.map(|(queue, stream, info)| async move {
            let at = time(&info.ts)?;
            Ok::<_, Fault>((at, self.queue_load(queue, stream, &info, at).await?))
        }));
        let measured = measured.await?;
        let at = measured.iter().map(|(at, _)| *at).fold(0.0, f64::max) as i64;
        let mut queues: Vec<QueueLoad> = measured.into_iter().map(|(_, queue)| queue).collect();
        queues.sort_by_key(QueueLoad::queue);
        let orphans = orphans(&queues, &before, &after);
        Ok(Queues { at, queues, orphans })
    }

    /// Consumers of a stream; none if it does not exist.
    async fn infos(&self, stream: &str) -> Result<Vec<ConsumerInfo>, Fault> {
        match topology::consumer_infos(self, stream, READ_BUDGET).await {
            Err(fault) if fault.is_absent() => Ok(Vec::new()),
            read => read,
        }
    }

    /// Messages in each work queue.
    async fn depths(&self) -> Result<BTreeMap<&'static str, u64>, Fault> {
        let queues = Stage::ALL.into_iter().filter(|stage| stage.about().is_work_queue);
        let depths = queues.map(|stage| async move {
            let path = format!("STREAM.INFO.{}", stage.about().stream);
            let read = persist(READ_BUDGET, || self.api::<StreamInfo>(path.clone(), &())).await;
            match read {
                Ok(info) => Ok((stage.as_str(), info.state.messages)),
                Err(fault) if fault.is_absent() => Ok((stage.as_str(), 0)),
                Err(fault) => Err(fault),
            }
        });
        Ok(try_join_all(depths).await?.into_iter().collect())
    }

    async fn queue_load(
        &self,
        queue: Queue,
        stream: &str,
        info: &ConsumerInfo,
        at: f64,
    ) -> Result<QueueLoad, Fault> {
        let oldest = match info.num_pending {
            0 => None,
            _ => self.first_pending(stream, info).await?,
        };
        let pause = Duration::from_nanos(info.pause_remaining).as_secs_f64();
        Ok(QueueLoad {
            stage: queue.stage,
            lane: queue.tasks.map(|tasks| tasks.lane),
            group: queue.tasks.map(|tasks| tasks.group),
            stream: stream.to_owned(),
            consumer: info.name.clone(),
            pending: info.num_pending,
            ack_pending: info.num_ack_pending,
            lag: info.num_pending + info.num_ack_pending,
            redelivered: info.num_redelivered,
            oldest_seconds: oldest.map(|oldest| (at - oldest.at as f64).max(0.0)),
            paused_until: info.paused.then(|| (at + pause).ceil() as i64),
        })
    }

    /// The first message that a consumer has not delivered. `None` if it was settled or removed since.
    async fn first_pending(
        &self,
        stream: &str,
        info: &ConsumerInfo,
    ) -> Result<Option<Found>, Fault> {
        let filter = info.config.get("filter_subject").and_then(Value::as_str).unwrap_or(">");
        let from = info.delivered.stream_seq + 1;
        persist(READ_BUDGET, || self.next_message(stream, filter, from)).await
    }

    async fn finished_after(&self, after: u64) -> Result<Finished, Fault> {
        let extent = self.extent(names::LEDGER).await?;
        let filter = subject::LEDGER_TASKS_ALL;
        let messages = self.messages_from(names::LEDGER, filter, after + 1).await?;
        let read = messages.last().map_or(after, |last| last.sequence);
        let tasks = messages.iter().filter_map(done).collect();
        Ok(Finished { tasks, read, more: !messages.is_empty(), extent })
    }
}

impl Gauges for Bus {
    fn queues(&self) -> PortFuture<'_, Queues> {
        port("measure the queues", self.measure())
    }

    fn finished(&self, after: u64) -> PortFuture<'_, Finished> {
        port("follow the ledger", self.finished_after(after))
    }
}

fn done(message: &Found) -> Option<Done> {
    // A forged message is no result. Publish removes it, and the task is done again.
    let entry: Entry = intake::read(&message.subject, &message.payload).ok()?;
    Some(Done { order: entry.order, task: entry.task, wall_seconds: entry.wall_seconds })
}

/// Messages of work queues that no consumer accounts for. The smaller of two depths, so that neither a settlement nor a publish between
/// the reads counts as one.
fn orphans(
    queues: &[QueueLoad],
    before: &BTreeMap<&'static str, u64>,
    after: &BTreeMap<&'static str, u64>,
) -> BTreeMap<&'static str, u64> {
    let of = |(stage, before): (&&'static str, &u64)| {
        let depth = (*before).min(after.get(stage).copied().unwrap_or(0));
        let own = queues.iter().filter(|queue| queue.stage.as_str() == *stage);
        (*stage, depth.saturating_sub(own.map(|queue| queue.lag).sum()))
    };
    before.iter().map(of).collect()
}

/// Seconds since the Unix epoch of a time of the server.
fn time(text: &str) -> Result<f64, Fault> {
    let time = humantime::parse_rfc3339(text)
        .map_err(|error| Fault::Malformed(format!("{text}: {error}")))?;
    Ok(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_durable_consumer_of_the_stages_is_measured() {
        let measured: BTreeSet<_> = Queue::all().iter().map(consumer).collect();
        let mut required: BTreeSet<_> = names::required_consumers().into_iter().collect();
        required.insert((names::DLQ, names::HOOK_CONSUMER.to_owned()));
        assert_eq!(measured, required);
    }

    #[test]
    fn times_of_the_server_are_read() {
        assert_eq!(time("1970-01-01T00:01:00.5Z").unwrap(), 60.5);
        assert!(time("0001-01-01").is_err());
    }
}
