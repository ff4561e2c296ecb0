//! A place where nodes work: a broker with its streams, a store, and what can be seen of both from outside.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Subscriber;
use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::jetstream::{self, Message};
use futures::{FutureExt as _, StreamExt as _};
use jetreel::bus::{Bus, names};
use jetreel::store::{OpenDalStore, StoreOptions};
use jetreel_actors::ports::{Ledger, Store as _};
use jetreel_domain::delivery::announcement::Announcement;
use jetreel_domain::delivery::claim::Claim;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::OrderId;
use jetreel_domain::order::ledger::Entry;
use jetreel_domain::output::manifest::Manifest;
use sha2::{Digest as _, Sha256};

use super::nats::Nats;
use super::node::Node;

/// Everything that is awaited comes within this time, or never: far more than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(400);

/// Broker, store and the settings of its nodes.
pub(crate) struct Site {
    nats: Nats,
    /// A connection to look at what is there.
    pub(crate) bus: Arc<Bus>,
    folder: tempfile::TempDir,
    settings: Vec<(String, String)>,
    store: OpenDalStore,
}

impl Site {
    /// A site that stores in a folder.
    pub(crate) async fn start() -> Self {
        Self::start_with(Nats::start().await).await
    }

    /// A site with the given broker, which has no streams yet.
    pub(crate) async fn start_with(nats: Nats) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("media").to_str().unwrap().to_owned();
        let settings = [("STORE__SCHEME", "fs"), ("STORE__ROOT", root.as_str())];
        Self::start_on(nats, folder, &settings, &StoreOptions::fs(root.as_str())).await
    }

    /// A site that stores in a bucket.
    pub(crate) async fn start_on_s3(options: &StoreOptions) -> Self {
        Self::start_on_s3_with(Nats::start().await, options).await
    }

    /// A site with a bucket as store and the given broker.
    pub(crate) async fn start_on_s3_with(nats: Nats, options: &StoreOptions) -> Self {
        let settings = [
            ("STORE__SCHEME", "s3"),
            ("STORE__ROOT", "a/prefix"),
            ("STORE__BUCKET", options.bucket.as_str()),
            ("STORE__ENDPOINT", options.endpoint.as_str()),
            ("STORE__REGION", options.region.as_str()),
            ("STORE__ACCESS_KEY", options.access_key.as_str()),
            ("STORE__SECRET_KEY", options.secret_key.as_str()),
        ];
        let mut options = options.clone();
        options.root = "a/prefix".to_owned();
        Self::start_on(nats, tempfile::tempdir().unwrap(), &settings, &options).await
    }

    async fn start_on(
        nats: Nats,
        folder: tempfile::TempDir,
        store_settings: &[(&str, &str)],
        options: &StoreOptions,
    ) -> Self {
        let (nats, bus) = nats.with_streams().await;
        let common = [
            ("NATS__URL", nats.url()),
            ("HTTP__LISTEN", "127.0.0.1:0"),
            ("PLAN__PRESET", "ultrafast"),
            ("NODE__SLOTS", "1"),
        ];
        let all = common.iter().chain(store_settings);
        let settings = all.map(|(key, value)| setting(key, value)).collect();
        let store = OpenDalStore::open(options).unwrap();
        Self { nats, bus, folder, settings, store }
    }

    /// Starts a node with one slot and additional settings such as `("NODE__ROLES", "encode")`.
    pub(crate) async fn node(&self, name: &str, own: &[(&str, &str)]) -> Node {
        let mut settings = self.settings.clone();
        settings.push(setting("NODE__NAME", name));
        settings.extend(own.iter().map(|(key, value)| setting(key, value)));
        Node::start(self.folder.path(), &settings).await
    }

    /// The same, where a process may have this many descriptors.
    pub(crate) async fn node_within(&self, descriptors: u64, own: &[(&str, &str)]) -> Node {
        let mut settings = self.settings.clone();
        settings.extend(own.iter().map(|(key, value)| setting(key, value)));
        Node::start_within(descriptors, self.folder.path(), &settings).await
    }

    /// A plain client of the broker, to do what any client could.
    pub(crate) async fn client(&self) -> async_nats::Client {
        self.nats.client().await
    }

    /// Puts an object into the store, as an operator would.
    pub(crate) async fn put(&self, key: &str, bytes: Vec<u8>) {
        self.store.write(key, bytes.into()).await.unwrap();
    }

    /// The broker.
    pub(crate) fn nats(&self) -> &Nats {
        &self.nats
    }

    /// The broker, to be ended and started again.
    pub(crate) fn nats_mut(&mut self) -> &mut Nats {
        &mut self.nats
    }

    /// The settings of its nodes, as environment variables.
    pub(crate) fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// A folder for what the test itself writes.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The store.
    pub(crate) fn store(&self) -> &OpenDalStore {
        &self.store
    }

    /// Keys of the objects below a folder.
    pub(crate) async fn keys(&self, prefix: &str) -> Vec<String> {
        let mut walk = self.store.walk(prefix).await.unwrap();
        let page = walk.page(usize::MAX).await.unwrap();
        page.into_iter().map(|met| met.key).collect()
    }

    /// The facts of an order, from the first one on.
    pub(crate) async fn facts(&self, order: &OrderId) -> Facts {
        let context = jetstream::new(self.nats.client().await);
        let stream = context.get_stream(names::PROGRESS).await.unwrap();
        let filter_subject = subject::progress_filter(&order.video);
        let config = OrderedConfig { filter_subject, ..OrderedConfig::default() };
        let consumer = stream.create_consumer(config).await.unwrap();
        Facts { order: order.clone(), messages: consumer.messages().await.unwrap() }
    }

    /// Every claim that is written from now on.
    pub(crate) async fn claims(&self) -> Watched<Claim> {
        let all = names::bucket_subject(names::CLAIMS_BUCKET, ">");
        self.watch(all, |bytes| serde_json::from_slice(bytes).ok()).await
    }

    /// Every ledger entry that is written from now on.
    pub(crate) async fn written(&self) -> Watched<Entry> {
        let anything = subject::LEDGER_ALL;
        self.watch(anything.to_owned(), |bytes| rmp_serde::from_slice(bytes).ok()).await
    }

    /// Every state of a video that is written from now on.
    pub(crate) async fn states(&self) -> Watched<jetreel_domain::order::state::Video> {
        let all = names::bucket_subject(names::VIDEOS_BUCKET, ">");
        self.watch(all, |bytes| serde_json::from_slice(bytes).ok()).await
    }

    async fn watch<T>(&self, subject: String, read: fn(&[u8]) -> Option<T>) -> Watched<T> {
        let client = self.nats.client().await;
        let heard = client.subscribe(subject).await.unwrap();
        round_trip(&client).await;
        Watched { client, heard, read, replaced: BTreeMap::new() }
    }

    /// The ledger of an order as it stands.
    pub(crate) async fn ledger(&self, order: &OrderId) -> Vec<Entry> {
        self.bus.entries(order, 0).await.unwrap().0
    }

    /// Keys of the claims of an order as they stand.
    pub(crate) async fn claim_keys(&self, order: &OrderId) -> Vec<String> {
        let stream = names::bucket_stream(names::CLAIMS_BUCKET);
        let filter = names::bucket_subject(names::CLAIMS_BUCKET, &subject::claim_filter(order));
        self.subjects(&stream, &filter).await
    }

    /// Subjects of a stream that hold a message.
    pub(crate) async fn subjects(&self, stream: &str, filter: &str) -> Vec<String> {
        let context = jetstream::new(self.nats.client().await);
        let stream = context.get_stream(stream).await.unwrap();
        let mut found = stream.info_with_subjects(filter).await.unwrap();
        let mut subjects = Vec::new();
        while let Some(item) = found.next().await {
            subjects.push(item.unwrap().0);
        }
        subjects
    }

    /// Fails where the manifest names an object that is not there, or is not what it was.
    pub(crate) async fn must_hold_all_of(&self, manifest: &Manifest) {
        let mut keys = std::collections::BTreeSet::new();
        for object in manifest.objects() {
            assert!(keys.insert(object.key.clone()), "{} is named twice", object.key);
            let bytes = self.store.read_all(&object.key).await.unwrap();
            let found = (bytes.len() as u64, sha256(&bytes));
            assert_eq!(found, (object.bytes, object.sha256.clone()), "{}", object.key);
        }
        assert!(!keys.is_empty());
    }
}

/// SHA-256 as the ledger writes it.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn setting(key: &str, value: &str) -> (String, String) {
    (format!("JETREEL__{key}"), value.to_owned())
}

/// The server answers in order: it has taken note of all that was sent before, and has sent on all that it had by then.
async fn round_trip(client: &async_nats::Client) {
    jetstream::new(client.clone()).query_account().await.unwrap();
}

/// Waits for what must come.
pub(crate) async fn awaited<T>(what: &str, coming: impl Future<Output = T>) -> T {
    let came = tokio::time::timeout(PATIENCE, coming).await;
    came.unwrap_or_else(|_| panic!("did not come: {what}"))
}

/// Messages published on a subject, including those that a stream then refuses.
pub(crate) struct Watched<T> {
    client: async_nats::Client,
    heard: Subscriber,
    read: fn(&[u8]) -> Option<T>,
    /// Revision that the last write to a subject replaced. The broker refused a later one that replaces the same or an older one.
    replaced: BTreeMap<String, u64>,
}

impl<T> Watched<T> {
    /// The next message that `wanted` selects.
    pub(crate) async fn next(&mut self, what: &str, wanted: impl Fn(&str, &T) -> bool) -> T {
        let coming = async {
            while let Some(message) = self.heard.next().await {
                if self.is_stored(&message)
                    && let Some(value) = (self.read)(&message.payload)
                    && wanted(message.subject.as_str(), &value)
                {
                    return value;
                }
            }
            panic!("the broker went away");
        };
        awaited(what, coming).await
    }

    /// All that was stored up to now and not yet taken.
    pub(crate) async fn so_far(&mut self) -> Vec<T> {
        self.so_far_by_subject().await.into_iter().map(|(_, value)| value).collect()
    }

    /// The same, with its subjects.
    pub(crate) async fn so_far_by_subject(&mut self) -> Vec<(String, T)> {
        round_trip(&self.client).await;
        let mut found = Vec::new();
        while let Some(Some(message)) = self.heard.next().now_or_never() {
            let value = (self.read)(&message.payload).filter(|_| self.is_stored(&message));
            found.extend(value.map(|value| (message.subject.to_string(), value)));
        }
        found
    }

    fn is_stored(&mut self, message: &async_nats::Message) -> bool {
        let expected = message.headers.as_ref();
        let expected = expected.and_then(|all| all.get(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE));
        let Some(revision) = expected.and_then(|value| value.as_str().parse().ok()) else {
            return true;
        };
        let last = self.replaced.get(message.subject.as_str());
        if last.is_some_and(|last| *last >= revision) {
            return false;
        }
        self.replaced.insert(message.subject.to_string(), revision);
        true
    }
}

/// A fact as a subscriber gets it.
#[derive(Debug)]
pub(crate) struct Told {
    /// Subject of the message.
    pub(crate) subject: String,
    /// Its `ce-id`.
    pub(crate) id: String,
    /// Body of the message.
    pub(crate) body: Announcement,
}

/// The facts of an order in the order of the stream.
pub(crate) struct Facts {
    order: OrderId,
    messages: Ordered,
}

impl Facts {
    /// The next fact.
    pub(crate) async fn next(&mut self) -> Told {
        let what = format!("a fact of {}", self.order);
        let message: Message = awaited(&what, self.messages.next()).await.unwrap().unwrap();
        let headers = message.headers.as_ref().unwrap();
        Told {
            subject: message.subject.to_string(),
            id: headers.get("ce-id").unwrap().to_string(),
            body: rmp_serde::from_slice(&message.payload).unwrap(),
        }
    }

    /// All facts up to `last`; fails where the order ends otherwise.
    pub(crate) async fn until(&mut self, last: &str) -> Vec<Told> {
        let mut told = Vec::new();
        loop {
            let fact = self.next().await;
            let word = fact.body.fact.clone();
            let ended = word == "completed" || word == "cancelled" || word.starts_with("failed");
            assert!(!ended || word == last, "{word} instead of {last}: {:?}", fact.body.error);
            told.push(fact);
            if word == last {
                return told;
            }
        }
    }
}
