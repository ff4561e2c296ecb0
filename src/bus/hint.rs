//! Wake-up hints: somebody released a task. Only a hint: the queue is the truth, and a missed hint costs a poll.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::Client;
use futures::StreamExt;
use jetreel_domain::id::Group;
use jetreel_domain::lane::Lane;
use jetreel_domain::subject;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::severity::Fault;

/// Counts what passes by on the lanes' subjects, by a plain subscription.
#[derive(Debug)]
pub(super) struct Hints {
    released: watch::Receiver<u64>,
    seen: AtomicU64,
    listener: JoinHandle<()>,
}

impl Hints {
    /// Starts to listen.
    pub(super) async fn subscribe(client: &Client) -> Result<Self, Fault> {
        let lane = subject::encode_filter(Lane::High, Group::First);
        let lanes =
            subject::ROOTS.into_iter().filter(|r| lane.starts_with(r.trim_end_matches('>')));
        let mut heard = futures::stream::SelectAll::new();
        for lane in lanes {
            let listened = client.subscribe(lane.to_owned()).await;
            heard.push(listened.map_err(|error| Fault::Connection(error.to_string()))?);
        }
        let (count, released) = watch::channel(0);
        let listener = tokio::spawn(async move {
            while heard.next().await.is_some() {
                count.send_modify(|count| *count += 1);
            }
        });
        Ok(Self { released, seen: AtomicU64::new(0), listener })
    }

    /// Returns once something was released since the last call, or after `wait`.
    pub(super) async fn wait(&self, wait: Duration) {
        let mut released = self.released.clone();
        let seen = self.seen.load(Ordering::Acquire);
        let heard = tokio::time::timeout(wait, released.wait_for(|count| *count > seen)).await;
        if let Ok(Ok(count)) = heard {
            self.seen.fetch_max(*count, Ordering::AcqRel);
        }
    }
}

impl Drop for Hints {
    fn drop(&mut self) {
        self.listener.abort();
    }
}
