//! Keeps a delivery while it is worked on, and tells when it must be put down.
//!
//! Invariant: work stops before the server can give the message to another: `lost_after` is shorter than `ack_wait`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::Lease;
use crate::ports::{Delivery, PortFuture};

/// Why work must be put down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The lease was not confirmed for too long.
    Expired,
    /// Another worker holds the claim now.
    Taken,
    /// The order was closed meanwhile.
    Closed,
    /// The node drains.
    Draining,
}

/// What a heartbeat looks at besides the lease itself: says whether the work is still wanted.
pub trait Watch: Send + Sync + 'static {
    /// `Some`: put it down. An error counts as no news.
    fn check(&self) -> PortFuture<'_, Option<Lost>>;
    /// A renewal failed.
    fn failed(&self);
}

/// A running heartbeat. Dropped, it ends.
#[derive(Debug)]
pub struct Heartbeat {
    task: JoinHandle<()>,
    /// Fires once, when work must be put down.
    pub lost: oneshot::Receiver<Lost>,
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts the heartbeat of a delivery.
#[must_use]
pub fn keep(delivery: Arc<dyn Delivery>, lease: Lease, watch: Arc<dyn Watch>) -> Heartbeat {
    let (tell, lost) = oneshot::channel();
    let task = tokio::spawn(async move {
        let reason = beat(delivery.as_ref(), lease, watch.as_ref()).await;
        if tell.send(reason).is_err() {
            tracing::debug!(?reason, "work had ended when its lease was lost");
        }
    });
    Heartbeat { task, lost }
}

async fn beat(delivery: &dyn Delivery, lease: Lease, watch: &dyn Watch) -> Lost {
    let mut confirmed = Instant::now();
    loop {
        tokio::time::sleep(lease.heartbeat).await;
        // The server counts from when it heard of the renewal, which may be long before its answer: never count from later.
        let asked = Instant::now();
        match tokio::time::timeout(left(lease, confirmed), delivery.renew()).await {
            Ok(Ok(())) => confirmed = asked,
            Ok(Err(_)) => watch.failed(),
            Err(_) => return Lost::Expired,
        }
        if confirmed.elapsed() >= lease.lost_after {
            return Lost::Expired;
        }
        if confirmed != asked {
            continue;
        }
        // The look may take its time, but not from the next renewal.
        if let Ok(Ok(Some(lost))) = tokio::time::timeout(lease.heartbeat, watch.check()).await {
            return lost;
        }
    }
}

fn left(lease: Lease, confirmed: Instant) -> Duration {
    lease.lost_after.saturating_sub(confirmed.elapsed()).max(Duration::from_millis(1))
}
