//! Observes the broker from outside: when work continues, and every queue message, to send it again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_nats::{Client, ConnectOptions, Message};
use futures::StreamExt as _;
use jetreel::bus::names;
use jetreel_domain::delivery::claim::Claim;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::TaskId;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Header of messages that the campaign sends once more.
pub(crate) const AGAIN: &str = "Jetreel-Chaos-Again";
/// Prefix of the subjects of ledger entries.
const LEDGER: &str = "video.ledger.";
/// Prefixes of the subjects of queue messages.
const QUEUES: [&str; 3] = ["video.uploads.", "video.encode.", "video.publish."];

/// A ledger entry that was published, and when.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Subject of the message.
    pub(crate) subject: String,
    /// When it passed by.
    pub(crate) at: Instant,
}

impl Entry {
    /// Whether it says that this task, `<video>.<number>.<task>`, is finished.
    pub(crate) fn is_of(&self, task: &str) -> bool {
        self.subject.strip_prefix(LEDGER) == Some(task)
    }
}

/// Listens for as long as it lives, across lost connections.
pub(crate) struct Watch {
    seen: Arc<Seen>,
    client: Client,
    listening: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    entries: Mutex<Vec<Entry>>,
    queued: Mutex<Vec<Message>>,
    /// The last claim of each task, by `<video>.<number>.<task>`.
    claims: Mutex<BTreeMap<String, Claim>>,
    news: Notify,
}

impl Watch {
    /// Listens at these servers.
    pub(crate) async fn start(urls: &str) -> anyhow::Result<Self> {
        let servers: Vec<String> = urls.split(',').map(str::to_owned).collect();
        let options = ConnectOptions::new().name("watch").retry_on_initial_connect();
        let client = options.connect(servers).await?;
        let seen = Arc::<Seen>::default();
        let mut heard = futures::stream::SelectAll::new();
        let claims = names::bucket_subject(names::CLAIMS_BUCKET, ">");
        for subject in subject::roots().into_iter().chain([claims]) {
            heard.push(client.subscribe(subject).await?);
        }
        client.flush().await?;
        let kept = seen.clone();
        let listening = tokio::spawn(async move {
            while let Some(message) = heard.next().await {
                kept.take(message);
            }
        });
        Ok(Self { seen, client, listening })
    }

    /// A client to publish unexpected messages.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// How many entries have passed by so far: a place to look from later.
    pub(crate) fn mark(&self) -> usize {
        lock(&self.seen.entries).len()
    }

    /// The first entry from `mark` on that `wanted` picks, as soon as there is one.
    pub(crate) async fn entry(&self, mark: usize, wanted: impl Fn(&Entry) -> bool) -> Entry {
        loop {
            let news = self.seen.news.notified();
            let found =
                lock(&self.seen.entries)[mark..].iter().find(|entry| wanted(entry)).cloned();
            if let Some(found) = found {
                return found;
            }
            news.await;
        }
    }

    /// Tasks that a node has claimed and not finished, as `<video>.<number>.<task>`.
    pub(crate) fn held_by(&self, node: &str) -> Vec<String> {
        let claims = lock(&self.seen.claims);
        // Stages have claims too, on an order as a whole.
        let is_task =
            |key: &str| key.rsplit('.').next().is_some_and(|w| w.parse::<TaskId>().is_ok());
        let held = claims
            .iter()
            .filter(|(key, claim)| is_task(key) && claim.node == node && !claim.released);
        let entries = lock(&self.seen.entries);
        held.map(|(task, _)| task.clone())
            .filter(|task| !entries.iter().any(|entry| entry.is_of(task)))
            .collect()
    }

    /// Everything that was queued since the last call, to be queued again.
    pub(crate) fn take_queued(&self) -> Vec<Message> {
        std::mem::take(&mut *lock(&self.seen.queued))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Seen {
    fn take(&self, message: Message) {
        if message.headers.as_ref().is_some_and(|headers| headers.get(AGAIN).is_some()) {
            return;
        }
        let (subject, at) = (message.subject.to_string(), Instant::now());
        if subject.starts_with(LEDGER) {
            lock(&self.entries).push(Entry { subject, at });
            self.news.notify_waiters();
        } else if QUEUES.iter().any(|queue| subject.starts_with(queue)) {
            lock(&self.queued).push(message);
        } else if let Some(key) =
            subject.strip_prefix(&names::bucket_subject(names::CLAIMS_BUCKET, ""))
            && let Ok(claim) = serde_json::from_slice(&message.payload)
        {
            lock(&self.claims).insert(key.to_owned(), claim);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
