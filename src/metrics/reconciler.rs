//! Metrics of the reconciler.

use jetreel_actors::event::Reconciled;
use jetreel_domain::delivery::room::Room;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::Builder;
use super::queues::Queues;

/// Metrics of the reconciler.
pub(super) struct Reconciler {
    leads: IntGauge,
    letters: Letters,
    lag: IntGaugeVec,
    queues: Queues,
    repairs: IntCounterVec,
    orphans_deleted: IntCounter,
    orphan_bytes_deleted: IntCounter,
    orphans: IntGauge,
    unread: IntGauge,
}

/// Gauges of the dead letters. Only the active reconciler exports them: a former one would keep reporting its last values.
struct Letters {
    depth: IntGaugeVec,
    bytes: IntGaugeVec,
    limit: IntGaugeVec,
}

impl Letters {
    fn new(b: &Builder) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| b.add(IntGaugeVec::new(Opts::new(name, help), &[])?);
        Ok(Self {
            depth: gauge(
                "jetreel_dlq_depth",
                "Dead letters in the stream; reported only by the active reconciler",
            )?,
            bytes: gauge(
                "jetreel_dlq_bytes",
                "Bytes of the dead letters; reported only by the active reconciler",
            )?,
            limit: gauge(
                "jetreel_dlq_limit_bytes",
                "Largest size of the dead letters in bytes; absent without a limit; reported only by the active reconciler",
            )?,
        })
    }

    fn reset(&self) {
        [&self.depth, &self.bytes, &self.limit].into_iter().for_each(IntGaugeVec::reset);
    }

    fn set(&self, room: &Room) {
        let set = |gauge: &IntGaugeVec, number: u64| {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            gauge.with_label_values::<&str>(&[]).set(number);
        };
        set(&self.depth, room.letters);
        set(&self.bytes, room.bytes);
        match room.limit {
            Some(limit) => set(&self.limit, limit),
            None => self.limit.reset(),
        }
    }
}

impl Reconciler {
    /// Metrics at zero.
    pub(super) fn new(b: &Builder) -> prometheus::Result<Self> {
        Ok(Self {
            leads: b.add(IntGauge::new(
                "jetreel_reconciler_leads",
                "1 on the node with the active reconciler, 0 on the others",
            )?)?,
            letters: Letters::new(b)?,
            lag: b.add(IntGaugeVec::new(
                Opts::new(
                    "jetreel_queue_lag",
                    "Messages of a stage that wait or are in hand; told by the node that reconciles alone",
                ),
                &["stage"],
            )?)?,
            queues: Queues::new(b)?,
            repairs: b.counters(
                "jetreel_repairs_total",
                "Repairs by the reconciler",
                &["repair"],
            )?,
            orphans_deleted: b.counter(
                "jetreel_orphan_objects_deleted_total",
                "Orphans deleted from the store",
            )?,
            orphan_bytes_deleted: b.counter(
                "jetreel_orphan_object_bytes_deleted_total",
                "Bytes of orphans deleted from the store",
            )?,
            orphans: b.add(IntGauge::new(
                "jetreel_orphan_objects",
                "Orphans that the last walk through the store found",
            )?)?,
            unread: b.add(IntGauge::new(
                "jetreel_unreadable_folders",
                "Folders that the last walk through the store could not read",
            )?)?,
        })
    }
}

impl Reconciler {
    /// Counts an event of the reconciler.
    pub(super) fn count(&self, what: &Reconciled) {
        match what {
            Reconciled::Leading { leads } => {
                self.leads.set(i64::from(*leads));
                self.letters.reset();
                self.lag.reset();
                self.queues.reset();
            }
            Reconciled::LagCounted { stage, messages } => {
                let messages = i64::try_from(*messages).unwrap_or(i64::MAX);
                self.lag.with_label_values(&[stage.as_str()]).set(messages);
            }
            Reconciled::QueuesWait { unservable, opens } => self.queues.set(unservable, opens),
            Reconciled::LettersCounted(room) => self.letters.set(room),
            Reconciled::Repaired { repair, .. } => {
                self.repairs.with_label_values(&[repair.as_str()]).inc();
            }
            Reconciled::OrphanDeleted { bytes, .. } => {
                self.orphans_deleted.inc();
                self.orphan_bytes_deleted.inc_by(*bytes);
            }
            Reconciled::StoreWalked { orphans, unread, .. } => {
                self.orphans.set(i64::try_from(*orphans).unwrap_or(i64::MAX));
                self.unread.set(i64::try_from(*unread).unwrap_or(i64::MAX));
            }
        }
    }
}
