//! Metrics and log lines of the scaler.

use jetreel_actors::event::Scaled;
use jetreel_domain::scale::locals::Count;
use jetreel_domain::scale::scaler::{Change, Wanted};
use jetreel_domain::words::redact::redact;
use prometheus::{GaugeVec, IntCounterVec, IntGauge, IntGaugeVec, Opts};
use tracing::{debug, info, warn};

use super::Builder;

/// Metrics of the scaler.
pub(super) struct Scaler {
    wanted_nodes: IntGaugeVec,
    wanted_slots: IntGaugeVec,
    need_nodes: GaugeVec,
    hook_calls: IntCounterVec,
    local_nodes: IntGaugeVec,
    slots_open: IntGauge,
}

impl Scaler {
    pub(super) fn new(b: &Builder) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| b.add(IntGaugeVec::new(Opts::new(name, help), &[])?);
        let need = Opts::new(
            "jetreel_scaler_need_nodes",
            "Nodes that the load needs at this moment, before hysteresis, stable time and cooldown; reported only by the node that decides",
        );
        Ok(Self {
            wanted_nodes: gauge(
                "jetreel_wanted_nodes",
                "Nodes that the cluster should have; reported only by the node that decides",
            )?,
            wanted_slots: gauge(
                "jetreel_wanted_slots",
                "Slots of all nodes together that have something to do; reported only by the node that decides",
            )?,
            need_nodes: b.add(GaugeVec::new(need, &[])?)?,
            hook_calls: b.counters(
                "jetreel_scaler_hook_calls_total",
                "Calls of the scaler's hook, by result",
                &["result"],
            )?,
            local_nodes: b.add(IntGaugeVec::new(
                Opts::new(
                    "jetreel_scaler_local_nodes",
                    "Node processes of the scaler on its own machine, by state",
                ),
                &["state"],
            )?)?,
            slots_open: b.add(IntGauge::new(
                "jetreel_slots_open",
                "Slots of this node that may take tasks",
            )?)?,
        })
    }

    pub(super) fn count(&self, what: &Scaled) {
        match what {
            Scaled::Decided { wanted, .. } => {
                self.wanted_nodes.with_label_values::<&str>(&[]).set(wanted.nodes.into());
                self.wanted_slots.with_label_values::<&str>(&[]).set(wanted.slots.into());
                self.need_nodes.with_label_values::<&str>(&[]).set(wanted.need);
            }
            Scaled::Retired => {
                self.wanted_nodes.reset();
                self.wanted_slots.reset();
                self.need_nodes.reset();
            }
            Scaled::HookCalled { failed, .. } => {
                let result = failed.as_ref().map_or("taken", |failure| failure.code.as_str());
                self.hook_calls.with_label_values(&[result]).inc();
            }
            Scaled::LocalsCounted(Count { running, draining, down }) => {
                for (state, count) in [("running", running), ("draining", draining), ("down", down)]
                {
                    let count = i64::try_from(*count).unwrap_or(i64::MAX);
                    self.local_nodes.with_label_values(&[state]).set(count);
                }
            }
            Scaled::LocalChanged { .. } => {}
            Scaled::SlotsOpen { open } => {
                self.slots_open.set(i64::try_from(*open).unwrap_or(i64::MAX));
            }
        }
    }
}

/// The log line of an event.
pub(super) fn log(what: &Scaled) {
    match what {
        Scaled::Decided { wanted: Wanted { nodes, slots, need, change }, previous } => match change
        {
            Change::Out | Change::In => {
                info!(nodes, previous, slots, need, "another number of nodes is wanted");
            }
            Change::Steady | Change::Waiting | Change::InHand => {
                debug!(nodes, slots, need, ?change, "the number of nodes stays");
            }
        },
        Scaled::Retired => info!("this node does not decide about the number of nodes any more"),
        Scaled::HookCalled { nodes, failed: None } => {
            info!(nodes, "the scaler's hook was called");
        }
        Scaled::HookCalled { nodes, failed: Some(failure) } => {
            let (code, detail) = (&failure.code, redact(&failure.detail));
            warn!(
                nodes,
                code, detail, "the scaler's hook will be called again: {}", failure.message
            );
        }
        Scaled::LocalsCounted(Count { running, draining, down }) => {
            debug!(running, draining, down, "local nodes counted");
        }
        Scaled::LocalChanged { number, what, detail } => {
            info!(number, what, detail, "local node");
        }
        Scaled::SlotsOpen { open } => info!(open, "slots that may take tasks"),
    }
}

#[cfg(test)]
mod tests {
    use jetreel_actors::event::Event;
    use jetreel_domain::words::failure::Failure;

    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn only_the_node_that_decides_reports_what_is_wanted() {
        let metrics = Metrics::new().unwrap();
        let record = |what| metrics.record(&Event::Scaled(what));
        assert!(!metrics.render().contains("jetreel_wanted_nodes"));
        let wanted = Wanted { nodes: 4, slots: 31, need: 3.5, change: Change::Out };
        record(Scaled::Decided { wanted, previous: 1 });
        let failed = Some(Failure::dependency("scaler-hook-slow", "It hangs."));
        record(Scaled::HookCalled { nodes: 4, failed });
        record(Scaled::HookCalled { nodes: 4, failed: None });
        record(Scaled::LocalsCounted(Count { running: 3, draining: 1, down: 0 }));
        record(Scaled::SlotsOpen { open: 2 });
        let text = metrics.render();
        for line in [
            "jetreel_wanted_nodes 4",
            "jetreel_wanted_slots 31",
            "jetreel_scaler_need_nodes 3.5",
            "jetreel_scaler_hook_calls_total{result=\"taken\"} 1",
            "jetreel_scaler_hook_calls_total{result=\"scaler-hook-slow\"} 1",
            "jetreel_scaler_local_nodes{state=\"running\"} 3",
            "jetreel_slots_open 2",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        record(Scaled::Retired);
        let text = metrics.render();
        assert!(!text.contains("jetreel_wanted_") && !text.contains("jetreel_scaler_need_nodes"));
    }
}
