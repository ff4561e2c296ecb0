//! Hints that a task was released or an order was cancelled. Queues and states are the truth, and a missed hint only costs a poll.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::Client;
use futures::StreamExt;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::{Group, OrderId};
use jetreel_domain::order::lane::Lane;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use super::severity::Fault;

/// Cancellations that may wait for a slow receiver. A receiver that misses some treats them as a cancellation of every order.
const CANCELS_WAITING_MAX: usize = 64;

/// Receives hints by plain subscriptions to the lanes' subjects and the facts.
#[derive(Debug)]
pub(super) struct Hints {
    released: watch::Receiver<u64>,
    seen: AtomicU64,
    cancels: broadcast::Sender<OrderId>,
    listeners: [JoinHandle<()>; 2],
}

impl Hints {
    /// Subscribes.
    pub(super) async fn subscribe(client: &Client) -> Result<Self, Fault> {
        let lane = subject::encode_filter(Lane::High, Group::First);
        let roots = subject::roots().into_iter();
        let lanes = roots.filter(|root| lane.starts_with(root.trim_end_matches('>')));
        let mut heard = futures::stream::SelectAll::new();
        for lane in lanes {
            let listened = client.subscribe(lane).await;
            heard.push(listened.map_err(|error| Fault::Connection(error.to_string()))?);
        }
        let (count, released) = watch::channel(0);
        let listener = tokio::spawn(async move {
            while heard.next().await.is_some() {
                count.send_modify(|count| *count += 1);
            }
        });
        let (cancels, _) = broadcast::channel(CANCELS_WAITING_MAX);
        let listeners = [listener, hear_cancels(client, cancels.clone()).await?];
        Ok(Self { released, seen: AtomicU64::new(0), cancels, listeners })
    }

    /// Returns when a notice arrives from now on that `order` was cancelled.
    pub(super) async fn cancelled(&self, order: &OrderId) {
        let mut cancels = self.cancels.subscribe();
        loop {
            match cancels.recv().await {
                Ok(other) if other != *order => {}
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                // The connection is closed for good.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Returns after the next release since the last call, or after `wait`.
    pub(super) async fn wait(&self, wait: Duration) {
        let mut released = self.released.clone();
        let seen = self.seen.load(Ordering::Acquire);
        let heard = tokio::time::timeout(wait, released.wait_for(|count| *count > seen)).await;
        if let Ok(Ok(count)) = heard {
            self.seen.fetch_max(*count, Ordering::AcqRel);
        }
    }
}

async fn hear_cancels(
    client: &Client,
    cancels: broadcast::Sender<OrderId>,
) -> Result<JoinHandle<()>, Fault> {
    let heard = client.subscribe(subject::CANCELLED_ALL).await;
    let mut heard = heard.map_err(|error| Fault::Connection(error.to_string()))?;
    Ok(tokio::spawn(async move {
        while let Some(message) = heard.next().await {
            let order = subject::order_in_progress(&message.subject);
            if let Some(order) = order
                && cancels.send(order).is_err()
            {
                tracing::trace!("no task of the cancelled order runs here");
            }
        }
    }))
}

impl Drop for Hints {
    fn drop(&mut self) {
        self.listeners.iter().for_each(JoinHandle::abort);
    }
}
