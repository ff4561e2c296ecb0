//! Names that must match on both sides of the wire: streams, consumers, buckets, headers.
//!
//! Their limits and subjects are in `streams.toml`. A test checks that every name here is declared there.

use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::id::Group;
use jetreel_domain::order::lane::Lane;
use jetreel_domain::upkeep::leadership::Office;

/// Stream of the part logs of open uploads.
pub const PARTS: &str = "PARTS";
/// Stream of completed uploads, a log.
pub const UPLOADS: &str = Stage::Ingest.about().stream;
/// Stream of released tasks.
pub const ENCODE: &str = Stage::Encode.about().stream;
/// Stream of ledger entries: finished tasks and checkpoints.
pub const LEDGER: &str = "LEDGER";
/// Stream of requests to evaluate an order.
pub const PUBLISH: &str = Stage::Publish.about().stream;
/// Stream of facts for subscribers.
pub const PROGRESS: &str = "PROGRESS";
/// Stream with one message per webhook call or mail.
pub const DELIVERIES: &str = "DELIVERIES";
/// Stream of facts that are replayed for one subscriber.
pub const REDO: &str = "REDO";
/// Stream of dead letters.
pub const DLQ: &str = "DLQ";

/// Stream of the broker's advisories about messages that it gave up.
pub const ADVISORY: &str = "ADVISORY";

/// Consumer of ADVISORY.
pub const DEADLETTER_CONSUMER: &str = "deadletter";
/// Consumer of DLQ. Only needed if a dead-letter hook is configured.
pub const HOOK_CONSUMER: &str = "hook";
/// Consumer of UPLOADS.
pub const INGEST_CONSUMER: &str = Stage::Ingest.about().consumer;
/// Consumer of LEDGER.
pub const PUBLISH_CONSUMER: &str = "publish";
/// Consumer of PUBLISH.
pub const EVALUATE_CONSUMER: &str = Stage::Publish.about().consumer;

/// Bucket of the states of videos.
pub const VIDEOS_BUCKET: &str = "videos";
/// Bucket of claims.
pub const CLAIMS_BUCKET: &str = "claims";

/// Bucket of node reports, of the leases of the offices and of the scaler's wish.
pub const NODES_BUCKET: &str = "nodes";
/// Key of the reconciler's lease in the bucket `nodes`.
pub const RECONCILER_KEY: &str = Office::Reconciler.as_str();

/// Key of the scaler's wish in the bucket `nodes`.
pub const WISH_KEY: &str = "wish";

/// Bucket of the mark that names the broker's store.
pub const STORE_BUCKET: &str = "store";
/// Key of the mark in the bucket `store`.
pub const STORE_KEY: &str = "mark";

/// Header with the id of a publish by Jetreel to a work queue. A message without it is a replay by hand.
pub const RELEASE_HEADER: &str = "Jetreel-Release";
/// Header of a message in a bucket that is no document.
pub const OPERATION_HEADER: &str = "KV-Operation";
/// Value of that header for a deleted key.
pub const DELETED: &str = "DEL";
/// Header with the id of a write-once write, by which its writer recognises the message.
pub const WRITER_HEADER: &str = "Jetreel-Writer";

/// The consumer of a group in a lane.
#[must_use]
pub fn encode_consumer(lane: Lane, group: Group) -> String {
    Stage::Encode.queue(lane, group).consumer
}

/// The stream behind a bucket.
#[must_use]
pub fn bucket_stream(bucket: &str) -> String {
    format!("KV_{bucket}")
}

/// Key of a node report in the bucket `nodes`.
#[must_use]
pub fn node_key(id: &str) -> String {
    format!("node.{id}")
}

/// The subject of a key in a bucket.
#[must_use]
pub fn bucket_subject(bucket: &str, key: &str) -> String {
    format!("$KV.{bucket}.{key}")
}

/// Streams that stages read from or write to.
#[must_use]
pub fn required_streams() -> Vec<&'static str> {
    let queues = Stage::ALL.into_iter().map(|stage| stage.about().stream);
    queues.chain([PARTS, LEDGER, PROGRESS, DLQ, ADVISORY]).collect()
}

/// Buckets that stages read and write.
pub const REQUIRED_BUCKETS: [&str; 4] = [VIDEOS_BUCKET, CLAIMS_BUCKET, NODES_BUCKET, STORE_BUCKET];

/// Every durable consumer that a stage pulls from, with its stream.
#[must_use]
pub fn required_consumers() -> Vec<(&'static str, String)> {
    let queues = Stage::ALL.into_iter().flat_map(Stage::queues);
    let others = [(LEDGER, PUBLISH_CONSUMER), (ADVISORY, DEADLETTER_CONSUMER)];
    let others = others.map(|(stream, consumer)| (stream, consumer.to_owned()));
    queues.map(|queue| (queue.stream, queue.consumer)).chain(others).collect()
}
