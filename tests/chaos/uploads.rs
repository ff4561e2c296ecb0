//! Clients that upload, and what they were promised.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use jetreel_domain::id::OrderId;
use reqwest::StatusCode;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// One try. A gateway that stands still is given up after this.
const TRY_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two tries of a client that was refused.
const PAUSE: Duration = Duration::from_millis(250);
/// A client tries again for so long.
const PATIENCE: Duration = Duration::from_secs(240);

/// Addresses of gateways that are up, by node.
pub(crate) type Gateways = Arc<Mutex<BTreeMap<usize, String>>>;

/// Knowledge of the clients.
pub(crate) struct Uploads {
    clip: Bytes,
    client: reqwest::Client,
    gateways: Gateways,
    known: Mutex<Known>,
    next: AtomicU32,
    news: Notify,
}

#[derive(Default)]
struct Known {
    acknowledged: Vec<OrderId>,
    /// Titles of all tries, also of those without an answer.
    titles: Vec<String>,
    refused: u32,
    broken: u32,
    /// Answers that no fault excuses.
    wrong: Vec<String>,
}

/// Result of one try.
enum Answer {
    Accepted(OrderId),
    Refused,
    Broken,
    Wrong(String),
}

impl Uploads {
    /// Clients that send `clip` to whichever gateway is up.
    pub(crate) fn new(clip: Bytes, gateways: Gateways) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TRY_TIMEOUT)
            .pool_max_idle_per_host(0)
            .build()?;
        let (known, next, news) = (Mutex::default(), AtomicU32::new(0), Notify::new());
        Ok(Self { clip, client, gateways, known, next, news })
    }

    /// Sends `count` uploads, `at_once` at the same time, each until it is acknowledged.
    pub(crate) async fn send(self: Arc<Self>, count: u32, at_once: usize) -> anyhow::Result<()> {
        let mut clients = JoinSet::new();
        let left = Arc::new(AtomicU32::new(count));
        for _ in 0..at_once {
            let (uploads, left) = (Arc::clone(&self), left.clone());
            clients.spawn(async move {
                let take = |left: u32| left.checked_sub(1);
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                    let until = tokio::time::timeout(PATIENCE, uploads.until_acknowledged());
                    until.await.context("an upload was never acknowledged")?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended??;
        }
        Ok(())
    }

    async fn until_acknowledged(&self) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let address = {
                let gateways = lock(&self.gateways);
                gateways.values().nth(number as usize % gateways.len().max(1)).cloned()
            };
            if let Some(address) = address
                && self.try_once(&address, number).await
            {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// One try; whether it was acknowledged.
    pub(crate) async fn try_once(&self, address: &str, number: u32) -> bool {
        let title = format!("try-{number}");
        lock(&self.known).titles.push(title.clone());
        let answer = self.post(address, &title).await;
        let mut known = lock(&self.known);
        match answer {
            Answer::Accepted(order) => {
                known.acknowledged.push(order);
                drop(known);
                self.news.notify_waiters();
                return true;
            }
            Answer::Refused => known.refused += 1,
            Answer::Broken => known.broken += 1,
            Answer::Wrong(what) => known.wrong.push(what),
        }
        false
    }

    /// One try at this gateway, for a caller that expects no success.
    pub(crate) async fn try_at(&self, address: &str) -> bool {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.try_once(address, number).await
    }

    /// Sends a clip to this gateway, and breaks off before its end.
    pub(crate) async fn break_off(&self, address: &str) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let title = format!("try-{number}");
        lock(&self.known).titles.push(title.clone());
        // More than a gateway waits for before it creates a video, and time for it to do so.
        let begun = futures::stream::iter([Ok(Bytes::from(vec![0; 256 << 10]))]);
        let gone = futures::stream::once(async {
            tokio::time::sleep(CONNECT_TIMEOUT).await;
            Err(std::io::Error::other("gone"))
        });
        let body = reqwest::Body::wrap_stream(futures::StreamExt::chain(begun, gone));
        let asked = self.client.post(format!("{address}/v1/videos?title={title}")).body(body);
        // There is no answer.
        drop(asked.send().await);
    }

    /// Asks a gateway for something.
    pub(crate) async fn ask(
        &self,
        address: &str,
        path: &str,
        body: &'static str,
    ) -> reqwest::Result<StatusCode> {
        Ok(self.client.post(format!("{address}{path}")).body(body).send().await?.status())
    }

    async fn post(&self, address: &str, title: &str) -> Answer {
        let asked = self.client.post(format!("{address}/v1/videos?title={title}"));
        let asked = asked.header("content-type", "video/mp4").body(self.clip.clone());
        let Ok(answer) = asked.send().await else { return Answer::Broken };
        match answer.status() {
            StatusCode::ACCEPTED => match order_of(&answer) {
                Ok(order) => Answer::Accepted(order),
                Err(error) => Answer::Wrong(format!("{error:#}")),
            },
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::INSUFFICIENT_STORAGE => Answer::Refused,
            status => {
                let body = answer.text().await.unwrap_or_default();
                Answer::Wrong(format!("{status} {body}"))
            }
        }
    }

    /// Orders acknowledged so far.
    pub(crate) fn acknowledged(&self) -> Vec<OrderId> {
        lock(&self.known).acknowledged.clone()
    }

    /// Waits until so many more than `before` are acknowledged.
    pub(crate) async fn until(&self, count: usize) {
        loop {
            let news = self.news.notified();
            if lock(&self.known).acknowledged.len() >= count {
                return;
            }
            news.await;
        }
    }

    /// Tries that were refused as they should be, and tries without an answer.
    pub(crate) fn not_taken(&self) -> (u32, u32) {
        let known = lock(&self.known);
        (known.refused, known.broken)
    }

    /// Whether a client tried to send this.
    pub(crate) fn has_tried(&self, title: &str) -> bool {
        lock(&self.known).titles.iter().any(|tried| tried == title)
    }

    /// Answers that no fault excuses.
    pub(crate) fn wrong(&self) -> Vec<String> {
        lock(&self.known).wrong.clone()
    }
}

fn order_of(answer: &reqwest::Response) -> anyhow::Result<OrderId> {
    let place = answer.headers().get("location").context("accepted without a place")?.to_str()?;
    let Some(order) = place.strip_prefix("/v1/jobs/") else { bail!("accepted at {place}") };
    Ok(order.parse()?)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
