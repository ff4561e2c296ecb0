//! The world as the stages see it: eight traits, implemented by the shell.
//!
//! Absent on purpose: nothing here names a broker, a store library, a metrics library or a codec library.

use std::collections::BTreeSet;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jetreel_domain::codec::budget::ProcessLimits;
use jetreel_domain::codec::wire::{FromCodec, Job};
use jetreel_domain::delivery::claim::Claim;
use jetreel_domain::delivery::deadletter::{Buried, DeadLetter};
use jetreel_domain::delivery::message::{EncodeTask, Uploaded};
use jetreel_domain::delivery::room::Room;
use jetreel_domain::delivery::stage::{Stage, Unit};
use jetreel_domain::id::{Group, OrderId, TaskId, VideoId};
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::ledger::{Entry, Object};
use jetreel_domain::order::parts::{LoggedPart, PartList};
use jetreel_domain::order::state::{Fact, Known, Video};
use jetreel_domain::upkeep::leadership::Leadership;
use jetreel_domain::upkeep::presence::Presence;
use jetreel_domain::upkeep::reconcile::Position;
use jetreel_domain::words::failure::Failure;

use crate::event::Event;
pub use crate::reading::{Changed, Changes, Extent, States, Versioned};

/// What a port's method returns.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// What became of a compare-and-set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// Written, at this revision.
    Done(u64),
    /// Somebody was faster: read again.
    Conflict,
}

/// What became of a write-once write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOnce {
    /// This writer's entry is the one.
    Mine,
    /// Another's was there first.
    Taken,
}

/// One message in hand. Settled exactly once, by one of `ack`, `hand_back`, `terminate`.
pub trait Delivery: Send + Sync {
    /// The body.
    fn body(&self) -> &[u8];
    /// The subject it was published to.
    fn subject(&self) -> &str;
    /// The stream it is in.
    fn stream(&self) -> &str;
    /// Its sequence in the stream.
    fn sequence(&self) -> u64;
    /// How often it was delivered, this time included.
    fn delivered(&self) -> u64;
    /// Messages behind it that were delivered to nobody yet.
    fn pending(&self) -> u64;
    /// Its headers.
    fn headers(&self) -> Vec<(String, String)>;
    /// Whether Jetreel published it itself; otherwise somebody replays it by hand.
    fn is_released(&self) -> bool;
    /// Done with it. Sent as a request: an `Ok` means that the server has it.
    fn ack(&self) -> PortFuture<'_, ()>;
    /// Deliver it again after a while.
    fn hand_back(&self, after: Duration) -> PortFuture<'_, ()>;
    /// Never deliver it again.
    fn terminate(&self, reason: &str) -> PortFuture<'_, ()>;
    /// Still at it: renews the lease. Sent as a request.
    fn renew(&self) -> PortFuture<'_, ()>;
}

/// A message as it lies in its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Stream.
    pub stream: String,
    /// Sequence there.
    pub sequence: u64,
    /// Subject it was published to.
    pub subject: String,
    /// Body.
    pub body: Bytes,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Whether Jetreel published it itself; otherwise somebody replays it by hand.
    pub released: bool,
}

/// A consumer of a work queue that accounts for fewer messages than its queue holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostSight {
    /// Name of the consumer.
    pub name: String,
    /// Stream of the queue.
    pub stream: String,
    /// Messages that were delivered once and are still there, ascending by sequence: the lost ones, and those in hand or waiting for
    /// their next attempt.
    pub suspects: Vec<u64>,
    /// How many of them are in hand or waiting.
    pub in_hand: u64,
}

/// A delivery in hand.
pub type Delivered = Box<dyn Delivery>;

/// A message in the ledger that does not belong on its subject: no result, and in the way of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forged {
    /// Stream.
    pub stream: String,
    /// Sequence there.
    pub sequence: u64,
    /// What contradicts.
    pub failure: Failure,
}

/// Queues, ledger, state, claims and facts.
pub trait Broker: Send + Sync {
    /// The next message of a stage that has one queue; waits up to `wait`.
    fn next(&self, stage: Stage, wait: Duration) -> PortFuture<'_, Option<Delivered>>;
    /// A task of that lane and group, if one is queued; never waits.
    fn next_task(&self, lane: Lane, group: Group) -> PortFuture<'_, Option<Delivered>>;
    /// Returns when a task was released to any lane since the last call, or after `wait` at the latest.
    fn task_hint(&self, wait: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
    /// Returns when it was heard that an order was cancelled. Only a hint: state decides, and not every one is heard.
    fn cancel_hint<'a>(
        &'a self,
        order: &'a OrderId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
    /// The next ledger entry that no publisher has settled yet; waits up to `wait`.
    fn next_entry(&self, wait: Duration) -> PortFuture<'_, Option<Delivered>>;

    /// The next word of the broker that it gave a message up; waits up to `wait`.
    fn next_advisory(&self, wait: Duration) -> PortFuture<'_, Option<Delivered>>;
    /// Every consumer of a work queue that has lost sight of messages, with the messages it may be.
    fn lost_sight(&self) -> PortFuture<'_, Vec<LostSight>>;
    /// The message at that place, from the leader.
    fn stored<'a>(&'a self, stream: &'a str, sequence: u64) -> PortFuture<'a, Option<Stored>>;
    /// Removes the message at that place; removing what is not there is fine.
    fn remove<'a>(&'a self, stream: &'a str, sequence: u64) -> PortFuture<'a, ()>;
    /// Puts a message into its stream again, byte for byte, and takes it from its old place: for the broker it is new.
    fn renew<'a>(&'a self, stored: &'a Stored) -> PortFuture<'a, ()>;
    /// An answer of the leader, whatever it is.
    fn check(&self) -> PortFuture<'_, ()>;

    /// Queues a task. `Taken`: it is queued already.
    fn release<'a>(&'a self, task: &'a EncodeTask) -> PortFuture<'a, WriteOnce>;
    /// Asks a stage to look at an order. `Taken`: that is queued already.
    fn ask<'a>(&'a self, stage: Stage, order: &'a OrderId) -> PortFuture<'a, WriteOnce>;
    /// Asks for an evaluation of an order.
    fn evaluate<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, WriteOnce> {
        self.ask(Stage::Publish, order)
    }
    /// Writes a part of an open upload to its log, once. `Taken`: another writes this upload.
    fn log_part<'a>(&'a self, part: &'a LoggedPart) -> PortFuture<'a, WriteOnce>;
    /// Removes the log of an upload.
    fn forget_parts<'a>(&'a self, video: &'a VideoId) -> PortFuture<'a, ()>;
    /// Announces a finished upload.
    fn announce_upload<'a>(&'a self, upload: &'a Uploaded) -> PortFuture<'a, ()>;
    /// Whether the message with this sequence is still in ENCODE.
    fn is_queued(&self, sequence: u64) -> PortFuture<'_, bool>;

    /// The ledger entry of a finished task, from the leader. One that contradicts its subject is none.
    fn entry<'a>(&'a self, order: &'a OrderId, task: TaskId) -> PortFuture<'a, Option<Entry>>;
    /// All ledger entries of an order (checkpoints included) with a stream sequence above `after`, with the highest sequence
    /// seen; from the leader. Those that contradict their subjects are left out.
    fn entries<'a>(&'a self, order: &'a OrderId, after: u64) -> PortFuture<'a, (Vec<Entry>, u64)>;
    /// How many ledger entries an order has (checkpoints included), from the leader.
    fn entry_count<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, u64>;
    /// Removes the entry of a finished task, which is then to be done again; its checkpoints stay.
    fn forget_entry<'a>(&'a self, order: &'a OrderId, task: TaskId) -> PortFuture<'a, ()>;
    /// Messages in the ledger of an order that contradict their subjects; from the leader.
    fn forged<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, Vec<Forged>>;
    /// Writes an entry once.
    fn write_entry<'a>(&'a self, entry: &'a Entry) -> PortFuture<'a, WriteOnce>;
    /// Removes all entries and claims of an order.
    fn forget<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, ()>;

    /// The state of a video, from the leader.
    fn video<'a>(&'a self, id: &'a VideoId) -> PortFuture<'a, Option<Versioned<Video>>>;
    /// Creates the state of a video. `Taken`: there is one.
    fn create_video<'a>(&'a self, video: &'a Video) -> PortFuture<'a, WriteOnce>;
    /// Compare-and-set of the state of a video.
    fn swap_video<'a>(&'a self, video: &'a Video, revision: u64) -> PortFuture<'a, Swap>;
    /// Removes the state of a video that was deleted: nothing of it is left.
    fn remove_video<'a>(&'a self, id: &'a VideoId) -> PortFuture<'a, ()>;
    /// Removes the state of a video that cannot be read, and what is on record of its orders. `false`: it can be read, or only by a newer
    /// program, or there is none.
    fn discard_video<'a>(&'a self, id: &'a VideoId) -> PortFuture<'a, bool>;
    /// Ids of all videos, ascending.
    fn videos(&self) -> PortFuture<'_, Vec<VideoId>>;
    /// States of videos that were written with a revision above `after`, some at a time; from the leader.
    fn changes(&self, after: u64) -> PortFuture<'_, Changes>;

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

    /// Publishes a fact, once. `Taken`: it is published already, which is as good.
    fn announce<'a>(
        &'a self,
        order: &'a OrderId,
        known: &'a Known,
        body: FactBody,
    ) -> PortFuture<'a, WriteOnce>;
}

/// Dead letters: buried by the stages, replayed or discarded by people.
pub trait DeadLetters: Send + Sync {
    /// Buries a letter, once for each original message; gives its sequence.
    fn bury<'a>(&'a self, letter: &'a DeadLetter) -> PortFuture<'a, u64>;
    /// Letters with a sequence above `after`, ascending, at most `limit`.
    fn letters(&self, after: u64, limit: usize) -> PortFuture<'_, Vec<Buried>>;
    /// The letter with that sequence.
    fn letter(&self, sequence: u64) -> PortFuture<'_, Option<Buried>>;
    /// The next letter that the hook was not called about yet; waits up to `wait`. The sequence of the delivery is the letter's.
    fn next_letter(&self, wait: Duration) -> PortFuture<'_, Option<Delivered>>;
    /// Publishes the body to its original subject, as a person would. `Taken`: it waits there already. The letter stays.
    fn replay<'a>(&'a self, buried: &'a Buried) -> PortFuture<'a, WriteOnce>;
    /// Removes a letter. `false`: there is none with that sequence.
    fn discard(&self, sequence: u64) -> PortFuture<'_, bool>;
}

/// Whoever is called about dead letters, outside of Jetreel.
pub trait Hook: Send + Sync {
    /// Calls, with a document in JSON. `key` is the same in every call about one letter. An error means that the call was not taken.
    fn call<'a>(&'a self, key: &'a str, document: Bytes) -> PortFuture<'a, ()>;
}

/// What the reconciler sees of the queues as a whole, which no other stage does. All of it from the leaders.
pub trait Survey: Send + Sync {
    /// States with a revision above `after`; reads at most `limit` documents.
    fn states(&self, after: u64, limit: usize) -> PortFuture<'_, States>;
    /// Messages of a stage that wait or are in hand.
    fn lag(&self, stage: Stage) -> PortFuture<'_, u64>;
    /// What the stream of dead letters holds.
    fn dead_letters(&self) -> PortFuture<'_, Room>;
    /// Since when states are kept, seconds since the Unix epoch: nothing can be said of what is older.
    fn states_since(&self) -> PortFuture<'_, i64>;
    /// How far the consumer of uploads is.
    fn uploads_position(&self) -> PortFuture<'_, Position>;
    /// When the newest part of an upload was logged, seconds since the Unix epoch; `None` where its log is empty.
    fn newest_part<'a>(&'a self, video: &'a VideoId) -> PortFuture<'a, Option<i64>>;
    /// Videos whose uploads have a log.
    fn uploads_on_record(&self) -> PortFuture<'_, BTreeSet<VideoId>>;
    /// Stream sequence of the newest announcement of an order's upload.
    fn announced_upload<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, Option<u64>>;
    /// Tasks of an order in any lane, waiting or in hand.
    fn queued_tasks<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, BTreeSet<TaskId>>;
    /// Tasks of an order that have a ledger entry.
    fn finished_tasks<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, BTreeSet<TaskId>>;
    /// Orders that have ledger entries, checkpoints or claims.
    fn orders_on_record(&self) -> PortFuture<'_, BTreeSet<OrderId>>;
    /// The reconciler's lease.
    fn leadership(&self) -> PortFuture<'_, Option<Versioned<Leadership>>>;
    /// Compare-and-set of the reconciler's lease; `revision` 0 creates it.
    fn swap_leadership<'a>(
        &'a self,
        leadership: &'a Leadership,
        revision: u64,
    ) -> PortFuture<'a, Swap>;
}

/// What cannot be understood of a node.
#[derive(Debug, Clone)]
pub struct OddWord {
    /// Which node.
    pub id: String,
    /// When it was said, by the broker's clock, seconds since the Unix epoch.
    pub at: i64,
    /// Why it cannot be understood.
    pub failure: Failure,
}

/// What nodes said.
#[derive(Debug, Clone, Default)]
pub struct NodeReports {
    /// Each with the id of its node.
    pub words: Vec<(String, Presence)>,
    /// Words that are there and cannot be understood.
    pub unreadable: Vec<OddWord>,
    /// Up to where it was read.
    pub read: u64,
    /// The bucket, as it was before it was read.
    pub extent: Extent,
}

/// What nodes say of themselves. It vanishes when it was not said again for long.
pub trait Nodes: Send + Sync {
    /// Says it of the node `id`, in place of what was said of it before.
    fn tell<'a>(&'a self, id: &'a str, presence: &'a Presence) -> PortFuture<'a, ()>;
    /// Takes back what was said of the node `id`.
    fn leave<'a>(&'a self, id: &'a str) -> PortFuture<'a, ()>;
    /// What was said after the place `after` (0: all of it), from the leader; at most `limit` words. Of a node only its last word is
    /// kept.
    fn said(&self, after: u64, limit: usize) -> PortFuture<'_, NodeReports>;
}

/// The body of a fact, self-sufficient for subscribers.
#[derive(Debug, Clone, PartialEq)]
pub struct FactBody {
    /// The fact.
    pub fact: Fact,
    /// The state it was taken from.
    pub video: Video,
}

/// A write in progress. Dropped without `finish`, it leaves nothing that anybody refers to.
pub trait ObjectWriter: Send {
    /// Appends.
    fn write(&mut self, bytes: Bytes) -> PortFuture<'_, ()>;
    /// Closes and syncs; gives size and hash of what was written.
    fn finish(self: Box<Self>) -> PortFuture<'static, Object>;
    /// Gives up and removes what was written.
    fn abort(self: Box<Self>) -> PortFuture<'static, ()>;
}

/// Objects.
pub trait Store: Send + Sync {
    /// Bytes of an object; fewer than asked for only at its end.
    fn read<'a>(&'a self, key: &'a str, range: Range<u64>) -> PortFuture<'a, Bytes>;
    /// A whole (small) object.
    fn read_all<'a>(&'a self, key: &'a str) -> PortFuture<'a, Bytes>;
    /// Starts an object.
    fn writer<'a>(&'a self, key: &'a str) -> PortFuture<'a, Box<dyn ObjectWriter>>;
    /// Writes a small object.
    fn write<'a>(&'a self, key: &'a str, bytes: Bytes) -> PortFuture<'a, Object>;
    /// Size of an object; `None` where there is none.
    fn size<'a>(&'a self, key: &'a str) -> PortFuture<'a, Option<u64>>;
    /// Writes a small object where there is none. `Taken`: there is one.
    fn create<'a>(&'a self, key: &'a str, bytes: Bytes) -> PortFuture<'a, WriteOnce>;
    /// Removes an object; removing what is not there is fine.
    fn delete<'a>(&'a self, key: &'a str) -> PortFuture<'a, ()>;
    /// Starts a walk over every object whose key begins with the folder `prefix`, which ends with `/` (or is empty: all). In no
    /// particular order; what is written or removed meanwhile may or may not be met.
    fn walk<'a>(&'a self, prefix: &'a str) -> PortFuture<'a, Box<dyn Walk>>;
}

/// An object as a walk meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// Key.
    pub key: String,
    /// Size.
    pub bytes: u64,
    /// When it was last written, by the store's clock, seconds since the Unix epoch.
    pub modified: Option<i64>,
}

/// A walk over a store, page by page; memory does not grow with it.
pub trait Walk: Send {
    /// The next `limit` objects; fewer only at the end.
    fn page(&mut self, limit: usize) -> PortFuture<'_, Vec<Met>>;
    /// Folders that could not be read so far: of keys that begin so nothing is known. Few; where many cannot, the walk fails,
    /// and this tells nothing any more.
    fn unread(&self) -> &[String];
}

/// What a codec process can read: stored parts that together are one object. The list of an original is shared by all its readers.
#[derive(Debug, Clone, Default)]
pub struct Readable {
    /// The parts in order.
    pub parts: Arc<PartList>,
}

impl Readable {
    /// One stored object.
    #[must_use]
    pub fn object(object: &Object) -> Self {
        Self { parts: Arc::new(PartList::one(&object.key, object.bytes)) }
    }

    /// Size in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.parts.bytes()
    }
}

/// Limits that the parent of a codec process enforces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProcessBudget {
    /// Wall clock of the whole job.
    pub wall: Duration,
    /// CPU time of the whole job.
    pub cpu: Duration,
    /// Longest time without progress while the parent waits for the process.
    pub silence: Duration,
    /// Bytes of all frames but reads, with [`jetreel_domain::codec::budget::FRAME_COST`] for each.
    pub output_bytes: u64,
    /// Address space.
    pub memory_bytes: u64,
}

impl From<ProcessLimits> for ProcessBudget {
    fn from(limits: ProcessLimits) -> Self {
        Self {
            wall: Duration::from_secs_f64(limits.wall_seconds),
            cpu: Duration::from_secs_f64(limits.cpu_seconds),
            silence: Duration::from_secs_f64(limits.silence_seconds),
            output_bytes: limits.output_bytes,
            memory_bytes: limits.memory_bytes,
        }
    }
}

/// A running codec process. Dropped, its whole process group is killed.
pub trait CodecSession: Send {
    /// The next frame that is not a read (reads are answered inside), and that the job permits
    /// ([`jetreel_domain::codec::contract::Contract`]). After [`FromCodec::Done`] the process is reaped; a failure report, a death, a
    /// breach or a spent budget is the error.
    fn next(&mut self) -> PortFuture<'_, FromCodec>;
    /// CPU seconds of the process, user and system; complete once `next` gave its last frame.
    fn cpu_seconds(&self) -> f64;
}

/// Codec processes.
pub trait Codec: Send + Sync {
    /// Starts a process on a job. `objects` are what the job may read, by index; the sizes in `job.objects` are filled in here.
    fn start(
        &self,
        job: Job,
        objects: Vec<Readable>,
        budget: ProcessBudget,
    ) -> PortFuture<'_, Box<dyn CodecSession>>;
    /// The build that [`FromCodec::Hello`] names; asked once and kept.
    fn build(&self) -> PortFuture<'_, String>;
}

/// Time and chance, so that stages can be run with others.
pub trait Environment: Send + Sync {
    /// Seconds since the Unix epoch.
    fn now(&self) -> i64;
    /// A fresh random UUID.
    fn uuid(&self) -> String;
    /// A random number from 0 to 1.
    fn chance(&self) -> f64;
    /// Something observable happened.
    fn emit(&self, event: Event);
}

/// All ports together, handed to every actor.
#[derive(Clone)]
pub struct Ports {
    /// Queues and state.
    pub broker: Arc<dyn Broker>,
    /// Dead letters.
    pub letters: Arc<dyn DeadLetters>,
    /// Objects.
    pub store: Arc<dyn Store>,
    /// Codec processes.
    pub codec: Arc<dyn Codec>,
    /// Time, chance, telemetry.
    pub environment: Arc<dyn Environment>,
}
