//! Registers metrics, and keeps what dashboards and alert rules may name: name, kind and labels of each.

use std::cell::RefCell;

use prometheus::core::Collector;
use prometheus::proto::MetricType;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

/// A metric as dashboards and alert rules name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Name. A histogram has the series `_bucket`, `_sum` and `_count` of it.
    pub name: String,
    /// Text after `# HELP`.
    pub help: String,
    /// Kind.
    pub kind: Kind,
    /// Names of its labels, without `le` of a histogram.
    pub labels: Vec<String>,
}

/// Kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, and starts at zero with the process.
    Counter,
    /// Grows and shrinks.
    Gauge,
    /// Counts values by size.
    Histogram,
}

/// Registry under construction.
pub(super) struct Builder {
    registry: Registry,
    described: RefCell<Vec<Description>>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self { registry: Registry::new(), described: RefCell::default() }
    }

    /// The registry, and a description of every metric in it.
    pub(super) fn built(self) -> (Registry, Vec<Description>) {
        (self.registry, self.described.into_inner())
    }

    /// Registers a collector.
    pub(super) fn add<C: Collector + Clone + 'static>(
        &self,
        collector: C,
    ) -> prometheus::Result<C> {
        self.register(collector.clone())?;
        Ok(collector)
    }

    /// Registers a collector that is not needed afterwards.
    pub(super) fn register<C: Collector + 'static>(&self, collector: C) -> prometheus::Result<()> {
        let families = collector.collect();
        let mut described = self.described.borrow_mut();
        for desc in collector.desc() {
            let family = families.iter().find(|family| family.name() == desc.fq_name);
            // A collector of the process leaves out what the machine does not tell.
            let Some(family) = family else { continue };
            described.push(Description {
                name: desc.fq_name.clone(),
                help: desc.help.clone(),
                kind: kind(family.get_field_type()),
                labels: desc.variable_labels.clone(),
            });
        }
        self.registry.register(Box::new(collector))
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.add(IntCounter::new(name, help)?)
    }

    pub(super) fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn histogram(
        &self,
        name: &str,
        help: &str,
        bounds: &[f64],
        labels: &[&str],
    ) -> prometheus::Result<HistogramVec> {
        let options = HistogramOpts::new(name, help).buckets(bounds.to_vec());
        self.add(HistogramVec::new(options, labels)?)
    }
}

fn kind(of: MetricType) -> Kind {
    match of {
        MetricType::COUNTER => Kind::Counter,
        MetricType::HISTOGRAM => Kind::Histogram,
        MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED => Kind::Gauge,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_without_values_is_described_too() {
        let builder = Builder::new();
        builder.counters("a_total", "Things", &["reason"]).unwrap();
        builder.histogram("b_seconds", "Times", &[1.0], &["group"]).unwrap();
        let (_, described) = builder.built();
        let of = |name: &str, help: &str, kind, label: &str| Description {
            name: name.to_owned(),
            help: help.to_owned(),
            kind,
            labels: vec![label.to_owned()],
        };
        let expected = [
            of("a_total", "Things", Kind::Counter, "reason"),
            of("b_seconds", "Times", Kind::Histogram, "group"),
        ];
        assert_eq!(described, expected);
    }
}
