//! [`Broker`] on the server in memory.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jetreel_actors::intake::{self, Refused};
use jetreel_actors::ports::{
    Changed, Changes, Claims, Delivered, Facts, Forged, Ledger, LostSight, Overheard, PartLogs,
    PortFuture, Queues, Remains, Stored, Swap, Versioned, Videos, WriteOnce,
};
use jetreel_domain::delivery::claim::Claim;
use jetreel_domain::delivery::dispatch::{Heard, TaskQueue};
use jetreel_domain::delivery::message::{EncodeTask, Evaluate, Uploaded, VERSION};
use jetreel_domain::delivery::stage::{About, Queue, Stage, Unit};
use jetreel_domain::delivery::subject;
use jetreel_domain::id::{OrderId, TaskId, VideoId};
use jetreel_domain::order::ledger::Entry;
use jetreel_domain::order::parts::LoggedPart;
use jetreel_domain::order::state::{Known, Video};
use jetreel_domain::words::failure::Failure;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::port::{Port, encoded};
use super::rules;
use super::server::{
    ADVISORY, ENCODE, ENTRIES, Kept, LEDGER, PROGRESS, RELEASE, SWEEPER, Server, UPLOADS, WRITER,
    encode_consumer, work_queues,
};
use super::stream::Message;

/// Queues of tasks, and their consumers.
static QUEUES: LazyLock<BTreeMap<TaskQueue, String>> = LazyLock::new(|| {
    let named = |queue: TaskQueue| (queue, encode_consumer(queue.lane, queue.group));
    TaskQueue::all().map(named).collect()
});

/// Share of the releases that a node does not hear of.
const DEAF: f64 = 0.2;

impl Port {
    fn message(&self, subject: String, body: bytes::Bytes, mark: &str) -> Message {
        let headers = vec![(mark.to_owned(), self.writer().to_string())];
        Message { subject, body, headers, at: self.world.seconds() }
    }

    /// Publishes once; a consumer may lose sight of it.
    fn publish<'a>(
        &'a self,
        name: &'static str,
        stream: &'static str,
        message: Message,
    ) -> PortFuture<'a, WriteOnce> {
        let world = Arc::clone(&self.world);
        Box::pin(self.call(name, move |server| {
            let written = server.publish_once(stream, message.clone());
            let is_queue = work_queues().any(|queue| queue.stream == stream);
            let hidden = is_queue && world.hides();
            let there = server.stream(stream).newest(&message.subject);
            if let Some(sequence) = there.filter(|_| hidden && written == WriteOnce::Mine) {
                server.stream(stream).hide(sequence);
            }
            written
        }))
    }

    fn read<'a, T, F>(&'a self, name: &'static str, read: F) -> PortFuture<'a, T>
    where
        T: Send + 'static,
        F: FnMut(&mut Server) -> T + Send + 'static,
    {
        Box::pin(self.call(name, read))
    }
}

/// Entries of an order with their sequences, as far as they are entries.
fn ledger(server: &Server, order: &OrderId) -> Vec<(u64, Result<Entry, Refused>)> {
    let filter = subject::ledger_filter(order);
    let prefix = filter.trim_end_matches('>').to_owned();
    let there = server.streams[LEDGER].messages.iter();
    let own = there.filter(|(_, message)| message.subject.starts_with(&prefix));
    own.map(|(sequence, m)| (*sequence, intake::read(&m.subject, &m.body))).collect()
}

impl Queues for Port {
    fn next(&self, stage: Stage, wait: Duration) -> PortFuture<'_, Option<Delivered>> {
        let About { stream, consumer, .. } = stage.about();
        Box::pin(self.pull(stream, consumer, wait))
    }

    fn next_task(&self, queue: TaskQueue, wait: Duration) -> PortFuture<'_, Option<Delivered>> {
        Box::pin(async move { self.pull(ENCODE, &QUEUES[&queue], wait).await })
    }

    fn waiting_tasks(&self) -> PortFuture<'_, BTreeMap<TaskQueue, u64>> {
        self.read("count waiting tasks", |server| {
            let stream = &server.streams[ENCODE];
            let waiting = |(queue, name): (&TaskQueue, &String)| {
                let (_, _, in_hand) = stream.position(name);
                let waiting = stream.waiting(name).count() as u64;
                (*queue, waiting.saturating_sub(in_hand))
            };
            QUEUES.iter().map(waiting).collect()
        })
    }

    fn heard(&self) -> Heard {
        let mut heard = Heard::default();
        let queues = QUEUES.iter();
        let published = self.world.look(|server| {
            let stream = &server.streams[ENCODE];
            let published = queues.map(|(queue, name)| (queue, name, stream.published(name)));
            published.filter(|(.., count)| *count > 0).collect::<Vec<_>>()
        });
        for (queue, name, published) in published {
            // Only hints, and not every one is heard.
            let hears = |count: &u64| !self.world.fixed(&self.body, name, *count).chance(DEAF);
            (0..published).filter(hears).for_each(|_| heard.note(*queue));
        }
        heard
    }

    fn task_hint<'a>(&'a self, since: &'a Heard) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            loop {
                let changed = self.world.change(ENCODE);
                if self.heard() != *since {
                    break;
                }
                changed.await;
            }
        })
    }

    fn cancel_hint<'a>(
        &'a self,
        order: &'a OrderId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        let fact = subject::progress(order, &jetreel_domain::order::state::Fact::Cancelled);
        let newest = self.world.look(|server| server.streams[PROGRESS].last);
        // Only a hint, and not every one is heard.
        let deaf = self.world.dice(&self.body, "cancel hint").chance(0.3);
        Box::pin(async move {
            if deaf {
                std::future::pending::<()>().await;
            }
            loop {
                let changed = self.world.change(PROGRESS);
                let told = self.world.look(|server| server.streams[PROGRESS].newest(&fact));
                if told.is_some_and(|told| told > newest) {
                    break;
                }
                changed.await;
            }
        })
    }

    fn receive_entries<'a>(
        &'a self,
        most: usize,
        wait: Duration,
        into: &'a UnboundedSender<Delivered>,
    ) -> PortFuture<'a, ()> {
        Box::pin(async move {
            let until = Instant::now() + wait;
            for _ in 0..most {
                let left = until.saturating_duration_since(Instant::now());
                let Some(delivered) = self.pull(LEDGER, ENTRIES, left).await? else { break };
                if into.send(delivered).is_err() {
                    break;
                }
            }
            Ok(())
        })
    }

    fn hear_releases<'a>(
        &'a self,
        into: &'a UnboundedSender<(OrderId, TaskId)>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        let mut heard = self.world.look(|server| server.streams[ENCODE].last);
        Box::pin(async move {
            while self.body.is_alive() {
                let changed = self.world.change(ENCODE);
                let (last, told) = self.world.look(|server| {
                    let stream = &server.streams[ENCODE];
                    let messages = stream.messages.range(heard + 1..);
                    let subjects = messages.map(|(_, message)| message.subject.clone());
                    (stream.last, subjects.collect::<Vec<_>>())
                });
                heard = last;
                for subject in told {
                    let order = subject::owner(&subject).and_then(|(video, number)| {
                        Some((OrderId::new(video, number?), subject::task_in(&subject)?))
                    });
                    // Only a hint, and not every one is heard.
                    let deaf = self.world.dice(&self.body, "hear release").chance(0.2);
                    if let Some(release) = order.filter(|_| !deaf)
                        && into.send(release).is_err()
                    {
                        return;
                    }
                }
                changed.await;
            }
            std::future::pending().await
        })
    }

    fn check(&self) -> PortFuture<'_, ()> {
        self.read("check", |_| ())
    }

    fn release<'a>(&'a self, task: &'a EncodeTask) -> PortFuture<'a, WriteOnce> {
        let subject = subject::encode(task.lane, &task.order, task.task);
        self.publish("release", ENCODE, self.message(subject, encoded(task), RELEASE))
    }

    fn ask<'a>(&'a self, stage: Stage, order: &'a OrderId) -> PortFuture<'a, WriteOnce> {
        let body = encoded(&Evaluate { v: VERSION, order: order.clone() });
        let message = self.message(stage.subject_of(order), body, RELEASE);
        self.publish("evaluate", stage.about().stream, message)
    }

    fn announce_upload<'a>(&'a self, upload: &'a Uploaded) -> PortFuture<'a, ()> {
        let message = self.message(subject::upload(&upload.video), encoded(upload), RELEASE);
        self.read("announce upload", move |server| {
            server.stream(UPLOADS).publish(message.clone()).ok();
        })
    }

    fn is_queued(&self, sequence: u64) -> PortFuture<'_, bool> {
        self.read("is queued", move |server| server.message(ENCODE, sequence).is_some())
    }
}

impl Remains for Port {
    fn next_advisory(&self, wait: Duration) -> PortFuture<'_, Option<Delivered>> {
        Box::pin(self.pull(ADVISORY, SWEEPER, wait))
    }

    fn lost_sight(&self) -> PortFuture<'_, Vec<LostSight>> {
        self.read("count", |server| {
            let mut lost = Vec::new();
            for Queue { stream, consumer: name, .. } in work_queues() {
                let (suspects, in_hand) = server.stream(stream).unaccounted(&name);
                if !suspects.is_empty() {
                    lost.push(LostSight { name, stream: stream.to_owned(), suspects, in_hand });
                }
            }
            lost
        })
    }

    fn stored<'a>(&'a self, stream: &'a str, sequence: u64) -> PortFuture<'a, Option<Stored>> {
        let stream = stream.to_owned();
        self.read("read message", move |server| {
            let message = server.message(&stream, sequence)?.clone();
            let released = message.header(RELEASE).is_some();
            let Message { subject, body, headers, .. } = message;
            Some(Stored { stream: stream.clone(), sequence, subject, body, headers, released })
        })
    }

    fn remove<'a>(&'a self, stream: &'a str, sequence: u64) -> PortFuture<'a, ()> {
        let stream = stream.to_owned();
        self.read("remove", move |server| {
            server.stream(&stream).remove(sequence);
        })
    }

    fn renew<'a>(&'a self, stored: &'a Stored) -> PortFuture<'a, ()> {
        let (stored, at) = (stored.clone(), self.world.seconds());
        self.read("renew", move |server| {
            let (subject, headers) = (stored.subject.clone(), stored.headers.clone());
            let message = Message { subject, body: stored.body.clone(), headers, at };
            server.stream(&stored.stream).remove(stored.sequence);
            server.publish_once(&stored.stream, message);
        })
    }
}

impl PartLogs for Port {
    fn log_part<'a>(&'a self, _: &'a LoggedPart) -> PortFuture<'a, WriteOnce> {
        Box::pin(async { Err(gateways_alone()) })
    }

    fn forget_parts<'a>(&'a self, _: &'a VideoId) -> PortFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

impl Ledger for Port {
    fn entry<'a>(&'a self, order: &'a OrderId, task: TaskId) -> PortFuture<'a, Option<Entry>> {
        let subject = subject::ledger(order, task);
        self.read("read entry", move |server| {
            let sequence = server.streams[LEDGER].newest(&subject)?;
            let message = server.message(LEDGER, sequence)?;
            intake::read(&message.subject, &message.body).ok()
        })
    }

    fn entries<'a>(&'a self, order: &'a OrderId, after: u64) -> PortFuture<'a, (Vec<Entry>, u64)> {
        let order = order.clone();
        self.read("read entries", move |server| {
            let found = ledger(server, &order).into_iter().filter(|(at, _)| *at > after);
            let (mut entries, mut highest) = (Vec::new(), after);
            for (sequence, entry) in found {
                highest = sequence;
                entries.extend(entry);
            }
            (entries, highest)
        })
    }

    fn entries_to<'a>(
        &'a self,
        order: &'a OrderId,
        after: u64,
        newest: u64,
    ) -> PortFuture<'a, (Vec<Entry>, u64)> {
        let (order, world) = (order.clone(), Arc::clone(&self.world));
        self.read("read entries", move |server| {
            let found = ledger(server, &order).into_iter().filter(|(at, _)| *at > after);
            let (mut entries, mut highest) = (Vec::new(), after);
            for (sequence, entry) in found {
                // Whoever answers may have nothing newer than what the caller knows to be there.
                if sequence > newest && world.draw(|rng| rng.chance(0.5)) {
                    break;
                }
                highest = sequence;
                entries.extend(entry);
            }
            (entries, highest)
        })
    }

    fn entry_count<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, u64> {
        let order = order.clone();
        self.read("count entries", move |server| ledger(server, &order).len() as u64)
    }

    fn forget_entry<'a>(&'a self, order: &'a OrderId, task: TaskId) -> PortFuture<'a, ()> {
        let meant = subject::ledger(order, task);
        self.read("forget entry", move |server| {
            server.stream(LEDGER).purge(|subject| subject == meant);
        })
    }

    fn forged<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, Vec<Forged>> {
        let order = order.clone();
        self.read("read forged", move |server| {
            let found = ledger(server, &order).into_iter();
            let forged = found.filter_map(|(sequence, entry)| match entry {
                Err(Refused::Contradicting(failure) | Refused::Unreadable(failure)) => {
                    Some(Forged { stream: LEDGER.to_owned(), sequence, failure })
                }
                Err(Refused::Newer(_)) | Ok(_) => None,
            });
            forged.collect()
        })
    }

    fn write_entry<'a>(&'a self, entry: &'a Entry) -> PortFuture<'a, WriteOnce> {
        let subject = match entry.part {
            None => subject::ledger(&entry.order, entry.task),
            Some(part) => subject::ledger_part(&entry.order, entry.task, part),
        };
        let headers = vec![(WRITER.to_owned(), entry.writer.clone())];
        let at = self.world.seconds();
        let message = Message { subject, body: encoded(entry), headers, at };
        let entry = entry.clone();
        Box::pin(self.call("write entry", move |server| {
            let written = server.publish_once(LEDGER, message.clone());
            let wrong = rules::entered(server, &entry).filter(|_| written == WriteOnce::Mine);
            server.violations.extend(wrong);
            written
        }))
    }

    fn forget<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, ()> {
        let order = order.clone();
        self.read("forget", move |server| server.forget(&order))
    }
}

impl Videos for Port {
    fn video<'a>(&'a self, id: &'a VideoId) -> PortFuture<'a, Option<Versioned<Video>>> {
        let key = id.to_string();
        self.read("read video", move |server| server.videos.get(&key))
    }

    fn create_video<'a>(&'a self, video: &'a Video) -> PortFuture<'a, WriteOnce> {
        let (video, writer) = (video.clone(), self.writer());
        self.read("create video", move |server| match server.swap_video(video.clone(), 0, writer) {
            Swap::Done(_) => WriteOnce::Mine,
            Swap::Conflict => WriteOnce::Taken,
        })
    }

    fn swap_video<'a>(&'a self, video: &'a Video, revision: u64) -> PortFuture<'a, Swap> {
        let (video, writer) = (video.clone(), self.writer());
        let world = Arc::clone(&self.world);
        self.read("swap video", move |server| {
            world.moved.notify_waiters();
            server.swap_video(video.clone(), revision, writer)
        })
    }

    fn remove_video<'a>(&'a self, id: &'a VideoId) -> PortFuture<'a, ()> {
        let key = id.to_string();
        self.read("remove video", move |server| drop(server.videos.kept.remove(&key)))
    }

    fn discard_video<'a>(&'a self, _: &'a VideoId) -> PortFuture<'a, bool> {
        // Only gateways use it, like the logs of open uploads.
        Box::pin(async { Err(gateways_alone()) })
    }

    fn videos(&self) -> PortFuture<'_, Vec<VideoId>> {
        self.read("list videos", |server| server.ids())
    }

    fn changes(&self, after: u64) -> PortFuture<'_, Changes> {
        self.read("read changes", move |server| {
            let kept = server.videos.kept.values().filter(|kept| kept.revision > after);
            let mut changed: Vec<Changed> = kept.map(changed).collect();
            changed.sort_by_key(|changed| changed.revision);
            let more = changed.len() > CHANGES_MAX;
            changed.truncate(CHANGES_MAX);
            let read = changed.last().map_or(after, |last| last.revision);
            Changes { changed, read, more, extent: server.videos.extent() }
        })
    }

    fn overhear(&self) -> PortFuture<'_, Box<dyn Overheard>> {
        let port = self.clone();
        let heard = self.read("overhear", |server| server.videos.extent().last);
        Box::pin(
            async move { Ok(Box::new(Ear { port, heard: heard.await? }) as Box<dyn Overheard>) },
        )
    }
}

impl Claims for Port {
    fn claim<'a>(
        &'a self,
        order: &'a OrderId,
        what: &'a Unit,
    ) -> PortFuture<'a, Option<Versioned<Claim>>> {
        let key = subject::claim_key(order, what);
        self.read("read claim", move |server| server.claims.get(&key))
    }

    fn swap_claim<'a>(
        &'a self,
        order: &'a OrderId,
        what: &'a Unit,
        claim: &'a Claim,
        revision: u64,
    ) -> PortFuture<'a, Swap> {
        let (key, claim, writer) = (subject::claim_key(order, what), claim.clone(), self.writer());
        Box::pin(async move {
            let written = claim.clone();
            let swap = move |server: &mut Server| {
                server.swap_claim(&key, written.clone(), revision, writer)
            };
            let swapped = self.call("swap claim", swap).await?;
            if matches!(swapped, Swap::Done(_)) && !claim.released {
                self.world.with(|server| server.ends.take(order.clone(), what, &claim, server.now));
            }
            Ok(swapped)
        })
    }
}

impl Facts for Port {
    fn announce<'a>(
        &'a self,
        order: &'a OrderId,
        known: &'a Known,
        _: &'a Video,
    ) -> PortFuture<'a, WriteOnce> {
        let told = (known.seq, format!("{order}/{}", known.fact));
        let subject = subject::progress(order, &known.fact);
        self.publish("announce", PROGRESS, self.message(subject, encoded(&told), WRITER))
    }
}

/// States at most that one read of changes gives.
const CHANGES_MAX: usize = 2;

fn changed(kept: &Kept<Video>) -> Changed {
    let (id, revision) = (kept.value.id.clone(), kept.revision);
    Changed { id, revision, state: Ok(Some(kept.value.clone())) }
}

/// Hears of states late, and not of all.
struct Ear {
    port: Port,
    heard: u64,
}

impl Overheard for Ear {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Video> + Send + '_>> {
        Box::pin(async move {
            let world = Arc::clone(&self.port.world);
            loop {
                let written = world.written.notified();
                let next = world.look(|server| {
                    let kept = server.videos.kept.values().filter(|k| k.revision > self.heard);
                    kept.min_by_key(|kept| kept.revision).cloned()
                });
                let Some(next) = next else {
                    written.await;
                    continue;
                };
                let mut dice = world.dice(&self.port.body, "hear a state");
                let (delay, deaf) = (dice.below(3000), dice.chance(0.2));
                self.port.step(delay, dice.next()).await;
                // If this wait is given up, it begins anew.
                self.heard = next.revision;
                if !deaf {
                    return next.value;
                }
            }
        })
    }
}

fn gateways_alone() -> Failure {
    Failure::task("unsupported", "No stage asks for this.")
}

/// All ports of one node, as the stages take them.
pub(crate) fn ports(port: &Port) -> jetreel_actors::ports::Ports {
    let port = Arc::new(port.clone());
    jetreel_actors::ports::Ports {
        broker: port.clone(),
        letters: port.clone(),
        store: port.clone(),
        codec: port.clone(),
        environment: port,
    }
}
