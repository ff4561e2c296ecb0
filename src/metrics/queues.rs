//! Metrics of queues from which no live node takes tasks now. Only the active reconciler exports them.

use std::collections::BTreeMap;

use jetreel_domain::delivery::dispatch::TaskQueue;
use prometheus::{IntGaugeVec, Opts};

use super::Builder;

/// The metrics.
pub(super) struct Queues {
    unservable: IntGaugeVec,
    opens: IntGaugeVec,
}

impl Queues {
    pub(super) fn new(b: &Builder) -> prometheus::Result<Self> {
        let unservable = "Queued tasks that wait for a node with labels that no live node has; absent where a node takes them; reported \
                          only by the active reconciler";
        let opens = "When tasks of a queue are taken again by the hours of lane, group and nodes, in seconds since the Unix epoch; absent \
                     where they are taken now; reported only by the active reconciler";
        let gauges = |name: &str, help: &str| {
            b.add(IntGaugeVec::new(Opts::new(name, help), &["lane", "group"])?)
        };
        Ok(Self {
            unservable: gauges("jetreel_unservable", unservable)?,
            opens: gauges("jetreel_queue_opens_timestamp_seconds", opens)?,
        })
    }

    pub(super) fn reset(&self) {
        self.unservable.reset();
        self.opens.reset();
    }

    pub(super) fn set(
        &self,
        unservable: &BTreeMap<TaskQueue, u64>,
        opens: &BTreeMap<TaskQueue, i64>,
    ) {
        self.reset();
        let set = |gauge: &IntGaugeVec, queue: &TaskQueue, number: i64| {
            let labels = [queue.lane.as_str(), queue.group.as_str()];
            gauge.with_label_values(&labels).set(number);
        };
        for (queue, tasks) in unservable {
            set(&self.unservable, queue, i64::try_from(*tasks).unwrap_or(i64::MAX));
        }
        opens.iter().for_each(|(queue, at)| set(&self.opens, queue, *at));
    }
}

#[cfg(test)]
mod tests {
    use jetreel_actors::event::{Event, Reconciled};
    use jetreel_domain::id::Group;
    use jetreel_domain::order::lane::Lane;
    use jetreel_domain::upkeep::leadership::Office;

    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn a_queue_that_waits_is_told_until_a_node_takes_its_tasks() {
        let metrics = Metrics::new().unwrap();
        let main = TaskQueue::new(Lane::Normal, Group::Main);
        let told = |unservable: &[(TaskQueue, u64)], opens: &[(TaskQueue, i64)]| {
            let (unservable, opens) =
                (unservable.iter().copied().collect(), opens.iter().copied().collect());
            metrics.record(&Event::Reconciled(Reconciled::QueuesWait { unservable, opens }));
            metrics.render()
        };
        let text = told(&[(main, 3)], &[(TaskQueue::new(Lane::Low, Group::Top), 1_796_040_000)]);
        for line in [
            "jetreel_unservable{group=\"main\",lane=\"normal\"} 3",
            "jetreel_queue_opens_timestamp_seconds{group=\"top\",lane=\"low\"} 1796040000",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(!told(&[], &[]).contains("jetreel_unservable{"));
        told(&[(main, 3)], &[]);
        metrics.record(&Event::Leading { office: Office::Reconciler, leads: false });
        assert!(!metrics.render().contains("jetreel_unservable{"), "another node tells");
    }
}
