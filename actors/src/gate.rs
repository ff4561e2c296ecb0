//! The node's circuit breaker: while broker or store fail, the stages pull nothing.

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

/// Code of the failure when a queue is missing.
const QUEUE_MISSING: &str = "topology-missing";

/// A probe that takes longer counts as failed.
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);

/// Failures of the node's codec. The probe that closes the breaker also starts the codec once more.
const CODEC_FAULTS: [&str; 2] = ["codec-missing", "codec-unusable"];

/// The breaker of a node, shared by all its stages.
#[derive(Debug)]
pub struct Gate {
    breaker: Mutex<Breaker>,
    /// Why the node takes no work, whatever the state of the breaker.
    barred: Mutex<Option<Failure>>,
    /// Whether the newest failure was the codec's.
    codec: AtomicBool,
    changed: watch::Sender<()>,
    started: Instant,
}

impl Default for Gate {
    fn default() -> Self {
        let codec = AtomicBool::new(false);
        Self {
            breaker: Mutex::default(),
            barred: Mutex::default(),
            codec,
            changed: watch::channel(()).0,
            started: Instant::now(),
        }
    }
}

impl Gate {
    /// Reports a failure of a stage. A failure of a dependency opens the breaker. A failure of the store about one object opens it only
    /// after it was [judged](Self::judge).
    pub fn on_failure(&self, ports: &Ports, failure: &Failure) {
        if trial::accused(failure).is_none() {
            self.open(ports, failure);
        }
    }

    /// Classifies a failure of a stage. If the store fails for one object and works for others, the failure is not a dependency's. Opens
    /// the breaker if a dependency is down.
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

    /// Reports a failure of a pull. A missing queue does not open the breaker, because stages that pull from other queues are not affected.
    pub fn on_pull_failure(&self, ports: &Ports, failure: &Failure) {
        if failure.code != QUEUE_MISSING {
            self.on_failure(ports, failure);
        }
    }

    /// Reports work that succeeded.
    pub fn on_success(&self) {
        self.lock().on_success();
    }

    /// Whether the breaker is open, so that nothing is pulled.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.barred().is_some() || self.lock().is_open()
    }

    /// Why the node takes no work, apart from the breaker. `None` if it does.
    #[must_use]
    pub fn barred(&self) -> Option<Failure> {
        self.barred.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets or clears the reason why the node takes no work. Returns whether that is a change.
    pub fn bar(&self, why: Option<Failure>) -> bool {
        let wanted = why.is_some();
        let mut barred = self.barred.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = std::mem::replace(&mut *barred, why).is_some() != wanted;
        drop(barred);
        if changes {
            self.changed.send_replace(());
        }
        changes
    }

    /// Returns when the stage may pull. While the breaker is open, one of the waiting stages probes for all of them.
    pub async fn pass(self: &Arc<Self>, ports: &Ports) {
        loop {
            let mut changed = self.changed.subscribe();
            if self.barred().is_some() {
                // The gate owns the sender, so this does not fail.
                _ = changed.changed().await;
                continue;
            }
            let turn = self.lock().turn(self.started.elapsed());
            let until = match turn {
                Turn::Go => return,
                Turn::Wait(until) => Some(self.started + until),
                Turn::Watch => None,
                Turn::Probe => {
                    // The probe runs in its own task: it must end even if the stage that started it stops waiting.
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
                // `self` owns the sender, so the channel is never closed.
                _ = changed.changed() => {}
            }
        }
    }

    async fn probe(self: Arc<Self>, ports: Ports) {
        // The probe runs in its own task: the breaker must close again even if a port panics.
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

/// Probes what every task needs: an answer from the broker's leader, and a small object that is written, read and removed. Starts the codec
/// too if its failure opened the breaker.
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
