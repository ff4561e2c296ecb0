//! Metrics of the load of the cluster. Only the measuring node exports them: those of a former one would keep their last values.

use jetreel_domain::scale::load::{Load, QueueLoad};
use prometheus::{GaugeVec, HistogramVec, IntGauge, IntGaugeVec, Opts};

use super::Builder;
use crate::settings::Role;

/// Labels of a queue. Lane and group are empty if its stage has none.
const QUEUE: [&str; 3] = ["stage", "lane", "group"];

/// Buckets around real time, from a hundredth of it to a hundred times.
const REALTIME: [f64; 12] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 100.0];

/// Metrics of the load, and of the speed of this node.
pub(super) struct Gauges {
    leads: IntGauge,
    /// Gauges that vanish when the node stops measuring.
    whole: Vec<IntGaugeVec>,
    parts: Vec<GaugeVec>,
    queues: Queues,
    letters: Letters,
    backlog: GaugeVec,
    waiting: IntGaugeVec,
    nodes: IntGaugeVec,
    slots: IntGaugeVec,
    orphans: IntGaugeVec,
    read_at: IntGaugeVec,
    realtime: HistogramVec,
}

struct Queues {
    lag: IntGaugeVec,
    oldest: GaugeVec,
    redelivered: IntGaugeVec,
    paused: IntGaugeVec,
}

struct Letters {
    depth: IntGaugeVec,
    bytes: IntGaugeVec,
    limit: IntGaugeVec,
}

/// Makes gauges, and keeps them to reset them all.
struct Maker<'a> {
    builder: &'a Builder,
    whole: Vec<IntGaugeVec>,
    parts: Vec<GaugeVec>,
}

impl Maker<'_> {
    fn whole(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntGaugeVec> {
        let gauge = self.builder.add(IntGaugeVec::new(options(name, help), labels)?)?;
        self.whole.push(gauge.clone());
        Ok(gauge)
    }

    fn part(&mut self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
        let gauge = self.builder.add(GaugeVec::new(options(name, help), labels)?)?;
        self.parts.push(gauge.clone());
        Ok(gauge)
    }
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, format!("{help}; reported only by the measuring node"))
}

impl Queues {
    fn new(make: &mut Maker<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            lag: make.whole(
                "jetreel_lag",
                "Messages of a queue that wait or are in hand: num_pending and num_ack_pending of its consumer",
                &QUEUE,
            )?,
            oldest: make.part(
                "jetreel_oldest_seconds",
                "Age of the oldest message that was not delivered yet, 0 without one",
                &QUEUE,
            )?,
            redelivered: make.whole(
                "jetreel_redelivered",
                "Messages in hand that were delivered more than once: num_redelivered",
                &QUEUE,
            )?,
            paused: make.whole(
                "jetreel_consumer_paused",
                "1 while the consumer of a queue is paused, else 0",
                &QUEUE,
            )?,
        })
    }

    fn set(&self, queue: &QueueLoad) {
        let labels = queue.queue().labels();
        self.lag.with_label_values(&labels).set(whole(queue.lag));
        self.oldest.with_label_values(&labels).set(queue.oldest_seconds.unwrap_or(0.0));
        self.redelivered.with_label_values(&labels).set(whole(queue.redelivered));
        let paused = i64::from(queue.paused_until.is_some());
        self.paused.with_label_values(&labels).set(paused);
    }
}

impl Letters {
    fn new(make: &mut Maker<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            depth: make.whole("jetreel_dlq_depth", "Dead letters in the stream", &[])?,
            bytes: make.whole("jetreel_dlq_bytes", "Bytes of the dead letters", &[])?,
            limit: make.whole(
                "jetreel_dlq_limit_bytes",
                "Largest size of the dead letters in bytes; absent without a limit",
                &[],
            )?,
        })
    }
}

impl Gauges {
    /// Metrics of a node that does not measure.
    pub(super) fn new(b: &Builder) -> prometheus::Result<Self> {
        let leads = b.add(IntGauge::new(
            "jetreel_lag_leader",
            "1 on the node that measures the load, 0 on the others",
        )?)?;
        let realtime = b.histogram(
            "jetreel_realtime_factor",
            "Seconds of a tier that a finished task encoded, by its wall time in seconds",
            &REALTIME,
            &["tier"],
        )?;
        let mut make = Maker { builder: b, whole: Vec::new(), parts: Vec::new() };
        let (queues, letters) = (Queues::new(&mut make)?, Letters::new(&mut make)?);
        let backlog = make.part(
            "jetreel_backlog_seconds",
            "Encode seconds of unfinished tasks of open orders, released or not",
            &["lane", "group"],
        )?;
        let waiting =
            make.whole("jetreel_videos_waiting", "Open orders without a complete tier", &["lane"])?;
        let nodes = make.whole("jetreel_nodes", "Nodes that reported lately", &["role"])?;
        let slots = make.whole("jetreel_slots", "Slots of these nodes", &["state"])?;
        let orphans = make.whole(
            "jetreel_queue_orphans",
            "Messages of a work queue that none of its consumers accounts for",
            &["stage"],
        )?;
        let read_at = make.whole(
            "jetreel_lag_read_timestamp_seconds",
            "When the load was measured, by the broker's clock",
            &[],
        )?;
        let Maker { whole, parts, .. } = make;
        Ok(Self {
            leads,
            whole,
            parts,
            queues,
            letters,
            backlog,
            waiting,
            nodes,
            slots,
            orphans,
            read_at,
            realtime,
        })
    }

    /// Sets whether this node measures.
    pub(super) fn leads(&self, leads: bool) {
        self.leads.set(i64::from(leads));
        if !leads {
            self.whole.iter().for_each(IntGaugeVec::reset);
            self.parts.iter().for_each(GaugeVec::reset);
        }
    }

    /// Sets the load that was measured.
    pub(super) fn set(&self, load: &Load) {
        load.queues.iter().for_each(|queue| self.queues.set(queue));
        self.set_letters(load);
        for work in &load.backlog {
            let labels = [work.lane.as_str(), work.group.as_str()];
            self.backlog.with_label_values(&labels).set(work.seconds);
        }
        for (lane, videos) in &load.videos_waiting {
            self.waiting.with_label_values(&[lane.as_str()]).set(whole(*videos));
        }
        for role in Role::all() {
            let having =
                load.nodes.iter().filter(|node| node.roles.iter().any(|r| r == role.as_str()));
            self.nodes.with_label_values(&[role.as_str()]).set(whole(having.count() as u64));
        }
        let free = load.slots.saturating_sub(load.slots_busy);
        for (state, slots) in [("busy", load.slots_busy), ("free", free)] {
            self.slots.with_label_values(&[state]).set(whole(slots));
        }
        for (stage, orphans) in &load.orphans {
            self.orphans.with_label_values(&[*stage]).set(whole(*orphans));
        }
        self.read_at.with_label_values::<&str>(&[]).set(load.at);
    }

    fn set_letters(&self, load: &Load) {
        let set = |gauge: &IntGaugeVec, number: u64| {
            gauge.with_label_values::<&str>(&[]).set(whole(number));
        };
        set(&self.letters.depth, load.dead_letters.letters);
        set(&self.letters.bytes, load.dead_letters.bytes);
        match load.dead_letters.limit {
            Some(limit) => set(&self.letters.limit, limit),
            None => self.letters.limit.reset(),
        }
    }

    /// Counts a finished task of this node that took so many seconds.
    pub(super) fn encoded(&self, pictures: &[(String, f64)], wall_seconds: f64) {
        for (tier, seconds) in pictures.iter().filter(|_| wall_seconds > 0.0) {
            self.realtime.with_label_values(&[tier.as_str()]).observe(seconds / wall_seconds);
        }
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jetreel_actors::event::Event;
    use jetreel_domain::delivery::room::Room;
    use jetreel_domain::id::Group;
    use jetreel_domain::order::lane::Lane;
    use jetreel_domain::scale::backlog::Backlog;
    use jetreel_domain::scale::load::{NodeLoad, Queues as Read};
    use jetreel_domain::scale::queue::Reader;
    use jetreel_domain::upkeep::leadership::Office;

    use super::super::Metrics;
    use super::*;

    fn queue() -> QueueLoad {
        QueueLoad {
            stage: Reader::Stage(jetreel_domain::delivery::stage::Stage::Encode),
            lane: Some(Lane::Low),
            group: Some(Group::Main),
            stream: "ENCODE".to_owned(),
            consumer: "encode-low-main".to_owned(),
            pending: 5,
            ack_pending: 2,
            lag: 7,
            redelivered: 1,
            oldest_seconds: Some(2.5),
            paused_until: Some(9),
        }
    }

    fn load(limit: Option<u64>) -> Arc<Load> {
        let orphans = [("encode", 3)].into();
        let read = Read { at: 1234, queues: vec![queue()], orphans };
        let node = NodeLoad {
            name: "a".to_owned(),
            roles: vec!["encode".to_owned(), "of another".to_owned()],
            slots: 4,
            busy: 3,
            heard_seconds: 0,
        };
        let room = Room { letters: 3, bytes: 300, limit };
        Arc::new(Load::of(read, &Backlog::default(), vec![node], room))
    }

    fn lead(metrics: &Metrics, office: Office, leads: bool) {
        metrics.record(&Event::Leading { office, leads });
    }

    #[test]
    fn the_measuring_node_exports_the_load_and_a_former_one_does_not() {
        let metrics = Metrics::new().unwrap();
        assert!(metrics.render().contains("jetreel_lag_leader 0"));
        lead(&metrics, Office::Scaler, true);
        metrics.record(&Event::LoadMeasured(load(Some(1000))));
        let text = metrics.render();
        let labels = r#"{group="main",lane="low",stage="encode"}"#;
        for line in [
            format!("jetreel_lag{labels} 7"),
            format!("jetreel_oldest_seconds{labels} 2.5"),
            format!("jetreel_redelivered{labels} 1"),
            format!("jetreel_consumer_paused{labels} 1"),
            r#"jetreel_backlog_seconds{group="top",lane="high"} 0"#.to_owned(),
            r#"jetreel_videos_waiting{lane="normal"} 0"#.to_owned(),
            r#"jetreel_nodes{role="encode"} 1"#.to_owned(),
            r#"jetreel_nodes{role="gateway"} 0"#.to_owned(),
            r#"jetreel_slots{state="busy"} 3"#.to_owned(),
            r#"jetreel_slots{state="free"} 1"#.to_owned(),
            r#"jetreel_queue_orphans{stage="encode"} 3"#.to_owned(),
            "jetreel_dlq_depth 3".to_owned(),
            "jetreel_dlq_bytes 300".to_owned(),
            "jetreel_dlq_limit_bytes 1000".to_owned(),
            "jetreel_lag_leader 1".to_owned(),
            "jetreel_lag_read_timestamp_seconds 1234".to_owned(),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("of another"), "labels are bounded");
        metrics.record(&Event::LoadMeasured(load(None)));
        assert!(!metrics.render().contains("jetreel_dlq_limit_bytes "));

        lead(&metrics, Office::Reconciler, false);
        assert!(metrics.render().contains("jetreel_lag{"), "it is another lease");
        lead(&metrics, Office::Scaler, false);
        let text = metrics.render();
        let left: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let gauges =
            ["jetreel_lag{", "jetreel_dlq_", "jetreel_nodes", "jetreel_slots{", "jetreel_backlog"];
        let gauge = left.iter().find(|line| gauges.iter().any(|gauge| line.starts_with(gauge)));
        assert_eq!(gauge, None);
        assert!(left.contains(&"jetreel_lag_leader 0"));
    }

    #[test]
    fn a_task_that_took_half_the_time_of_its_pictures_ran_at_twice_real_time() {
        let metrics = Metrics::new().unwrap();
        metrics.gauges.encoded(&[("720p".to_owned(), 10.0), ("360p".to_owned(), 10.0)], 5.0);
        metrics.gauges.encoded(&[("720p".to_owned(), 10.0)], 0.0);
        let text = metrics.render();
        for tier in ["360p", "720p"] {
            let sum = format!("jetreel_realtime_factor_sum{{tier=\"{tier}\"}} 2");
            assert!(text.contains(&sum), "{text}");
        }
    }
}
