//! The node's circuit breaker: while storage or broker fail, nothing is pulled.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jetreel_domain::delivery::breaker::{Breaker, Turn};
use jetreel_domain::delivery::claim::Claim;
use jetreel_domain::delivery::trial;
use jetreel_domain::order::owner::PROBES;
use jetreel_domain::words::failure::{Failure, Severity};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::bytes::Bytes;

use crate::event::Event;
use crate::ports::Ports;

/// Code of what fails where a queue is missing.
const QUEUE_MISSING: &str = "topology-missing";

/// A probe that takes longer has failed.
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);

/// Faults of the node's codec that starting it once more shows to be over.
const CODEC_FAULTS: [&str; 2] = ["codec-missing", "codec-unusable"];

/// The breaker of a node, shared by all its stages.
#[derive(Debug)]
pub struct Gate {
    breaker: Mutex<Breaker>,
    /// The newest fault was of the node's codec.
    codec: AtomicBool,
    changed: watch::Sender<()>,
    started: Instant,
}

impl Default for Gate {
    fn default() -> Self {
        let codec = AtomicBool::new(false);
        Self {
            breaker: Mutex::default(),
            codec,
            changed: watch::channel(()).0,
            started: Instant::now(),
        }
    }
}

impl Gate {
    /// A stage met a failure: opens where it was a dependency's. What the store says of one object opens nothing before it was
    /// [judged](Self::judge).
    pub fn on_failure(&self, ports: &Ports, failure: &Failure) {
        if trial::accused(failure).is_none() {
            self.open(ports, failure);
        }
    }

    /// A failure that a stage met, as it is to be taken: what the store fails at while it is fine for others is no dependency's fault.
    /// Opens where a dependency is away.
    pub(crate) async fn judge(
        &self,
        ports: &Ports,
        failure: Failure,
        claim: Option<&Claim>,
    ) -> Failure {
        let (failure, away) = crate::trial::hold(ports, failure, claim).await;
        if away {
            self.open(ports, &failure);
        }
        failure
    }

    fn open(&self, ports: &Ports, failure: &Failure) {
        if failure.severity != Severity::DependencyFault {
            return;
        }
        self.codec.store(CODEC_FAULTS.contains(&failure.code.as_str()), Ordering::Relaxed);
        let opened = {
            let mut breaker = self.lock();
            let was_open = breaker.is_open();
            breaker.on_fault(self.started.elapsed(), ports.environment.chance());
            !was_open
        };
        if opened {
            ports.environment.emit(Event::BreakerOpened { failure: failure.clone() });
        }
        self.changed.send_replace(());
    }

    /// A pull met a failure. A queue that is missing holds up nobody who pulls from another.
    pub fn on_pull_failure(&self, ports: &Ports, failure: &Failure) {
        if failure.code != QUEUE_MISSING {
            self.on_failure(ports, failure);
        }
    }

    /// Work ended well.
    pub fn on_success(&self) {
        self.lock().on_success();
    }

    /// Whether nothing is to be pulled now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.lock().is_open()
    }

    /// Returns when work may be taken. While the breaker is open, one of those who wait here probes for all.
    pub async fn pass(self: &Arc<Self>, ports: &Ports) {
        loop {
            let mut changed = self.changed.subscribe();
            let turn = self.lock().turn(self.started.elapsed());
            let until = match turn {
                Turn::Go => return,
                Turn::Wait(until) => Some(self.started + until),
                Turn::Watch => None,
                Turn::Probe => {
                    // A task of its own: whoever waits may go away, the probe must come to an end.
                    tokio::spawn(Arc::clone(self).probe(ports.clone()));
                    None
                }
            };
            let timer = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = timer => {}
                // The sender is ours: it cannot have gone.
                _ = changed.changed() => {}
            }
        }
    }

    async fn probe(self: Arc<Self>, ports: Ports) {
        // A task of its own: even where a port panics, somebody must close the breaker one day.
        let codec = self.codec.load(Ordering::Relaxed);
        let looked = tokio::spawn({
            let ports = ports.clone();
            async move { tokio::time::timeout(PROBE_TIMEOUT, look(&ports, codec)).await }
        });
        let none =
            || Failure::dependency("probe-timeout", "Storage or broker did not answer in time.");
        match looked.await.map_or_else(|_| Err(none()), |done| done.unwrap_or_else(|_| Err(none())))
        {
            Ok(()) => {
                self.lock().on_probe();
                ports.environment.emit(Event::BreakerClosed);
            }
            Err(failure) => {
                tracing::debug!(%failure, "probe failed");
                self.lock().on_fault(self.started.elapsed(), ports.environment.chance());
            }
        }
        self.changed.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What every task needs: an answer from the broker's leader, and a small object written, read and removed; and the codec, where that
/// failed.
async fn look(ports: &Ports, codec: bool) -> Result<(), Failure> {
    if codec {
        ports.codec.build().await?;
    }
    ports.broker.check().await?;
    let content = ports.environment.uuid();
    let key = format!("{PROBES}{content}");
    ports.store.write(&key, Bytes::from(content.clone())).await?;
    let read = ports.store.read_all(&key).await?;
    ports.store.delete(&key).await?;
    if read == content.as_bytes() {
        return Ok(());
    }
    Err(Failure::dependency(
        "store-corrupt",
        "An object reads back differently from what was written.",
    ))
}
