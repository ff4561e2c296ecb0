//! Metrics of the reconciler.

use jetreel_actors::event::Reconciled;
use prometheus::{IntCounter, IntCounterVec, IntGauge};

use super::Builder;
use super::queues::Queues;

/// Metrics of the reconciler.
pub(super) struct Reconciler {
    leads: IntGauge,
    queues: Queues,
    repairs: IntCounterVec,
    orphans_deleted: IntCounter,
    orphan_bytes_deleted: IntCounter,
    orphans: IntGauge,
    unread: IntGauge,
}

impl Reconciler {
    /// Metrics at zero.
    pub(super) fn new(b: &Builder) -> prometheus::Result<Self> {
        Ok(Self {
            leads: b.add(IntGauge::new(
                "jetreel_reconciler_leads",
                "1 on the node with the active reconciler, 0 on the others",
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
    /// Sets whether this node's reconciler is the active one.
    pub(super) fn leads(&self, leads: bool) {
        self.leads.set(i64::from(leads));
        self.queues.reset();
    }

    /// Counts an event of the reconciler.
    pub(super) fn count(&self, what: &Reconciled) {
        match what {
            Reconciled::QueuesWait { unservable, opens } => self.queues.set(unservable, opens),
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
