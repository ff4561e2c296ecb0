//! Ports to the broker, by what they hold.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use jetreel_domain::delivery::claim::Claim;
use jetreel_domain::delivery::dispatch::{Heard, TaskQueue};
use jetreel_domain::delivery::message::{EncodeTask, Uploaded};
use jetreel_domain::delivery::stage::{Stage, Unit};
use jetreel_domain::id::{OrderId, TaskId, VideoId};
use jetreel_domain::order::ledger::Entry;
use jetreel_domain::order::parts::LoggedPart;
use jetreel_domain::order::state::{Known, Video};
use tokio::sync::mpsc::UnboundedSender;

use super::call::{PortFuture, Swap, WriteOnce};
use super::delivery::{Delivered, Forged, LostSight, Stored};
use super::reading::{Changes, Overheard, Versioned};

/// The work queues that stages pull from and publish to.
pub trait Queues: Send + Sync {
    /// The next message of a stage that has one queue; waits up to `wait`.
    fn next(&self, stage: Stage, wait: Duration) -> PortFuture<'_, Option<Delivered>>;
    /// The next task of a queue; waits up to `wait`. Zero: takes only a task that is there.
    fn next_task(&self, queue: TaskQueue, wait: Duration) -> PortFuture<'_, Option<Delivered>>;
    /// Tasks that no worker has, by lane and group.
    fn waiting_tasks(&self) -> PortFuture<'_, BTreeMap<TaskQueue, u64>>;
    /// Hints so far that tasks were released. A hint may be lost, and may arrive before the task can be pulled.
    fn heard(&self) -> Heard;
    /// Returns as soon as [`Self::heard`] is not `since`.
    fn task_hint<'a>(&'a self, since: &'a Heard) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
    /// Returns when a notice arrives that the order was cancelled. The notice is a hint and may be lost; the state decides.
    fn cancel_hint<'a>(
        &'a self,
        order: &'a OrderId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
    /// Hands over up to `most` ledger entries that no publisher has settled, each as it arrives. Ends with the last of them, or after
    /// `wait`.
    fn receive_entries<'a>(
        &'a self,
        most: usize,
        wait: Duration,
        into: &'a UnboundedSender<Delivered>,
    ) -> PortFuture<'a, ()>;
    /// Hands over every task that anybody tries to queue, for as long as the broker lives. A hint: some are missed, and a task that is told
    /// may not be queued in the end.
    fn hear_releases<'a>(
        &'a self,
        into: &'a UnboundedSender<(OrderId, TaskId)>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
    /// Asks the leader for any answer, to prove that the broker works.
    fn check(&self) -> PortFuture<'_, ()>;
    /// Queues a task. `Taken` if the task is queued already.
    fn release<'a>(&'a self, task: &'a EncodeTask) -> PortFuture<'a, WriteOnce>;
    /// Queues an order for a stage. `Taken` if it is queued there already.
    fn ask<'a>(&'a self, stage: Stage, order: &'a OrderId) -> PortFuture<'a, WriteOnce>;
    /// Queues an evaluation of an order.
    fn evaluate<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, WriteOnce> {
        self.ask(Stage::Publish, order)
    }
    /// Announces a completed upload.
    fn announce_upload<'a>(&'a self, upload: &'a Uploaded) -> PortFuture<'a, ()>;
    /// Whether the message with this sequence is still in ENCODE.
    fn is_queued(&self, sequence: u64) -> PortFuture<'_, bool>;
}

/// Messages in streams, with or without a consumer that delivers them. For the dead-letter stage and the reconciler.
pub trait Remains: Send + Sync {
    /// The next advisory of the broker that it gave up a message; waits up to `wait`.
    fn next_advisory(&self, wait: Duration) -> PortFuture<'_, Option<Delivered>>;
    /// Every consumer of a work queue that lost messages, with the messages that may be lost.
    fn lost_sight(&self) -> PortFuture<'_, Vec<LostSight>>;
    /// The message with this sequence, from the leader.
    fn stored<'a>(&'a self, stream: &'a str, sequence: u64) -> PortFuture<'a, Option<Stored>>;
    /// Messages of the queued tasks of an order, or of one task of it, in every lane, waiting or delivered; from the leader.
    fn queued_messages<'a>(
        &'a self,
        order: &'a OrderId,
        task: Option<TaskId>,
    ) -> PortFuture<'a, Vec<Stored>>;
    /// Removes the message with this sequence. It is no error if there is none.
    fn remove<'a>(&'a self, stream: &'a str, sequence: u64) -> PortFuture<'a, ()>;
    /// Publishes a message again, byte for byte, and removes the old one. The broker counts its deliveries anew.
    fn renew<'a>(&'a self, stored: &'a Stored) -> PortFuture<'a, ()>;
}

/// Part logs of open uploads.
pub trait PartLogs: Send + Sync {
    /// Writes a part of an open upload to its log, once. `Taken` if another writer continues this upload.
    fn log_part<'a>(&'a self, part: &'a LoggedPart) -> PortFuture<'a, WriteOnce>;
    /// Removes the part log of an upload.
    fn forget_parts<'a>(&'a self, video: &'a VideoId) -> PortFuture<'a, ()>;
}

/// The ledger of finished tasks and their results. All reads are from the leader.
pub trait Ledger: Send + Sync {
    /// The ledger entry of a finished task, from the leader. `None` also for an entry that contradicts its subject.
    fn entry<'a>(&'a self, order: &'a OrderId, task: TaskId) -> PortFuture<'a, Option<Entry>>;
    /// All ledger entries of an order, checkpoints included, with a stream sequence above `after`, and the highest sequence read; from the
    /// leader. Entries that contradict their subjects are left out.
    fn entries<'a>(&'a self, order: &'a OrderId, after: u64) -> PortFuture<'a, (Vec<Entry>, u64)>;
    /// Like [`Ledger::entries`], at least up to the sequence `newest`, which the caller knows an entry of the order to have. Entries that
    /// were removed a moment ago may be among them.
    fn entries_to<'a>(
        &'a self,
        order: &'a OrderId,
        after: u64,
        _newest: u64,
    ) -> PortFuture<'a, (Vec<Entry>, u64)> {
        self.entries(order, after)
    }
    /// Number of ledger entries of an order, checkpoints included; from the leader.
    fn entry_count<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, u64>;
    /// Removes the ledger entry of a finished task, so that the task is done again. Its checkpoints stay.
    fn forget_entry<'a>(&'a self, order: &'a OrderId, task: TaskId) -> PortFuture<'a, ()>;
    /// Ledger messages of an order that contradict their subjects, from the leader.
    fn forged<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, Vec<Forged>>;
    /// Writes a ledger entry once.
    fn write_entry<'a>(&'a self, entry: &'a Entry) -> PortFuture<'a, WriteOnce>;
    /// Removes all ledger entries and claims of an order.
    fn forget<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, ()>;
}

/// The states of videos.
pub trait Videos: Send + Sync {
    /// The state of a video, from the leader.
    fn video<'a>(&'a self, id: &'a VideoId) -> PortFuture<'a, Option<Versioned<Video>>>;
    /// Creates the state of a video. `Taken` if there is one already.
    fn create_video<'a>(&'a self, video: &'a Video) -> PortFuture<'a, WriteOnce>;
    /// Compare-and-set of the state of a video.
    fn swap_video<'a>(&'a self, video: &'a Video, revision: u64) -> PortFuture<'a, Swap>;
    /// Removes the state of a deleted video.
    fn remove_video<'a>(&'a self, id: &'a VideoId) -> PortFuture<'a, ()>;
    /// Removes the state of a video that cannot be decoded, with the ledger entries and claims of its orders. `false` if the state can be
    /// decoded by this or a newer program, or does not exist.
    fn discard_video<'a>(&'a self, id: &'a VideoId) -> PortFuture<'a, bool>;
    /// Ids of all videos, ascending.
    fn videos(&self) -> PortFuture<'_, Vec<VideoId>>;
    /// States of videos with a revision above `after`, in batches; from the leader.
    fn changes(&self, after: u64) -> PortFuture<'_, Changes>;
    /// The states that are written from now on.
    fn overhear(&self) -> PortFuture<'_, Box<dyn Overheard>>;
}

/// Claims: which worker runs which unit.
pub trait Claims: Send + Sync {
    /// The claim of a unit, from the leader.
    fn claim<'a>(
        &'a self,
        order: &'a OrderId,
        unit: &'a Unit,
    ) -> PortFuture<'a, Option<Versioned<Claim>>>;
    /// Compare-and-set of a claim; `revision` 0 creates it.
    fn swap_claim<'a>(
        &'a self,
        order: &'a OrderId,
        unit: &'a Unit,
        claim: &'a Claim,
        revision: u64,
    ) -> PortFuture<'a, Swap>;
}

/// Facts for subscribers.
pub trait Facts: Send + Sync {
    /// Publishes a fact of an order once, in the form of the state of its video. `Taken` if it is published already, which is no error.
    fn announce<'a>(
        &'a self,
        order: &'a OrderId,
        known: &'a Known,
        video: &'a Video,
    ) -> PortFuture<'a, WriteOnce>;
}

/// The broker: queues, ledger, states, claims and facts.
pub trait Broker: Queues + Remains + PartLogs + Ledger + Videos + Claims + Facts {}

impl<T: Queues + Remains + PartLogs + Ledger + Videos + Claims + Facts> Broker for T {}
