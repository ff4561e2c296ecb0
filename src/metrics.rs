//! Every metric of Jetreel, and the only place where an event becomes a log line and metrics.
//!
//! Invariant: labels have few values: groups, statuses, routes, failure codes; never an id.

mod builder;
mod cost;
mod labels;
mod lag;
mod log;
mod queues;
mod reconciler;
mod scaler;

use jetreel_actors::event::Event;
use jetreel_domain::delivery::dispatch::Answer;
use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::delivery::subject;
use jetreel_domain::output::price::Prices;
use jetreel_domain::upkeep::leadership::Office;
use prometheus::{
    CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};
use tracing::warn;

pub use builder::{Description, Kind};

use builder::Builder;
use cost::Cost;
use labels::{count_fault, count_one, count_reason, fact_kind};
use lag::Gauges;
use reconciler::Reconciler;
use scaler::Scaler;

/// Reason label of a lease that was not renewed.
const LEASE_RENEWAL: &str = "lease-renewal";

/// The metrics of one node.
pub struct Metrics {
    registry: Registry,
    described: Vec<Description>,
    orders_moved: IntCounterVec,
    tasks: Tasks,
    trouble: Trouble,
    http: Http,
    facts_announced: IntCounterVec,
    swap_conflicts: IntCounterVec,
    stage_faults: IntCounterVec,
    sync_always: IntGaugeVec,
    codec_confinement: IntGaugeVec,
    reconciler: Reconciler,
    gauges: Gauges,
    cost: Cost,
    scaler: Scaler,
}

struct Tasks {
    planned: IntCounter,
    released: IntCounterVec,
    started: IntCounterVec,
    finished: IntCounterVec,
    duration: HistogramVec,
    codec_cpu: CounterVec,
    renew_failures: IntCounterVec,
    slots_busy: IntGaugeVec,
    pulls: IntCounterVec,
}

struct Trouble {
    attempts_failed: IntCounterVec,
    claims_lost: IntCounterVec,
    buried: IntCounterVec,
    refused: IntCounterVec,
    unburied: IntCounterVec,
    hook_calls: IntCounterVec,
    revived: IntCounterVec,
    orphans: IntCounterVec,
    undeliverable: IntCounterVec,
    breaker_open: IntGauge,
    breaker_opened: IntCounterVec,
}

struct Http {
    requests: IntCounterVec,
    duration: HistogramVec,
    connections: IntGauge,
    connections_closed: IntCounterVec,
    upload_bytes: IntCounter,
    upload_confirmation: Histogram,
}

/// Buckets from a fraction of a second to half an hour.
const TASK_SECONDS: [f64; 11] = [0.25, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 600.0, 1800.0];
/// Buckets around the promised two seconds of a confirmation.
const CONFIRMATION_SECONDS: [f64; 9] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0];
/// Buckets of HTTP answers.
const HTTP_SECONDS: [f64; 9] = [0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0];

impl Tasks {
    fn pulled(&self, answer: Answer) {
        self.pulls.with_label_values(&[answer.as_str()]).inc();
    }

    fn new(b: &Builder) -> prometheus::Result<Self> {
        let cpu = Opts::new("jetreel_codec_cpu_seconds_total", "CPU time of codec processes");
        let busy = Opts::new("jetreel_slots_busy", "Slots that are encoding");
        Ok(Self {
            planned: b.counter("jetreel_tasks_planned_total", "Tasks in new plans")?,
            released: b.counters(
                "jetreel_tasks_released_total",
                "Tasks released to their queues",
                &["group"],
            )?,
            started: b.counters(
                "jetreel_tasks_started_total",
                "Attempts at tasks that were started",
                &["group"],
            )?,
            finished: b.counters(
                "jetreel_tasks_finished_total",
                "Successful attempts at tasks, by whether their result counts",
                &["group", "result"],
            )?,
            duration: b.histogram(
                "jetreel_task_duration_seconds",
                "Wall time of a task from its claim to its ledger entry",
                &TASK_SECONDS,
                &["group"],
            )?,
            codec_cpu: b.add(CounterVec::new(cpu, &["group"])?)?,
            renew_failures: b.counters(
                "jetreel_renew_failures_total",
                "Renewals of a lease that failed",
                &["group"],
            )?,
            slots_busy: b.add(IntGaugeVec::new(busy, &["group"])?)?,
            pulls: b.counters(
                "jetreel_task_pulls_total",
                "Pulls from the queues of tasks, by their answers",
                &["answer"],
            )?,
        })
    }
}

impl Trouble {
    fn new(b: &Builder) -> prometheus::Result<Self> {
        let open = "1 while the node pulls nothing because storage or broker fail, else 0";
        Ok(Self {
            attempts_failed: b.counters(
                "jetreel_attempts_failed_total",
                "Failed attempts, by reason and by what happens next",
                &["stage", "reason", "next"],
            )?,
            claims_lost: b.counters(
                "jetreel_claims_lost_total",
                "Attempts that ended without settling their message because another worker holds the claim",
                &["stage"],
            )?,
            buried: b.counters(
                "jetreel_dead_letters_total",
                "Messages that were buried in the dead letters",
                &["stage", "reason"],
            )?,
            refused: b.counters(
                "jetreel_refused_total",
                "Videos whose media was refused",
                &["reason"],
            )?,
            unburied: b.counters(
                "jetreel_unburied_total",
                "Failed burials: the stream of dead letters cannot be written",
                &["stage", "reason"],
            )?,
            hook_calls: b.counters(
                "jetreel_hook_calls_total",
                "Calls of the dead-letter hook, by result",
                &["result"],
            )?,
            revived: b.counters(
                "jetreel_replays_total",
                "Dead letters that were replayed",
                &["stage"],
            )?,
            orphans: b.counters(
                "jetreel_orphans_total",
                "Messages that the broker gave up, by how they were handled",
                &["stream", "end"],
            )?,
            undeliverable: b.counters(
                "jetreel_undeliverable_total",
                "Messages that were removed because no node can receive them",
                &["stream"],
            )?,
            breaker_open: b.add(IntGauge::new("jetreel_breaker_open", open)?)?,
            breaker_opened: b.counters(
                "jetreel_breaker_opened_total",
                "Openings of the circuit breaker, by the failure that caused them",
                &["reason"],
            )?,
        })
    }
}

impl Http {
    fn new(b: &Builder) -> prometheus::Result<Self> {
        let confirmation = HistogramOpts::new(
            "jetreel_upload_confirmation_seconds",
            "Time from the last byte of an upload to its confirmation",
        );
        Ok(Self {
            requests: b.counters(
                "jetreel_http_requests_total",
                "Answered HTTP requests",
                &["route", "method", "status"],
            )?,
            duration: b.histogram(
                "jetreel_http_request_duration_seconds",
                "Time from an HTTP request to the head of its answer",
                &HTTP_SECONDS,
                &["route"],
            )?,
            connections: b
                .add(IntGauge::new("jetreel_http_connections", "Connections that are open")?)?,
            connections_closed: b.counters(
                "jetreel_http_connections_closed_total",
                "Connections that ended, by why: client, head, idle, write, crowded or drain",
                &["reason"],
            )?,
            upload_bytes: b.counter("jetreel_upload_bytes_total", "Bytes of accepted uploads")?,
            upload_confirmation: b
                .add(Histogram::with_opts(confirmation.buckets(CONFIRMATION_SECONDS.to_vec()))?)?,
        })
    }
}

impl Metrics {
    /// Metrics at zero, including those of the process.
    ///
    /// # Errors
    /// Two metrics have the same name, which is a fault of this file.
    pub fn new() -> prometheus::Result<Self> {
        let b = Builder::new();
        #[cfg(target_os = "linux")]
        b.register(prometheus::process_collector::ProcessCollector::for_self())?;
        let mut metrics = Self {
            orders_moved: b.counters(
                "jetreel_orders_moved_total",
                "Orders that reached a status",
                &["status"],
            )?,
            tasks: Tasks::new(&b)?,
            trouble: Trouble::new(&b)?,
            http: Http::new(&b)?,
            facts_announced: b.counters(
                "jetreel_facts_announced_total",
                "Facts published for subscribers",
                &["fact"],
            )?,
            swap_conflicts: b.counters(
                "jetreel_swap_conflicts_total",
                "Compare-and-sets that met another writer",
                &["bucket"],
            )?,
            stage_faults: b.counters(
                "jetreel_stage_faults_total",
                "Trouble that a stage will try again",
                &["stage", "reason"],
            )?,
            sync_always: b.add(IntGaugeVec::new(
                Opts::new(
                    "jetreel_js_sync_always",
                    "1 where the broker syncs every write before it confirms it, else 0; absent where that is not known",
                ),
                &[],
            )?)?,
            reconciler: Reconciler::new(&b)?,
            gauges: Gauges::new(&b)?,
            cost: Cost::new(&b)?,
            scaler: Scaler::new(&b)?,
            codec_confinement: b.add(IntGaugeVec::new(
                Opts::new(
                    "jetreel_codec_confinement",
                    "1 for how well codec processes are confined",
                ),
                &["tier"],
            )?)?,
            registry: Registry::new(),
            described: Vec::new(),
        };
        (metrics.registry, metrics.described) = b.built();
        Ok(metrics)
    }

    /// Name, kind and labels of every metric, also of those without a value yet.
    #[must_use]
    pub fn described(&self) -> &[Description] {
        &self.described
    }

    /// All metrics in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_else(|error| {
            warn!(%error, "metrics cannot be rendered");
            String::new()
        })
    }

    /// Counts an answered request. `route` is the pattern, not the path.
    pub fn http_request(&self, route: &str, method: &str, status: u16, seconds: f64) {
        // Clients may send any method, so the label has only the known ones.
        let known = ["GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"];
        let method = known.into_iter().find(|known| *known == method).unwrap_or("other");
        self.http.requests.with_label_values(&[route, method, &status.to_string()]).inc();
        self.http.duration.with_label_values(&[route]).observe(seconds);
    }

    /// A connection that was made.
    pub fn connected(&self) {
        self.http.connections.inc();
    }

    /// A connection that ended, and why.
    pub fn disconnected(&self, reason: &str) {
        self.http.connections.dec();
        self.http.connections_closed.with_label_values(&[reason]).inc();
    }

    /// An accepted upload: its size, and how long its last byte waited for the confirmation.
    pub fn upload_accepted(&self, bytes: u64, confirmation_seconds: f64) {
        self.http.upload_bytes.inc_by(bytes);
        self.http.upload_confirmation.observe(confirmation_seconds);
    }

    /// Sets whether the broker syncs every write. `None` if unknown.
    pub fn sync_always(&self, known: Option<bool>) {
        self.sync_always.reset();
        if let Some(known) = known {
            self.sync_always.with_label_values::<&str>(&[]).set(i64::from(known));
        }
    }

    /// Sets the prices of the settings.
    pub fn prices(&self, prices: &Prices) {
        self.cost.prices(prices);
    }

    /// Sets the confinement of codec processes on this node.
    pub fn codec_confinement(&self, tier: &str) {
        self.codec_confinement.with_label_values(&[tier]).set(1);
    }

    /// Writes the log line of an event and counts it.
    pub fn record(&self, event: &Event) {
        self.count(event);
        log::event(event);
    }

    /// Counts a lease that was not renewed: by group for a task, else by stage.
    fn lease_not_renewed(&self, stage: &str, subject: &str) {
        match subject::task_in(subject).filter(|_| stage == Stage::Encode.as_str()) {
            Some(task) => {
                self.tasks.renew_failures.with_label_values(&[task.group.as_str()]).inc();
            }
            None => self.stage_faults.with_label_values(&[stage, LEASE_RENEWAL]).inc(),
        }
    }

    fn leads(&self, office: Office, leads: bool) {
        match office {
            Office::Reconciler => self.reconciler.leads(leads),
            Office::Scaler => self.gauges.leads(leads),
        }
    }

    fn count(&self, event: &Event) {
        match event {
            Event::OrderMoved { to, .. } => {
                self.orders_moved.with_label_values(&[to.as_str()]).inc();
            }
            Event::CostCounted { sheet, .. } => self.cost.completed(sheet),
            Event::Planned { tasks, .. } => self.tasks.planned.inc_by(*tasks as u64),
            Event::Released { task, .. } => {
                self.tasks.released.with_label_values(&[task.group.as_str()]).inc();
            }
            Event::TaskStarted { task, .. } => {
                self.tasks.started.with_label_values(&[task.group.as_str()]).inc();
            }
            Event::TierProgress { .. } => {}
            Event::TaskFinished { task, seconds, cpu_seconds, pictures, won, .. } => {
                self.gauges.encoded(pictures, *seconds);
                let group = task.group.as_str();
                let result = if *won { "won" } else { "lost" };
                self.tasks.finished.with_label_values(&[group, result]).inc();
                self.tasks.duration.with_label_values(&[group]).observe(*seconds);
                self.tasks.codec_cpu.with_label_values(&[group]).inc_by(cpu_seconds.max(0.0));
            }
            Event::AttemptFailed { stage, failure, again, .. } => {
                let next = if *again { "again" } else { "dead" };
                let labels = [stage.as_str(), failure.code.as_str(), next];
                self.trouble.attempts_failed.with_label_values(&labels).inc();
            }
            Event::ClaimLost { stage, .. } => {
                self.trouble.claims_lost.with_label_values(&[stage.as_str()]).inc();
            }
            Event::Buried { stage, failure, .. } => {
                count_fault(&self.trouble.buried, *stage, failure);
            }
            Event::Refused { failure, .. } => count_reason(&self.trouble.refused, failure),
            Event::Unburied { stage, failure } => {
                count_fault(&self.trouble.unburied, *stage, failure);
            }
            Event::HookCalled { refused } => {
                let result = refused.as_ref().map_or("taken", |failure| failure.code.as_str());
                self.trouble.hook_calls.with_label_values(&[result]).inc();
            }
            Event::Revived { stage, .. } => {
                self.trouble.revived.with_label_values(&[stage.as_str()]).inc();
            }
            Event::OrphanSettled { stream, end } => {
                self.trouble.orphans.with_label_values(&[stream.as_str(), *end]).inc();
            }
            Event::Undeliverable { stream, .. } => count_one(&self.trouble.undeliverable, stream),
            Event::BreakerOpened { failure } => {
                self.trouble.breaker_open.set(1);
                self.trouble.breaker_opened.with_label_values(&[failure.code.as_str()]).inc();
            }
            Event::BreakerClosed => self.trouble.breaker_open.set(0),
            Event::Announced { fact, .. } => count_one(&self.facts_announced, fact_kind(fact)),
            Event::RenewFailed { stage, subject } => self.lease_not_renewed(stage, subject),
            Event::SwapConflict { bucket } => count_one(&self.swap_conflicts, bucket),
            Event::StageFault { stage, failure } => {
                self.stage_faults.with_label_values(&[*stage, failure.code.as_str()]).inc();
            }
            Event::Reconciled(what) => self.reconciler.count(what),
            Event::Leading { office, leads } => self.leads(*office, *leads),
            Event::LoadMeasured(load) => self.gauges.set(load),
            Event::Scaled(what) => self.scaler.count(what),
            Event::Pulled { answer } => self.tasks.pulled(*answer),
            Event::SlotsBusy { group, busy } => {
                let busy = i64::try_from(*busy).unwrap_or(i64::MAX);
                self.tasks.slots_busy.with_label_values(&[group.as_str()]).set(busy);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetreel_domain::words::failure::Failure;

    #[test]
    fn every_name_carries_the_prefix_and_events_are_counted() {
        let metrics = Metrics::new().unwrap();
        let failure = Failure::dependency("store-timeout", "storage is slow");
        metrics.record(&Event::StageFault { stage: "ingest", failure });
        metrics.http_request("/v1/jobs", "GET", 200, 0.01);
        metrics.upload_accepted(7, 0.02);
        assert!(!metrics.render().contains("jetreel_js_sync_always"));
        metrics.sync_always(Some(false));
        metrics.codec_confinement("FULL");
        let text = metrics.render();
        assert!(text.contains("jetreel_js_sync_always 0"), "{text}");
        let line = "jetreel_stage_faults_total{reason=\"store-timeout\",stage=\"ingest\"} 1";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("jetreel_codec_confinement{tier=\"FULL\"} 1"), "{text}");
        let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        for name in names {
            assert!(name.starts_with("jetreel_") || name.starts_with("process_"), "{name}");
        }
    }
}
