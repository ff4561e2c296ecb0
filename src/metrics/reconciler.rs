//! The numbers of the node that reconciles.

use jetreel_actors::event::Reconciled;
use jetreel_domain::delivery::room::Room;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::Builder;

/// What the reconciler mends and counts.
pub(super) struct Reconciler {
    leads: IntGauge,
    letters: Letters,
    lag: IntGaugeVec,
    repairs: IntCounterVec,
    orphans_deleted: IntCounter,
    orphan_bytes_deleted: IntCounter,
    orphans: IntGauge,
    unread: IntGauge,
}

/// The dead letters, as the node that reconciles counts them: what it counted would be told for ever, beside what its successor counts.
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
                "Dead letters that wait for somebody; told by the node that reconciles alone",
            )?,
            bytes: gauge(
                "jetreel_dlq_bytes",
                "Bytes of the dead letters; told by the node that reconciles alone",
            )?,
            limit: gauge(
                "jetreel_dlq_limit_bytes",
                "Bytes of dead letters that are kept at most, absent where there is no limit; told by the node that reconciles alone",
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
    /// Numbers at zero.
    pub(super) fn new(b: &Builder) -> prometheus::Result<Self> {
        Ok(Self {
            leads: b.add(IntGauge::new(
                "jetreel_reconciler_leads",
                "1 on the node that reconciles, 0 on the others",
            )?)?,
            letters: Letters::new(b)?,
            lag: b.add(IntGaugeVec::new(
                Opts::new(
                    "jetreel_queue_lag",
                    "Messages of a stage that wait or are in hand; told by the node that reconciles alone",
                ),
                &["stage"],
            )?)?,
            repairs: b.counters(
                "jetreel_repairs_total",
                "What the reconciler mended",
                &["repair"],
            )?,
            orphans_deleted: b.counter(
                "jetreel_orphan_objects_deleted_total",
                "Deleted objects that nothing named",
            )?,
            orphan_bytes_deleted: b.counter(
                "jetreel_orphan_object_bytes_deleted_total",
                "Bytes of deleted objects that nothing named",
            )?,
            orphans: b.add(IntGauge::new(
                "jetreel_orphan_objects",
                "Old objects that nothing names, as the last walk through the store found them",
            )?)?,
            unread: b.add(IntGauge::new(
                "jetreel_unreadable_folders",
                "Folders that the last walk through the store could not read",
            )?)?,
        })
    }
}

impl Reconciler {
    /// Counts what it tells.
    pub(super) fn count(&self, what: &Reconciled) {
        match what {
            Reconciled::Leading { leads } => {
                self.leads.set(i64::from(*leads));
                self.letters.reset();
                self.lag.reset();
            }
            Reconciled::LagCounted { stage, messages } => {
                let messages = i64::try_from(*messages).unwrap_or(i64::MAX);
                self.lag.with_label_values(&[stage.as_str()]).set(messages);
            }
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
