//! [`Broker`] on JetStream: each method is one call into the file of its kind. Faults become failures.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use jetreel_actors::ports::{
    Changes, Claims, Delivered, Facts, Forged, Ledger, LostSight, Overheard, PartLogs, PortFuture,
    Queues, Remains, Stored, Swap, Versioned, Videos, WriteOnce,
};
use jetreel_domain::delivery::claim::Claim;
use jetreel_domain::delivery::dispatch::{Heard, TaskQueue};
use jetreel_domain::delivery::message::{EncodeTask, Uploaded};
use jetreel_domain::delivery::stage::{About, Stage, Unit};
use jetreel_domain::id::{OrderId, TaskId, VideoId};
use jetreel_domain::order::ledger::Entry;
use jetreel_domain::order::parts::LoggedPart;
use jetreel_domain::order::state::{Known, Video};
use tokio::sync::mpsc::UnboundedSender;

use super::connection::Bus;
use super::names;
use super::severity::Fault;

/// Wraps a call to the broker as a method of the port. `doing` names the operation in a failure.
pub(super) fn port<'a, T: Send + 'a>(
    doing: &'static str,
    work: impl Future<Output = Result<T, Fault>> + Send + 'a,
) -> PortFuture<'a, T> {
    Box::pin(async move { work.await.map_err(|fault| fault.failure(doing)) })
}

impl Queues for Bus {
    fn next(&self, stage: Stage, wait: Duration) -> PortFuture<'_, Option<Delivered>> {
        let About { stream, consumer, .. } = stage.about();
        port("pull a message", self.next_delivery(stream, consumer, wait))
    }

    fn next_task(&self, queue: TaskQueue, wait: Duration) -> PortFuture<'_, Option<Delivered>> {
        port("pull a task", self.pull_task(queue, wait))
    }

    fn waiting_tasks(&self) -> PortFuture<'_, BTreeMap<TaskQueue, u64>> {
        port("count waiting tasks", self.tasks_without_worker())
    }

    fn heard(&self) -> Heard {
        self.hints.heard()
    }

    fn task_hint<'a>(&'a self, since: &'a Heard) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(self.hints.changed(since))
    }

    fn cancel_hint<'a>(
        &'a self,
        order: &'a OrderId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(self.hints.cancelled(order))
    }

    fn receive_entries<'a>(
        &'a self,
        most: usize,
        wait: Duration,
        into: &'a UnboundedSender<Delivered>,
    ) -> PortFuture<'a, ()> {
        let from = (names::LEDGER, names::PUBLISH_CONSUMER);
        port("pull ledger entries", self.pull_many(from, most, wait, into))
    }

    fn hear_releases<'a>(
        &'a self,
        into: &'a UnboundedSender<(OrderId, TaskId)>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(self.tell_releases(into))
    }

    fn check(&self) -> PortFuture<'_, ()> {
        port("probe", self.probe())
    }

    fn release<'a>(&'a self, task: &'a EncodeTask) -> PortFuture<'a, WriteOnce> {
        port("release a task", self.queue_task(task))
    }

    fn ask<'a>(&'a self, stage: Stage, order: &'a OrderId) -> PortFuture<'a, WriteOnce> {
        port("ask a stage", self.queue_order(stage, order))
    }

    fn announce_upload<'a>(&'a self, upload: &'a Uploaded) -> PortFuture<'a, ()> {
        port("announce an upload", self.publish_upload(upload))
    }

    fn is_queued(&self, sequence: u64) -> PortFuture<'_, bool> {
        port("look up a task", self.task_is_queued(sequence))
    }
}

impl Remains for Bus {
    fn next_advisory(&self, wait: Duration) -> PortFuture<'_, Option<Delivered>> {
        port("pull an advisory", self.pull_advisory(wait))
    }

    fn lost_sight(&self) -> PortFuture<'_, Vec<LostSight>> {
        port("count what is queued", self.find_lost_sight())
    }

    fn stored<'a>(&'a self, stream: &'a str, sequence: u64) -> PortFuture<'a, Option<Stored>> {
        port("read a message", self.stored_at(stream, sequence))
    }

    fn queued_messages<'a>(
        &'a self,
        order: &'a OrderId,
        task: Option<TaskId>,
    ) -> PortFuture<'a, Vec<Stored>> {
        port("read queued tasks", self.tasks_in_queues(order, task))
    }

    fn remove<'a>(&'a self, stream: &'a str, sequence: u64) -> PortFuture<'a, ()> {
        port("remove a message", async move { self.remove_at(stream, sequence).await.map(drop) })
    }

    fn renew<'a>(&'a self, stored: &'a Stored) -> PortFuture<'a, ()> {
        port("queue a message anew", self.renew_stored(stored))
    }
}

impl PartLogs for Bus {
    fn log_part<'a>(&'a self, part: &'a LoggedPart) -> PortFuture<'a, WriteOnce> {
        port("log a part of an upload", self.write_part(part))
    }

    fn forget_parts<'a>(&'a self, video: &'a VideoId) -> PortFuture<'a, ()> {
        port("forget the log of an upload", self.purge_parts(video))
    }
}

impl Ledger for Bus {
    fn entry<'a>(&'a self, order: &'a OrderId, task: TaskId) -> PortFuture<'a, Option<Entry>> {
        port("read a ledger entry", self.read_entry(order, task))
    }

    fn entries<'a>(&'a self, order: &'a OrderId, after: u64) -> PortFuture<'a, (Vec<Entry>, u64)> {
        port("read ledger entries", self.read_entries(order, after))
    }

    fn entries_to<'a>(
        &'a self,
        order: &'a OrderId,
        after: u64,
        newest: u64,
    ) -> PortFuture<'a, (Vec<Entry>, u64)> {
        port("read ledger entries", self.read_entries_to(order, after, newest))
    }

    fn entry_count<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, u64> {
        port("count ledger entries", self.count_entries(order))
    }

    fn forget_entry<'a>(&'a self, order: &'a OrderId, task: TaskId) -> PortFuture<'a, ()> {
        port("forget a task", self.purge_entry(order, task))
    }

    fn forged<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, Vec<Forged>> {
        port("look for forged ledger entries", self.forged_entries(order))
    }

    fn write_entry<'a>(&'a self, entry: &'a Entry) -> PortFuture<'a, WriteOnce> {
        port("write a ledger entry", self.write_ledger(entry))
    }

    fn forget<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, ()> {
        port("forget an order", self.purge_order(order))
    }
}

impl Videos for Bus {
    fn video<'a>(&'a self, id: &'a VideoId) -> PortFuture<'a, Option<Versioned<Video>>> {
        port("read a video", self.read_video(id))
    }

    fn create_video<'a>(&'a self, video: &'a Video) -> PortFuture<'a, WriteOnce> {
        port("create a video", self.new_video(video))
    }

    fn swap_video<'a>(&'a self, video: &'a Video, revision: u64) -> PortFuture<'a, Swap> {
        port("write a video", self.replace_video(video, revision))
    }

    fn remove_video<'a>(&'a self, id: &'a VideoId) -> PortFuture<'a, ()> {
        port("remove a video", self.purge_video(id))
    }

    fn discard_video<'a>(&'a self, id: &'a VideoId) -> PortFuture<'a, bool> {
        port("remove a state that cannot be read", self.discard_unreadable(id))
    }

    fn videos(&self) -> PortFuture<'_, Vec<VideoId>> {
        port("list videos", self.video_ids())
    }

    fn changes(&self, after: u64) -> PortFuture<'_, Changes> {
        port("read changes of videos", self.changes_after(after))
    }

    fn overhear(&self) -> PortFuture<'_, Box<dyn Overheard>> {
        port("listen to states", self.listen_to_states())
    }
}

impl Claims for Bus {
    fn claim<'a>(
        &'a self,
        order: &'a OrderId,
        unit: &'a Unit,
    ) -> PortFuture<'a, Option<Versioned<Claim>>> {
        port("read a claim", self.read_claim(order, unit))
    }

    fn swap_claim<'a>(
        &'a self,
        order: &'a OrderId,
        unit: &'a Unit,
        claim: &'a Claim,
        revision: u64,
    ) -> PortFuture<'a, Swap> {
        port("write a claim", self.replace_claim(order, unit, claim, revision))
    }
}

impl Facts for Bus {
    fn announce<'a>(
        &'a self,
        order: &'a OrderId,
        known: &'a Known,
        video: &'a Video,
    ) -> PortFuture<'a, WriteOnce> {
        port("announce a fact", self.publish_fact(order, known, video))
    }
}
