//! What an order costs the broker: requests are counted on the wire, not timed.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::{BTreeMap, BTreeSet};

use async_nats::{Client, Message, Subscriber};
use futures::stream::SelectAll;
use futures::{FutureExt as _, StreamExt as _};
use jetreel_actors::ports::{Ledger as _, Queues as _, Videos as _};
use jetreel_domain::delivery::message::EncodeTask;
use jetreel_domain::id::{OrderId, TaskId};
use jetreel_domain::order::ledger::Entry;
use jetreel_domain::order::state::{Status, Video};

use crate::harness::media::{self, FILM};
use crate::harness::site::{Site, awaited};

/// Short chunks: many tasks.
const MANY: [(&str, &str); 5] = [
    ("PLAN__GOP_SECONDS", "2"),
    ("PLAN__SEGMENT_SECONDS", "2"),
    ("PLAN__CHUNK_SECONDS_MIN", "2"),
    ("PLAN__CHUNK_SECONDS_TARGET", "2"),
    ("PLAN__CHUNK_SECONDS_MAX", "4"),
];

/// An order as it was planned, and all its results.
struct Made {
    planned: Video,
    order: OrderId,
    entries: BTreeMap<TaskId, Vec<Entry>>,
}

/// The results of a video that was really made are written once more, each task's when it is released; a node that only publishes does the
/// rest.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_many_tasks_costs_the_publisher_few_requests() {
    let Some(film) = media::made(FILM) else { return };
    let site = Site::start().await;
    let made = make(&site, &film).await;
    let (tasks, entries) = (made.entries.len(), made.entries.values().map(Vec::len).sum::<usize>());
    assert!(tasks >= 16, "{tasks}");
    plan_again(&site, &made).await;
    let mut facts = site.facts(&made.order).await;

    let mut wire = Wire::tap(site.client().await).await;
    let _node = site.node("publisher", &[("NODE__ROLES", "publish")]).await;
    // The order has its turn as soon as the node knows the line.
    let (mut written, mut queue) = (BTreeSet::new(), wire.begin().await);
    while written.len() < tasks {
        let Some(task) = queue.pop() else {
            queue.extend(wire.released().await);
            continue;
        };
        written.insert(task);
        for entry in &made.entries[&task] {
            site.bus.write_entry(entry).await.unwrap();
        }
    }
    facts.until("completed").await;
    let purged = |kind: &str| kind == "purge KV_claims";
    awaited("the order is forgotten", wire.until(purged)).await;
    let counts = wire.so_far().await;
    let count = |kind: &str| counts.get(kind).copied().unwrap_or(0);

    assert_eq!(count("release"), tasks, "each once: {counts:?}");
    assert_eq!(count("get ENCODE"), 0, "{counts:?}");
    // One read of the ledger when the node meets the order, one count before it is published.
    assert!(count("batch LEDGER") + count("get LEDGER") <= 3, "{counts:?}");
    assert_eq!(count("info LEDGER"), 1, "{counts:?}");
    assert!(count("ack") <= entries, "{counts:?}");
    assert!(count("get KV_videos") <= entries, "{counts:?}");
    // Playable, two tiers and PUBLISHING, each noted; the last one with COMPLETED.
    assert!(count("swap") <= 9, "{counts:?}");
    assert_eq!((count("purge LEDGER"), count("purge KV_claims")), (1, 1), "{counts:?}");
    let timed = |kind: &str| kind.starts_with("pull") || kind.starts_with("other");
    let all: usize = counts.iter().filter(|(kind, _)| !timed(kind)).map(|(_, count)| count).sum();
    assert!(all <= 3 * entries + 30, "{all} for {entries} entries: {counts:?}");
}

/// Makes a video, and gives its state as planned with all entries.
async fn make(site: &Site, film: &std::path::Path) -> Made {
    let (mut states, mut written) = (site.states().await, site.written().await);
    let mut node = site.node("maker", &MANY).await;
    let order = node.submit(film).await;
    site.facts(&order).await.until("completed").await;
    let encoding = |video: &Video| video.orders[0].status == Status::Encoding;
    let planned = states.so_far().await.into_iter().find(encoding).unwrap();
    let mut entries = BTreeMap::<TaskId, Vec<Entry>>::new();
    for entry in written.so_far().await {
        entries.entry(entry.task).or_default().push(entry);
    }
    node.kill();
    Made { planned, order, entries }
}

/// Puts the broker back to where nothing of the order was done.
async fn plan_again(site: &Site, Made { planned, order, .. }: &Made) {
    let context = async_nats::jetstream::new(site.client().await);
    for stream in ["PROGRESS", "ENCODE", "LEDGER", "UPLOADS"] {
        context.get_stream(stream).await.unwrap().purge().await.unwrap();
    }
    site.bus.forget(order).await.unwrap();
    site.bus.remove_video(&order.video).await.unwrap();
    site.bus.create_video(planned).await.unwrap();
    site.bus.check().await.unwrap();
}

/// Requests that anybody makes.
struct Wire {
    client: Client,
    heard: SelectAll<Subscriber>,
    counts: BTreeMap<String, usize>,
}

impl Wire {
    async fn tap(client: Client) -> Self {
        let mut heard = SelectAll::new();
        for subjects in ["$JS.API.>", "$JS.ACK.>", "$KV.videos.>", "video.encode.>"] {
            heard.push(client.subscribe(subjects).await.unwrap());
        }
        heard.push(client.subscribe("video.transcodes.progress.>").await.unwrap());
        client.flush().await.unwrap();
        Self { client, heard, counts: BTreeMap::new() }
    }

    fn count(&mut self, message: &Message) -> String {
        let kind = kind(&message.subject);
        *self.counts.entry(kind.clone()).or_default() += 1;
        kind
    }

    /// Forgets what the node requested as it started, and gives the tasks that it released meanwhile.
    async fn begin(&mut self) -> Vec<TaskId> {
        self.client.flush().await.unwrap();
        let mut released = Vec::new();
        while let Some(Some(message)) = self.heard.next().now_or_never() {
            released.extend(task_in(&message));
        }
        self.counts = BTreeMap::from([("release".to_owned(), released.len())]);
        released
    }

    /// The task that is released next. `None` for any other request.
    async fn released(&mut self) -> Option<TaskId> {
        let message = awaited("a release", self.heard.next()).await.unwrap();
        self.count(&message);
        task_in(&message)
    }

    async fn until(&mut self, wanted: impl Fn(&str) -> bool) {
        loop {
            let message = self.heard.next().await.unwrap();
            if wanted(&self.count(&message)) {
                return;
            }
        }
    }

    /// Counts by kind since the last call.
    async fn so_far(&mut self) -> BTreeMap<String, usize> {
        self.client.flush().await.unwrap();
        while let Some(Some(message)) = self.heard.next().now_or_never() {
            self.count(&message);
        }
        std::mem::take(&mut self.counts)
    }
}

/// The task that a request releases.
fn task_in(message: &Message) -> Option<TaskId> {
    let releases = kind(&message.subject) == "release";
    releases.then(|| rmp_serde::from_slice::<EncodeTask>(&message.payload).unwrap().task)
}

/// What a request is.
fn kind(subject: &str) -> String {
    let tokens: Vec<&str> = subject.split('.').collect();
    match tokens[..] {
        ["$JS", "API", "CONSUMER", "MSG", "NEXT", stream, ..] => format!("pull {stream}"),
        ["$JS", "API", "STREAM", "MSG", "GET", stream] => format!("get {stream}"),
        ["$JS", "API", "DIRECT", "GET", stream, ..] => format!("batch {stream}"),
        ["$JS", "API", "STREAM", "INFO", stream] => format!("info {stream}"),
        ["$JS", "API", "STREAM", "PURGE", stream] => format!("purge {stream}"),
        ["$JS", "ACK", ..] => "ack".to_owned(),
        ["$KV", ..] => "swap".to_owned(),
        ["video", "encode", ..] => "release".to_owned(),
        ["video", "transcodes", ..] => "fact".to_owned(),
        _ => format!("other {subject}"),
    }
}
