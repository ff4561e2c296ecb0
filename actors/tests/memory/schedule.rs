//! The scheduler: every step of every port call waits here, and one at a time continues, in an order that follows from a seed.
//!
//! Time is tokio's paused clock: it moves only when nothing can run. Before a step continues, everything that the clock and the previous
//! step have woken has run. So no two steps are ever ready at once, and a seed always gives the same run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Random numbers from a seed (splitmix64, public domain).
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        // Mixed first: from neighbouring seeds the generator would give one sequence, shifted by one.
        Self(mix(seed.wrapping_add(STEP)))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// A number from 0 to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with that probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of a list that is not empty.
    pub(crate) fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len() as u64) as usize]
    }
}

/// What the scheduler did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Steps that went on.
    pub(crate) steps: u64,
    /// Of these, the steps that went on before another that waited too: each is one interleaving out of several.
    pub(crate) choices: u64,
}

struct Inner {
    rng: Rng,
    /// By milliseconds and a random number: steps of the same instant go on in a random order.
    waiting: BTreeMap<(u64, u64), oneshot::Sender<()>>,
    told: Told,
    /// Changes with every step: equal runs have equal digests.
    digest: u64,
}

/// See the file's head.
pub(crate) struct Scheduler {
    inner: Mutex<Inner>,
    added: Notify,
    started: Instant,
}

impl Scheduler {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let inner = Inner {
            rng: Rng::new(seed),
            waiting: BTreeMap::new(),
            told: Told::default(),
            digest: seed,
        };
        let scheduler = Arc::new(Self {
            inner: Mutex::new(inner),
            added: Notify::new(),
            started: Instant::now(),
        });
        tokio::spawn(Arc::clone(&scheduler).drive());
        scheduler
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the start.
    pub(crate) fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Draws from the run's random numbers.
    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.lock().rng)
    }

    /// What it did, and the digest of its steps.
    pub(crate) fn told(&self) -> (Told, u64) {
        let inner = self.lock();
        (inner.told, inner.digest)
    }

    /// Waits for at least so many milliseconds, and for its turn.
    pub(crate) async fn hold(&self, milliseconds: u64) {
        let tie = self.draw(Rng::next);
        self.turn(milliseconds, tie).await;
    }

    /// The same; `tie` places it among others of the same instant.
    pub(crate) async fn turn(&self, milliseconds: u64, tie: u64) {
        let (go, gone_on) = oneshot::channel();
        {
            let mut inner = self.lock();
            let at = self.started.elapsed().as_millis() as u64 + milliseconds;
            inner.waiting.insert((at, tie), go);
        }
        self.added.notify_one();
        if gone_on.await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn drive(self: Arc<Self>) {
        loop {
            let first = self.lock().waiting.first_key_value().map(|(key, _)| *key);
            let Some((at, _)) = first else {
                self.added.notified().await;
                continue;
            };
            if self.now() < at {
                let until = self.started + Duration::from_millis(at);
                // Either way the loop looks again.
                drop(tokio::time::timeout_at(until, self.added.notified()).await);
                continue;
            }
            // Returns when nothing else can run: not at once, for timers that have just ended wake tasks that wake others.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            let mut inner = self.lock();
            if let Some(((at, tie), go)) = inner.waiting.pop_first() {
                // The waiting call may have been dropped.
                if go.send(()).is_ok() {
                    inner.told.steps += 1;
                    inner.told.choices += u64::from(!inner.waiting.is_empty());
                    inner.digest = (inner.digest ^ at ^ tie).wrapping_mul(0x0100_0000_01b3);
                }
            }
        }
    }
}
