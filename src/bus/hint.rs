//! Hints that a task was released or an order was cancelled. Queues and states are the truth, and a missed hint only costs a poll.

use async_nats::Client;
use futures::StreamExt;
use jetreel_domain::delivery::dispatch::Heard;
use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::OrderId;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use super::severity::Fault;

/// Cancellations that may wait for a slow receiver. A receiver that misses some treats them as a cancellation of every order.
const CANCELS_WAITING_MAX: usize = 64;

/// Receives hints by plain subscriptions to the lanes' subjects and the facts.
#[derive(Debug)]
pub(super) struct Hints {
    released: watch::Receiver<Heard>,
    cancels: broadcast::Sender<OrderId>,
    listeners: [JoinHandle<()>; 2],
}

impl Hints {
    /// Subscribes.
    pub(super) async fn subscribe(client: &Client) -> Result<Self, Fault> {
        let lanes = client.subscribe(Stage::Encode.filter()).await;
        let mut lanes = lanes.map_err(|error| Fault::Connection(error.to_string()))?;
        let (heard, released) = watch::channel(Heard::default());
        let listener = tokio::spawn(async move {
            while let Some(message) = lanes.next().await {
                if let Some(queue) = subject::task_queue(&message.subject) {
                    heard.send_modify(|heard| heard.note(queue));
                }
            }
        });
        let (cancels, _) = broadcast::channel(CANCELS_WAITING_MAX);
        let listeners = [listener, hear_cancels(client, cancels.clone()).await?];
        Ok(Self { released, cancels, listeners })
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

    /// Releases heard so far.
    pub(super) fn heard(&self) -> Heard {
        self.released.borrow().clone()
    }

    /// Returns as soon as other releases were heard than `since`.
    pub(super) async fn changed(&self, since: &Heard) {
        if self.released.clone().wait_for(|heard| heard != since).await.is_err() {
            // The connection is closed for good.
            std::future::pending().await
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
