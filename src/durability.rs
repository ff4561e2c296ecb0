//! Checks regularly whether the broker keeps confirmed writes, for the metrics and the readiness check.
//!
//! A server that does not sync every write loses the confirmed writes of the last minutes on a power failure, unless other replicas
//! survive.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::bus::doctor::{self, Durability};
use crate::http::Warning;
use crate::metrics::Metrics;
use crate::settings::Settings;

/// Pause between two checks. Reconfiguring a server takes a restart.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// Pause after a check that the server did not answer.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// The result of the checks, kept up to date until it is dropped.
#[derive(Debug)]
pub struct DurabilityWatch {
    known: watch::Receiver<Durability>,
    required: bool,
    looking: JoinHandle<()>,
}

impl DurabilityWatch {
    /// Checks once, then continues in the background.
    pub async fn start(settings: &Settings, metrics: Arc<Metrics>) -> Self {
        let (monitor, replicas) = (settings.nats.monitor.clone(), settings.nats.replicas);
        let first = look(monitor.as_deref(), replicas, &metrics).await;
        let (tell, known) = watch::channel(first);
        let looking = tokio::spawn(async move {
            let mut found = first;
            while monitor.is_some() {
                let told = found != Durability::Unknown;
                tokio::time::sleep(if told { LOOK_INTERVAL } else { RETRY_INTERVAL }).await;
                found = look(monitor.as_deref(), replicas, &metrics).await;
                tell.send_replace(found);
            }
        });
        Self { known, required: settings.nats.require_sync, looking }
    }

    /// Warnings for the readiness check.
    #[must_use]
    pub fn warnings(&self) -> Arc<dyn Fn() -> Vec<Warning> + Send + Sync> {
        let (known, required) = (self.known.clone(), self.required);
        Arc::new(move || warning(*known.borrow(), required).into_iter().collect())
    }
}

impl Drop for DurabilityWatch {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

async fn look(monitor: Option<&str>, replicas: u32, metrics: &Metrics) -> Durability {
    let sync_always = match monitor {
        Some(monitor) => doctor::sync_always(monitor).await,
        None => None,
    };
    metrics.sync_always(sync_always);
    doctor::durability(sync_always, replicas)
}

fn warning(known: Durability, required: bool) -> Option<Warning> {
    let (code, detail) = match known {
        Durability::Synced | Durability::Copied => return None,
        Durability::AtRisk => (
            "broker-unsynced",
            "the broker confirms writes before they are synced, and has one replica: set `sync_interval: always`",
        ),
        Durability::Unknown => (
            "broker-sync-unknown",
            "it is not known whether the broker syncs every write: set nats.monitor to its monitoring address",
        ),
    };
    Some(Warning { code, detail: detail.into(), refuses: required })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_is_refused_only_where_a_setting_demands_it() {
        assert_eq!(warning(Durability::Synced, true), None);
        assert_eq!(warning(Durability::Copied, true), None);
        for known in [Durability::AtRisk, Durability::Unknown] {
            assert_eq!(warning(known, false).map(|warning| warning.refuses), Some(false));
            assert_eq!(warning(known, true).map(|warning| warning.refuses), Some(true));
        }
    }
}
