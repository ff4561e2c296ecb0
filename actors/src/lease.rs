//! Keeps a delivery while it is worked on, and tells when it must be put down.
//!
//! Invariant: work stops before the server can give the message to another: `lost_after` is shorter than `ack_wait`.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::relations::Lease;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

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
    /// The node drains, and its time is up.
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use jetreel_domain::failure::Failure;
    use tokio::sync::Notify;

    use super::*;

    const RENEWALS: u32 = 5;

    /// A delivery whose renewals are answered as told, and which says when it was renewed often enough.
    struct Renewed {
        answers: fn() -> Result<(), Failure>,
        count: AtomicU32,
        often: Arc<Notify>,
    }

    impl Delivery for Renewed {
        fn body(&self) -> &[u8] {
            &[]
        }
        fn subject(&self) -> &str {
            ""
        }
        fn stream(&self) -> &str {
            ""
        }
        fn headers(&self) -> Vec<(String, String)> {
            Vec::new()
        }
        fn is_released(&self) -> bool {
            true
        }
        fn sequence(&self) -> u64 {
            1
        }
        fn delivered(&self) -> u64 {
            1
        }
        fn pending(&self) -> u64 {
            0
        }
        fn ack(&self) -> PortFuture<'_, ()> {
            unreachable!("a heartbeat settles nothing")
        }
        fn hand_back(&self, _: Duration) -> PortFuture<'_, ()> {
            unreachable!("a heartbeat settles nothing")
        }
        fn terminate(&self, _: &str) -> PortFuture<'_, ()> {
            unreachable!("a heartbeat settles nothing")
        }
        fn renew(&self) -> PortFuture<'_, ()> {
            if self.count.fetch_add(1, Ordering::Relaxed) + 1 == RENEWALS {
                self.often.notify_one();
            }
            let answer = (self.answers)();
            Box::pin(async move { answer })
        }
    }

    /// A look that never ends.
    struct Blind;

    impl Watch for Blind {
        fn check(&self) -> PortFuture<'_, Option<Lost>> {
            Box::pin(std::future::pending())
        }
        fn failed(&self) {}
    }

    fn start(
        answers: fn() -> Result<(), Failure>,
        lost_after: Duration,
    ) -> (Heartbeat, Arc<Notify>) {
        let often = Arc::new(Notify::new());
        let delivery = Renewed { answers, count: AtomicU32::new(0), often: often.clone() };
        let lease = Lease { heartbeat: Duration::from_millis(1), lost_after };
        (keep(Arc::new(delivery), lease, Arc::new(Blind)), often)
    }

    #[tokio::test]
    async fn a_look_that_hangs_keeps_no_renewal_waiting() {
        let (mut heartbeat, often) = start(|| Ok(()), Duration::from_secs(3600));
        tokio::select! {
            () = often.notified() => {}
            lost = &mut heartbeat.lost => panic!("{lost:?}"),
        }
    }

    #[tokio::test]
    async fn a_lease_that_is_not_confirmed_is_lost() {
        let unheard = || Err(Failure::dependency("broker-timeout", ""));
        let (mut heartbeat, _) = start(unheard, Duration::from_millis(20));
        assert_eq!((&mut heartbeat.lost).await, Ok(Lost::Expired));
    }
}
