//! Deliveries in hand. The lease of a delivery is renewed from the moment it is pulled, and its worker learns when to stop.
//!
//! Invariant: work stops before the server can deliver the message to another worker: `lost_after` is shorter than `ack_wait`.

use std::sync::Arc;
use std::time::Duration;

use jetreel_domain::upkeep::relations::Lease;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Context;
use crate::event::Event;
use crate::ports::{Delivery, PortFuture};

/// Why work must stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The server confirmed no renewal for `lost_after`.
    Expired,
    /// Another worker holds the claim.
    Taken,
    /// The order was closed.
    Closed,
    /// The node drains and its grace is over.
    Draining,
}

/// A check that runs with each heartbeat: whether the work is still wanted.
pub(crate) trait Watch: Send + Sync + 'static {
    /// `Some` if the work must stop. An error changes nothing.
    fn check(&self) -> PortFuture<'_, Option<Lost>>;
}

type Watched = Option<Arc<dyn Watch>>;

/// A delivery in hand. Its lease is renewed until it is dropped or [let go](Self::let_go).
pub(crate) struct InHand {
    delivery: Arc<dyn Delivery>,
    lost: watch::Receiver<Option<Lost>>,
    watched: watch::Sender<Watched>,
    put_down: CancellationToken,
    heartbeat: JoinHandle<()>,
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

impl InHand {
    /// Starts the heartbeat of a delivery for the stage `name`.
    pub(crate) fn new(context: &Context, name: &'static str, delivery: Arc<dyn Delivery>) -> Self {
        let (tell, lost) = watch::channel(None);
        let (watched, looked_at) = watch::channel::<Watched>(None);
        let (environment, lease) = (Arc::clone(&context.ports.environment), context.config.lease);
        let renewed = Arc::clone(&delivery);
        let heartbeat = tokio::spawn(async move {
            let unrenewed = || {
                let subject = renewed.subject().to_owned();
                environment.emit(Event::RenewFailed { stage: name, subject });
            };
            let reason = beat(renewed.as_ref(), lease, &looked_at, unrenewed).await;
            tell.send_replace(Some(reason));
        });
        Self { delivery, lost, watched, put_down: context.put_down.clone(), heartbeat }
    }

    /// The delivery.
    pub(crate) fn delivery(&self) -> &dyn Delivery {
        self.delivery.as_ref()
    }

    /// Sets the check that runs with each heartbeat.
    pub(crate) fn watch(&self, watch: Arc<dyn Watch>) {
        self.watched.send_replace(Some(watch));
    }

    /// Removes the check: the work is done, and the message only needs its lease until it is settled.
    pub(crate) fn unwatch(&self) {
        self.watched.send_replace(None);
    }

    /// Why the work must stop, if it must already.
    pub(crate) fn lost_now(&self) -> Option<Lost> {
        let ended = self.heartbeat.is_finished().then_some(Lost::Expired);
        let drains = self.put_down.is_cancelled().then_some(Lost::Draining);
        self.lost.borrow().or(ended).or(drains)
    }

    /// Returns when the work must stop.
    pub(crate) async fn lost(&self) -> Lost {
        let mut lost = self.lost.clone();
        let told = async {
            match lost.wait_for(Option::is_some).await {
                Ok(lost) => lost.unwrap_or(Lost::Expired),
                // The heartbeat task ended unexpectedly, so the lease is not renewed any more.
                Err(_) => Lost::Expired,
            }
        };
        tokio::select! {
            lost = told => lost,
            () = self.put_down.cancelled() => Lost::Draining,
        }
    }

    /// Runs the work and drops it if it must stop before its end.
    pub(crate) async fn unless_lost<T>(&self, work: impl Future<Output = T>) -> Result<T, Lost> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            lost = self.lost() => Err(lost),
        }
    }

    /// Ends the heartbeat. A renewal after a delayed negative acknowledgement would delay the next delivery too long.
    pub(crate) fn let_go(self) -> Arc<dyn Delivery> {
        Arc::clone(&self.delivery)
    }
}

async fn beat(
    delivery: &dyn Delivery,
    lease: Lease,
    watched: &watch::Receiver<Watched>,
    unrenewed: impl Fn(),
) -> Lost {
    let mut confirmed = Instant::now();
    loop {
        tokio::time::sleep(lease.heartbeat).await;
        // The server counts from when it received the renewal, which may be long before its answer arrives. The time of the request is the
        // safe start.
        let asked = Instant::now();
        match tokio::time::timeout(left(lease, confirmed), delivery.renew()).await {
            Ok(Ok(())) => confirmed = asked,
            Ok(Err(_)) => unrenewed(),
            Err(_) => return Lost::Expired,
        }
        if confirmed.elapsed() >= lease.lost_after {
            return Lost::Expired;
        }
        let watch = watched.borrow().clone();
        let Some(watch) = watch.filter(|_| confirmed == asked) else { continue };
        // The check may be slow, but it must not delay the next renewal.
        if let Ok(Ok(Some(lost))) = tokio::time::timeout(lease.heartbeat, watch.check()).await
            && watched.borrow().is_some()
        {
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

    use jetreel_domain::words::failure::Failure;
    use tokio::sync::Notify;

    use super::*;

    const RENEWALS: u32 = 5;

    /// A delivery that answers its renewals as the test says, and reports when it was renewed often enough.
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

    /// A check that never ends.
    struct Blind;

    impl Watch for Blind {
        fn check(&self) -> PortFuture<'_, Option<Lost>> {
            Box::pin(std::future::pending())
        }
    }

    async fn beats(
        answers: fn() -> Result<(), Failure>,
        lost_after: Duration,
        often: &Arc<Notify>,
    ) -> Lost {
        let delivery = Renewed { answers, count: AtomicU32::new(0), often: often.clone() };
        let lease = Lease { heartbeat: Duration::from_millis(1), lost_after };
        let watched = watch::channel::<Watched>(Some(Arc::new(Blind))).1;
        beat(&delivery, lease, &watched, || {}).await
    }

    #[tokio::test]
    async fn a_look_that_hangs_keeps_no_renewal_waiting() {
        let often = Arc::new(Notify::new());
        tokio::select! {
            () = often.notified() => {}
            lost = beats(|| Ok(()), Duration::from_secs(3600), &often) => panic!("{lost:?}"),
        }
    }

    #[tokio::test]
    async fn a_lease_that_is_not_confirmed_is_lost() {
        let unheard = || Err(Failure::dependency("broker-timeout", ""));
        let often = Arc::new(Notify::new());
        assert_eq!(beats(unheard, Duration::from_millis(20), &often).await, Lost::Expired);
    }
}
