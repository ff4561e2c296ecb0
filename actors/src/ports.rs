//! The ports of the stages: traits for broker, store, codec and environment, implemented by the shell.
//!
//! Nothing here names a client library: no broker, store, metrics or codec library.

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
use jetreel_domain::delivery::stage::Unit;
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
pub use crate::reading::{Changed, Changes, Extent, States};

/// Return type of the methods of the ports.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// A document with the revision it was read at.
#[derive(Debug, Clone)]
pub struct Versioned<T> {
    pub value: T,
    /// Revision in the bucket.
    pub revision: u64,
}

/// Result of a compare-and-set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// The write succeeded, with this revision.
    Done(u64),
    /// Another writer changed the document: read it again.
    Conflict,
}

/// Result of a write-once write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOnce {
    /// This writer's message was stored.
    Mine,
    /// A message of another writer was stored before.
    Taken,
}

/// A delivered message. Settled exactly once, by one of `ack`, `hand_back` or `terminate`.
pub trait Delivery: Send + Sync {
    /// Body of the message.
    fn body(&self) -> &[u8];
    /// Subject that the message was published to.
    fn subject(&self) -> &str;
    /// Stream of the message.
    fn stream(&self) -> &str;
    /// Sequence in the stream.
    fn sequence(&self) -> u64;
    /// Number of deliveries of the message, this one included.
    fn delivered(&self) -> u64;
    /// Messages of the consumer that were not delivered yet.
    fn pending(&self) -> u64;
    /// Headers of the message.
    fn headers(&self) -> Vec<(String, String)>;
    /// Whether Jetreel published the message itself. `false` for a message that an operator replays by hand.
    fn is_released(&self) -> bool;
    /// Acknowledges the message. Sent as a request: `Ok` means that the server has it.
    fn ack(&self) -> PortFuture<'_, ()>;
    /// Asks for another delivery after this delay (a negative acknowledgement).
    fn hand_back(&self, after: Duration) -> PortFuture<'_, ()>;
    /// Ends all deliveries of the message.
    fn terminate(&self, reason: &str) -> PortFuture<'_, ()>;
    /// Renews the lease (an acknowledgement in progress). Sent as a request.
    fn renew(&self) -> PortFuture<'_, ()>;
}

/// A message in its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub stream: String,
    /// Sequence in the stream.
    pub sequence: u64,
    /// Subject that the message was published to.
    pub subject: String,
    pub body: Bytes,
    pub headers: Vec<(String, String)>,
    /// Whether Jetreel published the message itself. `false` for a message that an operator replays by hand.
    pub released: bool,
}

/// A consumer of a work queue that accounts for fewer messages than its queue holds: it lost messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostSight {
    /// Name of the consumer.
    pub name: String,
    /// Stream of the queue.
    pub stream: String,
    /// Messages that were delivered once and are still in the stream, ascending by sequence: the lost messages, and those in hand or
    /// waiting for another attempt.
    pub suspects: Vec<u64>,
    /// How many suspects are in hand or wait for another attempt.
    pub in_hand: u64,
}

/// A delivery in hand.
pub type Delivered = Box<dyn Delivery>;

/// A message in the ledger that contradicts its subject. It is no result, and it blocks the result on its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forged {
    pub stream: String,
    /// Sequence in the stream.
    pub sequence: u64,
    /// The contradiction.
    pub failure: Failure,
}

/// Queues, ledger, states, claims and facts.
pub trait Broker: Send + Sync {
    /// The next completed upload; waits up to `wait`.
    fn next_upload(&self, wait: Duration) -> PortFuture<'_, Option<Delivered>>;
    /// A task of that lane and group, or `None` if none is queued. Does not wait.
    fn next_task(&self, lane: Lane, group: Group) -> PortFuture<'_, Option<Delivered>>;
    /// Returns after the next release of a task to any lane, or after `wait`. A release since the last call counts.
    fn task_hint(&self, wait: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
    /// Returns when a notice arrives that the order was cancelled. The notice is a hint and may be lost; the state decides.
    fn cancel_hint<'a>(
        &'a self,
        order: &'a OrderId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
    /// The next ledger entry that no publisher has settled; waits up to `wait`.
    fn next_entry(&self, wait: Duration) -> PortFuture<'_, Option<Delivered>>;
    /// The next request to evaluate an order; waits up to `wait`.
    fn next_evaluation(&self, wait: Duration) -> PortFuture<'_, Option<Delivered>>;

    /// The next advisory of the broker that it gave up a message; waits up to `wait`.
    fn next_advisory(&self, wait: Duration) -> PortFuture<'_, Option<Delivered>>;
    /// Every consumer of a work queue that lost messages, with the messages that may be lost.
    fn lost_sight(&self) -> PortFuture<'_, Vec<LostSight>>;
    /// The message with this sequence, from the leader.
    fn stored<'a>(&'a self, stream: &'a str, sequence: u64) -> PortFuture<'a, Option<Stored>>;
    /// Removes the message with this sequence. It is no error if there is none.
    fn remove<'a>(&'a self, stream: &'a str, sequence: u64) -> PortFuture<'a, ()>;
    /// Publishes a message again, byte for byte, and removes the old one. The broker counts its deliveries anew.
    fn renew<'a>(&'a self, stored: &'a Stored) -> PortFuture<'a, ()>;
    /// Asks the leader for any answer, to prove that the broker works.
    fn check(&self) -> PortFuture<'_, ()>;

    /// Queues a task. `Taken` if the task is queued already.
    fn release<'a>(&'a self, task: &'a EncodeTask) -> PortFuture<'a, WriteOnce>;
    /// Queues an evaluation of an order. `Taken` if one is queued already.
    fn evaluate<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, WriteOnce>;
    /// Writes a part of an open upload to its log, once. `Taken` if another writer continues this upload.
    fn log_part<'a>(&'a self, part: &'a LoggedPart) -> PortFuture<'a, WriteOnce>;
    /// Removes the part log of an upload.
    fn forget_parts<'a>(&'a self, video: &'a VideoId) -> PortFuture<'a, ()>;
    /// Announces a completed upload.
    fn announce_upload<'a>(&'a self, upload: &'a Uploaded) -> PortFuture<'a, ()>;
    /// Whether the message with this sequence is still in ENCODE.
    fn is_queued(&self, sequence: u64) -> PortFuture<'_, bool>;

    /// The ledger entry of a finished task, from the leader. `None` also for an entry that contradicts its subject.
    fn entry<'a>(&'a self, order: &'a OrderId, task: TaskId) -> PortFuture<'a, Option<Entry>>;
    /// All ledger entries of an order, checkpoints included, with a stream sequence above `after`, and the highest sequence read; from the
    /// leader. Entries that contradict their subjects are left out.
    fn entries<'a>(&'a self, order: &'a OrderId, after: u64) -> PortFuture<'a, (Vec<Entry>, u64)>;
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

    /// Publishes a fact once. `Taken` if it is published already, which is no error.
    fn announce<'a>(
        &'a self,
        order: &'a OrderId,
        known: &'a Known,
        body: FactBody,
    ) -> PortFuture<'a, WriteOnce>;
}

/// Dead letters. The stages bury them; operators replay or discard them.
pub trait DeadLetters: Send + Sync {
    /// Buries a letter once for each original message. Returns its sequence.
    fn bury<'a>(&'a self, letter: &'a DeadLetter) -> PortFuture<'a, u64>;
    /// At most `limit` letters with a sequence above `after`, ascending.
    fn letters(&self, after: u64, limit: usize) -> PortFuture<'_, Vec<Buried>>;
    /// The letter with that sequence.
    fn letter(&self, sequence: u64) -> PortFuture<'_, Option<Buried>>;
    /// The next letter that the hook was not called about; waits up to `wait`. The sequence of the delivery is the letter's.
    fn next_letter(&self, wait: Duration) -> PortFuture<'_, Option<Delivered>>;
    /// Publishes the body to its original subject. `Taken` if it is queued there already. The letter stays.
    fn replay<'a>(&'a self, buried: &'a Buried) -> PortFuture<'a, WriteOnce>;
    /// Removes a letter. `false` if there is none with that sequence.
    fn discard(&self, sequence: u64) -> PortFuture<'_, bool>;
}

/// The operator's webhook for dead letters.
pub trait Hook: Send + Sync {
    /// Calls the webhook with a JSON document. `key` is the same for every call about one letter. An error means that the call failed.
    fn call<'a>(&'a self, key: &'a str, document: Bytes) -> PortFuture<'a, ()>;
}

/// The queues as a whole, as only the reconciler needs them. All reads are from the leaders.
pub trait Survey: Send + Sync {
    /// States with a revision above `after`; reads at most `limit` documents.
    fn states(&self, after: u64, limit: usize) -> PortFuture<'_, States>;
    /// Messages and bytes in the stream of dead letters.
    fn dead_letters(&self) -> PortFuture<'_, Room>;
    /// When the bucket of states was created, in seconds since the Unix epoch. It holds nothing older.
    fn states_since(&self) -> PortFuture<'_, i64>;
    /// Position of the consumer of uploads.
    fn uploads_position(&self) -> PortFuture<'_, Position>;
    /// When the newest part of an upload was logged, in seconds since the Unix epoch; `None` if its log is empty.
    fn newest_part<'a>(&'a self, video: &'a VideoId) -> PortFuture<'a, Option<i64>>;
    /// Videos whose uploads have a part log.
    fn uploads_on_record(&self) -> PortFuture<'_, BTreeSet<VideoId>>;
    /// Stream sequence of the newest announcement of an order's upload.
    fn announced_upload<'a>(&'a self, order: &'a OrderId) -> PortFuture<'a, Option<u64>>;
    /// Tasks of an order that are queued in any lane, waiting or delivered.
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

/// A node report that cannot be decoded.
#[derive(Debug, Clone)]
pub struct OddWord {
    /// Id of the node.
    pub id: String,
    /// When the node wrote it, by the broker's clock, in seconds since the Unix epoch.
    pub at: i64,
    /// Why it cannot be decoded.
    pub failure: Failure,
}

/// Node reports of one read.
#[derive(Debug, Clone, Default)]
pub struct NodeReports {
    /// Decoded reports with the ids of their nodes.
    pub words: Vec<(String, Presence)>,
    /// Reports that cannot be decoded.
    pub unreadable: Vec<OddWord>,
    /// Revision up to which the bucket was read.
    pub read: u64,
    /// Extent of the bucket before the read.
    pub extent: Extent,
}

/// Node reports. A report expires unless its node renews it.
pub trait Nodes: Send + Sync {
    /// Writes the report of the node `id` in place of its last one.
    fn tell<'a>(&'a self, id: &'a str, presence: &'a Presence) -> PortFuture<'a, ()>;
    /// Removes the report of the node `id`.
    fn leave<'a>(&'a self, id: &'a str) -> PortFuture<'a, ()>;
    /// At most `limit` reports with a revision above `after` (0: all), from the leader. The bucket keeps only the last report of a node.
    fn said(&self, after: u64, limit: usize) -> PortFuture<'_, NodeReports>;
}

/// Body of a fact. It carries the whole state, so subscribers need no other read.
#[derive(Debug, Clone, PartialEq)]
pub struct FactBody {
    pub fact: Fact,
    /// State that holds the fact.
    pub video: Video,
}

/// A write in progress. If it is dropped without `finish`, no document names what it wrote.
pub trait ObjectWriter: Send {
    /// Appends bytes.
    fn write(&mut self, bytes: Bytes) -> PortFuture<'_, ()>;
    /// Closes and syncs the object. Returns its size and hash.
    fn finish(self: Box<Self>) -> PortFuture<'static, Object>;
    /// Removes what was written.
    fn abort(self: Box<Self>) -> PortFuture<'static, ()>;
}

/// The object store.
pub trait Store: Send + Sync {
    /// Bytes of an object. Fewer than `range` only at the object's end.
    fn read<'a>(&'a self, key: &'a str, range: Range<u64>) -> PortFuture<'a, Bytes>;
    /// All bytes of a small object.
    fn read_all<'a>(&'a self, key: &'a str) -> PortFuture<'a, Bytes>;
    /// Begins an object.
    fn writer<'a>(&'a self, key: &'a str) -> PortFuture<'a, Box<dyn ObjectWriter>>;
    /// Writes a small object.
    fn write<'a>(&'a self, key: &'a str, bytes: Bytes) -> PortFuture<'a, Object>;
    /// Size of an object in bytes; `None` if it does not exist.
    fn size<'a>(&'a self, key: &'a str) -> PortFuture<'a, Option<u64>>;
    /// Writes a small object if none exists. `Taken` if one exists.
    fn create<'a>(&'a self, key: &'a str, bytes: Bytes) -> PortFuture<'a, WriteOnce>;
    /// Removes an object. It is no error if it does not exist.
    fn delete<'a>(&'a self, key: &'a str) -> PortFuture<'a, ()>;
    /// Starts a walk over every object whose key begins with `prefix`. The prefix ends with `/`, or is empty for all objects. The order is
    /// undefined. Objects that are written or removed during the walk may be missing.
    fn walk<'a>(&'a self, prefix: &'a str) -> PortFuture<'a, Box<dyn Walk>>;
}

/// An object that a walk met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    pub key: String,
    pub bytes: u64,
    /// When it was last written, by the store's clock, in seconds since the Unix epoch. `None` if the store does not tell.
    pub modified: Option<i64>,
}

/// A walk over the store, page by page, in constant memory.
pub trait Walk: Send {
    /// The next `limit` objects. Fewer only at the end.
    fn page(&mut self, limit: usize) -> PortFuture<'_, Vec<Met>>;
    /// Folders that could not be read so far. The walk met no object below them. If too many folders fail, the walk itself fails instead.
    fn unread(&self) -> &[String];
}

/// Input of a codec process: stored parts that form one object. Readers of the same original share its list.
#[derive(Debug, Clone, Default)]
pub struct Readable {
    /// The parts, in order.
    pub parts: Arc<PartList>,
}

impl Readable {
    /// One stored object as input.
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

/// Limits of a codec process that its parent enforces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProcessBudget {
    /// Wall time of the whole job.
    pub wall: Duration,
    /// CPU time of the whole job.
    pub cpu: Duration,
    /// Longest time without progress while the parent waits for the process.
    pub silence: Duration,
    /// Bytes of all frames except reads. Each frame also counts [`jetreel_domain::codec::budget::FRAME_COST`].
    pub output_bytes: u64,
    /// Address space in bytes.
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

/// A running codec process. Dropping it kills its whole process group.
pub trait CodecSession: Send {
    /// The next frame that the job permits ([`jetreel_domain::codec::contract::Contract`]). Reads are answered inside. After
    /// [`FromCodec::Done`] the process is reaped. A failure report, a death, a breach of the contract or a spent budget is the error.
    fn next(&mut self) -> PortFuture<'_, FromCodec>;
    /// CPU time of the process, user and system, in seconds. Final once `next` returned the last frame.
    fn cpu_seconds(&self) -> f64;
}

/// Starts codec processes.
pub trait Codec: Send + Sync {
    /// Starts a process on a job. `objects` are what the job may read, by index. The sizes in `job.objects` are filled in here.
    fn start(
        &self,
        job: Job,
        objects: Vec<Readable>,
        budget: ProcessBudget,
    ) -> PortFuture<'_, Box<dyn CodecSession>>;
    /// The codec build from [`FromCodec::Hello`]. Read once and cached.
    fn build(&self) -> PortFuture<'_, String>;
}

/// Clock, randomness and telemetry, so that tests can replace them.
pub trait Environment: Send + Sync {
    /// Seconds since the Unix epoch.
    fn now(&self) -> i64;
    /// A fresh random UUID.
    fn uuid(&self) -> String;
    /// A random number in `0.0..=1.0`.
    fn chance(&self) -> f64;
    /// Reports an event.
    fn emit(&self, event: Event);
}

/// All ports, shared by every actor.
#[derive(Clone)]
pub struct Ports {
    /// Queues and state.
    pub broker: Arc<dyn Broker>,
    pub letters: Arc<dyn DeadLetters>,
    /// Objects.
    pub store: Arc<dyn Store>,
    /// Codec processes.
    pub codec: Arc<dyn Codec>,
    /// Time, chance, telemetry.
    pub environment: Arc<dyn Environment>,
}
