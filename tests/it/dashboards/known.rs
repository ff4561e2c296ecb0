//! Series that dashboards and rules may name, and their labels.

use std::collections::BTreeMap;

use jetreel::metrics::{Description, Kind, Metrics};

use super::{promql, rules};

/// A name, its kind and its labels.
type Row = (&'static str, Kind, &'static [&'static str]);

/// Metrics of the leader and of the scaler that are not there yet. Who adds one takes it off this list.
const COMING: [Row; 0] = [];

/// Metrics that go, and that no panel shows: `jetreel_lag` takes their place.
const GOING: [&str; 0] = [];

const OF_STREAMS: &[&str] = &["server_name", "stream_name", "is_stream_leader"];
const OF_CONSUMERS: &[&str] =
    &["server_name", "stream_name", "consumer_name", "is_consumer_leader"];

/// Series of Prometheus itself and of prometheus-nats-exporter (`collector/jsz.go`).
const FOREIGN: [Row; 7] = [
    ("up", Kind::Gauge, &[]),
    ("jetstream_server_total_message_bytes", Kind::Gauge, &["server_name"]),
    ("jetstream_server_max_storage", Kind::Gauge, &["server_name"]),
    ("jetstream_stream_total_bytes", Kind::Gauge, OF_STREAMS),
    ("jetstream_consumer_num_pending", Kind::Gauge, OF_CONSUMERS),
    ("jetstream_consumer_num_ack_pending", Kind::Gauge, OF_CONSUMERS),
    ("jetstream_consumer_num_waiting", Kind::Gauge, OF_CONSUMERS),
];

/// Labels that Prometheus adds to every series.
const ADDED: [&str; 2] = ["job", "instance"];

/// Ends of the series of a histogram.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// The metric that a series belongs to.
pub(super) fn metric_of(series: &str) -> &str {
    PARTS.into_iter().find_map(|part| series.strip_suffix(part)).unwrap_or(series)
}

/// Whether a query needs something that two nodes alone do not export: metrics to come, and those of others.
pub(super) fn needs_more(expr: &str) -> bool {
    let absent = |metric: &str| is_coming(metric_of(metric)) || metric.starts_with("jetstream_");
    promql::named(expr).selectors.iter().any(|selector| absent(&selector.metric))
}

/// Whether a metric is not there yet.
pub(super) fn is_coming(metric: &str) -> bool {
    COMING.iter().any(|(name, ..)| *name == metric)
}

/// A complaint for each metric to come that has come.
pub(super) fn come() -> Vec<String> {
    let metrics = Metrics::new().expect("metrics");
    let there = |name: &str| metrics.described().iter().any(|metric| metric.name == name);
    let come = COMING.iter().filter(|(name, ..)| there(name));
    come.map(|(name, ..)| format!("{name} is there: take it off COMING")).collect()
}

/// Every series that may be named.
pub(super) struct Known {
    series: BTreeMap<String, (Kind, Vec<String>)>,
    own: Vec<String>,
}

impl Known {
    pub(super) fn new() -> Self {
        let metrics = Metrics::new().expect("metrics");
        let coming = COMING.into_iter().map(described);
        let own: Vec<Description> = metrics.described().iter().cloned().chain(coming).collect();
        let mut known = Self { series: BTreeMap::new(), own: Vec::new() };
        for metric in &own {
            known.add(metric);
        }
        FOREIGN.into_iter().for_each(|row| known.add(&described(row)));
        for rule in rules::all().into_iter().filter(|rule| !rule.is_alert()) {
            known.series.insert(rule.name, (Kind::Gauge, Vec::new()));
        }
        let names = own.into_iter().map(|metric| metric.name);
        known.own = names.filter(|name| !GOING.contains(&name.as_str())).collect();
        known
    }

    fn add(&mut self, metric: &Description) {
        match metric.kind {
            // The collector of the process exports counters as what they are.
            Kind::Counter | Kind::Gauge => {
                self.series.insert(metric.name.clone(), (metric.kind, metric.labels.clone()));
            }
            Kind::Histogram => {
                for part in PARTS {
                    let mut labels = metric.labels.clone();
                    labels.extend((part == "_bucket").then(|| "le".to_owned()));
                    self.series.insert(format!("{}{part}", metric.name), (Kind::Counter, labels));
                }
            }
        }
    }

    /// Jetreel's metrics that a dashboard must show.
    pub(super) fn own(&self) -> impl Iterator<Item = &str> {
        self.own.iter().map(String::as_str)
    }

    /// Kind of a series.
    pub(super) fn kind(&self, series: &str) -> Option<Kind> {
        self.series.get(series).map(|(kind, _)| *kind)
    }

    /// A complaint for each metric or label in an expression that does not exist.
    pub(super) fn complaints(&self, expr: &str) -> Vec<String> {
        let named = promql::named(expr);
        let mut found = Vec::new();
        let mut labels: Vec<&str> = ADDED.to_vec();
        labels.extend(named.texts.iter().map(String::as_str));
        for selector in &named.selectors {
            let Some((_, own)) = self.series.get(&selector.metric) else {
                found.push(format!("there is no {}", selector.metric));
                continue;
            };
            labels.extend(own.iter().map(String::as_str));
            let has = |label: &String| own.contains(label) || ADDED.contains(&label.as_str());
            let lacking = selector.labels.iter().filter(|label| !has(label));
            found.extend(lacking.map(|label| format!("{} has no label {label}", selector.metric)));
        }
        let lacking = named.labels.iter().filter(|label| !labels.contains(&label.as_str()));
        found.extend(lacking.map(|label| format!("no metric of {expr} has a label {label}")));
        found
    }
}

fn described((name, kind, labels): Row) -> Description {
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    Description { name: name.to_owned(), help: String::new(), kind, labels }
}
