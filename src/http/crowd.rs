//! Bounds the number of connections. Beyond the bound a new connection replaces the one that is idle for longest.
//!
//! Invariant: a connection with a request in progress is never closed for another. If no connection is idle, new ones wait, finally in the
//! kernel's backlog.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Time within which an idle connection that must close gives up its place. After that another one is closed.
const CLOSING_WAIT: Duration = Duration::from_millis(20);
/// Idle time before a connection may be closed for another. The request of a new connection is on its way.
const GRACE: Duration = Duration::from_millis(100);
/// Share of the places that is kept free while connections are idle, so that new ones need not wait for a close.
const SPARE_SHARE: usize = 16;
/// Pause between two log lines about a full listener.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

/// The connections of one listener.
pub(super) struct Crowd {
    places: Arc<Semaphore>,
    most: usize,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// Number of the next connection that becomes idle.
    next: u64,
    /// Idle connections by that number. The first is idle for longest.
    by_turn: BTreeMap<u64, (Instant, CancellationToken)>,
    complained: Option<Instant>,
}

impl Crowd {
    /// A bound of `most` connections.
    pub(super) fn new(most: usize) -> Arc<Self> {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(most));
        Arc::new(Self { places, most, idle: Mutex::default() })
    }

    /// Waits for a place for a new connection.
    pub(super) async fn place(&self) -> OwnedSemaphorePermit {
        let spare = self.most / SPARE_SHARE;
        if self.places.available_permits() <= spare {
            self.close_one();
        }
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return place;
        }
        self.complain();
        loop {
            // Closes several, because each takes time to close.
            (0..=spare).for_each(|_| self.close_one());
            let freed = self.places.clone().acquire_owned();
            if let Ok(Ok(place)) = tokio::time::timeout(CLOSING_WAIT, freed).await {
                return place;
            }
        }
    }

    /// Closes the connection that is idle for longest, unless it became idle only just now.
    pub(super) fn close_one(&self) {
        let mut idle = self.idle();
        let Some(first) = idle.by_turn.first_entry() else { return };
        if first.get().0.elapsed() >= GRACE {
            first.remove().1.cancel();
        }
    }

    /// Adds an idle connection, which closes when `close` is cancelled. Returns its number.
    pub(super) fn enter(&self, close: CancellationToken) -> u64 {
        let mut idle = self.idle();
        let turn = idle.next;
        idle.next += 1;
        idle.by_turn.insert(turn, (Instant::now(), close));
        turn
    }

    /// Removes a connection that is not idle any more.
    pub(super) fn leave(&self, turn: u64) {
        self.idle().by_turn.remove(&turn);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn complain(&self) {
        let mut idle = self.idle();
        if idle.complained.is_none_or(|at| at.elapsed() > COMPLAINT_INTERVAL) {
            idle.complained = Some(Instant::now());
            let most = self.most;
            tracing::warn!(
                most,
                "the connection limit is reached; idle connections are closed for new ones"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_newcomer_takes_the_place_of_who_is_idle_for_longest() {
        let crowd = Crowd::new(2);
        let (first, second) = (CancellationToken::new(), CancellationToken::new());
        let place = crowd.place().await;
        let _other = crowd.place().await;
        let turn = crowd.enter(first.clone());
        crowd.enter(second.clone());
        // The first connection sends another request, and is the youngest afterwards.
        crowd.leave(turn);
        crowd.enter(first.clone());
        // Their requests may be on their way.
        crowd.close_one();
        assert!(!second.is_cancelled());
        let closed = second.clone();
        tokio::spawn(async move {
            closed.cancelled().await;
            drop(place);
        });
        let _newcomer = crowd.place().await;
        assert!(second.is_cancelled() && !first.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn newcomers_in_a_burst_do_not_wait_for_one_to_close_after_the_other() {
        const CLOSING: Duration = Duration::from_millis(10);
        let crowd = Crowd::new(64);
        for _ in 0..64 {
            let (place, close) = (crowd.place().await, CancellationToken::new());
            crowd.enter(close.clone());
            tokio::spawn(async move {
                close.cancelled().await;
                tokio::time::sleep(CLOSING).await;
                drop(place);
            });
        }
        tokio::time::sleep(GRACE).await;
        let begun = Instant::now();
        let mut places = Vec::new();
        for _ in 0..60 {
            places.push(crowd.place().await);
        }
        assert!(begun.elapsed() < CLOSING * 60 / 3, "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn where_nobody_is_idle_a_newcomer_waits() {
        let crowd = Crowd::new(1);
        let place = crowd.place().await;
        let waiting = tokio::time::timeout(Duration::from_secs(9), crowd.place()).await;
        assert!(waiting.is_err());
        drop(place);
        let _place = crowd.place().await;
    }
}
