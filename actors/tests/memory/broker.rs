//! [`Broker`] on the server in memory.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jetreel_actors::intake::{self, Refused};
use jetreel_actors::ports::{
    Changed, Changes, Claims, Delivered, Facts, Forged, Ledger, LostSight, Overheard, PartLogs,
    PortFuture, Remains, Stored, Swap, Versioned, Videos, WriteOnce,
};
use jetreel_domain::delivery::claim::Claim;
use jetreel_domain::delivery::stage::{Queue, Unit};
use jetreel_domain::delivery::subject;
use jetreel_domain::id::{OrderId, TaskId, VideoId};
use jetreel_domain::order::ledger::Entry;
use jetreel_domain::order::parts::LoggedPart;
use jetreel_domain::order::state::{Known, Video};
use jetreel_domain::words::failure::Failure;

use super::port::{Port, encoded};
use super::rules;
use super::server::{
    ADVISORY, ENCODE, Kept, LEDGER, PROGRESS, RELEASE, SWEEPER, Server, WRITER, work_queues,
};
use super::stream::Message;

impl Port {
    pub(crate) fn message(&self, subject: String, body: bytes::Bytes, mark: &str) -> Message {
        let headers = vec![(mark.to_owned(), self.writer().to_string())];
        Message { subject, body, headers, at: self.world.seconds() }
    }

    /// Publishes once; a consumer may lose sight of it.
    pub(crate) fn publish<'a>(
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

    pub(crate) fn look_up<'a, T, F>(&'a self, name: &'static str, read: F) -> PortFuture<'a, T>
    where
        T: Send + 'static,
        F: FnMut(&mut Server) -> T + Send + 'static,
    {
        Box::pin(self.call(name, read))
    }
}

fn stored(stream: &str, sequence: u64, message: &Message) -> Stored {
    let released = message.header(RELEASE).is_some();
    let Message { subject, body, headers, .. } = message.clone();
    Stored { stream: stream.to_owned(), sequence, subject, body, headers, released }
}

/// Entries of an order with their sequences, as far as they are entries.
fn ledger(server: &Server, order: &OrderId) -> Vec<(u64, Result<Entry, Refused>)> {
    let filter = subject::ledger_filter(order);
    let prefix = filter.trim_end_matches('>').to_owned();
    let there = server.streams[LEDGER].messages.iter();
    let own = there.filter(|(_, message)| message.subject.starts_with(&prefix));
    own.map(|(sequence, m)| (*sequence, intake::read(&m.subject, &m.body))).collect()
}

impl Remains for Port {
    fn next_advisory(&self, wait: Duration) -> PortFuture<'_, Option<Delivered>> {
        Box::pin(self.pull(ADVISORY, SWEEPER, wait))
    }

    fn lost_sight(&self) -> PortFuture<'_, Vec<LostSight>> {
        self.look_up("count", |server| {
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
        self.look_up("read message", move |server| {
            Some(stored(&stream, sequence, server.message(&stream, sequence)?))
        })
    }

    fn queued_messages<'a>(
        &'a self,
        order: &'a OrderId,
        task: Option<TaskId>,
    ) -> PortFuture<'a, Vec<Stored>> {
        let order = order.clone();
        self.look_up("read queued", move |server| {
            let own = |subject: &str| {
                let named =
                    subject::owner(subject) == Some((order.video.clone(), Some(order.number)));
                named && task.is_none_or(|task| subject::task_in(subject) == Some(task))
            };
            let messages = server.streams[ENCODE].messages.iter();
            let found = messages.filter(|(_, message)| own(&message.subject));
            found.map(|(sequence, message)| stored(ENCODE, *sequence, message)).collect()
        })
    }

    fn remove<'a>(&'a self, stream: &'a str, sequence: u64) -> PortFuture<'a, ()> {
        let stream = stream.to_owned();
        self.look_up("remove", move |server| {
            server.stream(&stream).remove(sequence);
        })
    }

    fn renew<'a>(&'a self, stored: &'a Stored) -> PortFuture<'a, ()> {
        let (stored, at) = (stored.clone(), self.world.seconds());
        self.look_up("renew", move |server| {
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
        self.look_up("read entry", move |server| {
            let sequence = server.streams[LEDGER].newest(&subject)?;
            let message = server.message(LEDGER, sequence)?;
            intake::read(&message.subject, &message.body).ok()
        })
    }

    fn entries<'a>(&'a self, order: &'a OrderId, after: u64) -> PortFuture<'a, (Vec<Entry>, u64)> {
        let order = order.clone();
        self.look_up("read entries", move |server| {
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
        self.look_up("read entries", move |server| {
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
        self.look_up("count entries", move |server| ledger(server, &order).len() as u64)
    }

    fn forget_entry<'a>(&'a self, order: &'a OrderId, task: TaskId) -> PortFuture<'a, ()> {
        let meant = subject::ledger(order, task);
        self.look_up("forget entry", move |server| {
            server.stream(LEDGER).purge(|subject| subject == meant);
        })
    }

    fn forged<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, Vec<Forged>> {
        let order = order.clone();
        self.look_up("read forged", move |server| {
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
        self.look_up("forget", move |server| server.forget(&order))
    }
}

impl Videos for Port {
    fn video<'a>(&'a self, id: &'a VideoId) -> PortFuture<'a, Option<Versioned<Video>>> {
        let key = id.to_string();
        self.look_up("read video", move |server| server.videos.get(&key))
    }

    fn create_video<'a>(&'a self, video: &'a Video) -> PortFuture<'a, WriteOnce> {
        let (video, writer) = (video.clone(), self.writer());
        self.look_up("create video", move |server| {
            match server.swap_video(video.clone(), 0, writer) {
                Swap::Done(_) => WriteOnce::Mine,
                Swap::Conflict => WriteOnce::Taken,
            }
        })
    }

    fn swap_video<'a>(&'a self, video: &'a Video, revision: u64) -> PortFuture<'a, Swap> {
        let (video, writer) = (video.clone(), self.writer());
        let world = Arc::clone(&self.world);
        self.look_up("swap video", move |server| {
            world.moved.notify_waiters();
            server.swap_video(video.clone(), revision, writer)
        })
    }

    fn remove_video<'a>(&'a self, id: &'a VideoId) -> PortFuture<'a, ()> {
        let key = id.to_string();
        self.look_up("remove video", move |server| drop(server.videos.kept.remove(&key)))
    }

    fn discard_video<'a>(&'a self, _: &'a VideoId) -> PortFuture<'a, bool> {
        // Only gateways use it, like the logs of open uploads.
        Box::pin(async { Err(gateways_alone()) })
    }

    fn videos(&self) -> PortFuture<'_, Vec<VideoId>> {
        self.look_up("list videos", |server| server.ids())
    }

    fn changes(&self, after: u64) -> PortFuture<'_, Changes> {
        self.look_up("read changes", move |server| {
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
        let heard = self.look_up("overhear", |server| server.videos.extent().last);
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
        self.look_up("read claim", move |server| server.claims.get(&key))
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
