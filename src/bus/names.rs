//! Names that must be the same on both sides of the wire: streams, consumers, buckets, headers.
//!
//! Limits and subjects of these stand in `streams.toml`; a test holds that everything named here is declared there.

use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::id::Group;
use jetreel_domain::order::lane::Lane;

/// The logs of open uploads.
pub const PARTS: &str = "PARTS";
/// The log of completed uploads.
pub const UPLOADS: &str = Stage::Ingest.about().stream;
/// Released tasks.
pub const ENCODE: &str = Stage::Encode.about().stream;
/// Finished tasks and checkpoints.
pub const LEDGER: &str = "LEDGER";
/// "Evaluate this order."
pub const PUBLISH: &str = Stage::Publish.about().stream;
/// Facts for subscribers.
pub const PROGRESS: &str = "PROGRESS";
/// One webhook or mail per message.
pub const DELIVERIES: &str = "DELIVERIES";
/// Facts replayed for one subscriber.
pub const REDO: &str = "REDO";
/// Dead letters.
pub const DLQ: &str = "DLQ";

/// Deliveries that the broker gave up.
pub const ADVISORY: &str = "ADVISORY";

/// Reads ADVISORY.
pub const DEADLETTER_CONSUMER: &str = "deadletter";
/// Reads DLQ, where somebody is called about dead letters; nobody else misses it.
pub const HOOK_CONSUMER: &str = "hook";
/// Reads UPLOADS.
pub const INGEST_CONSUMER: &str = Stage::Ingest.about().consumer;
/// Reads LEDGER.
pub const PUBLISH_CONSUMER: &str = "publish";
/// Reads PUBLISH.
pub const EVALUATE_CONSUMER: &str = Stage::Publish.about().consumer;

/// State of videos and their orders.
pub const VIDEOS_BUCKET: &str = "videos";
/// Who runs a task, and how often it was tried.
pub const CLAIMS_BUCKET: &str = "claims";

/// What nodes say of themselves, and which of them leads.
pub const NODES_BUCKET: &str = "nodes";
/// Key of the reconciler's lease in the bucket `nodes`.
pub const RECONCILER_KEY: &str = "reconciler";

/// Which store belongs to the broker.
pub const STORE_BUCKET: &str = "store";
/// Key of that in the bucket `store`.
pub const STORE_KEY: &str = "mark";

/// Marks what Jetreel itself published to a work queue: the id of that publish. A message without it is a replay by hand.
pub const RELEASE_HEADER: &str = "Jetreel-Release";
/// Says that a message of a bucket is none of its documents.
pub const OPERATION_HEADER: &str = "KV-Operation";
/// The word in that header for a key that was deleted.
pub const DELETED: &str = "DEL";
/// Id of one write of a write-once message, by which its writer knows it again.
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

/// Key of what a node says of itself, in the bucket `nodes`.
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
