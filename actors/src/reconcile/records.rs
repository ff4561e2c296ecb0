//! Ledger entries and claims of closed orders, and part logs of ended uploads. They remain after a crash before the clean-up, or come from
//! a worker that had not yet seen the end.

use std::collections::BTreeSet;

use jetreel_domain::id::{OrderId, VideoId};
use jetreel_domain::order::announce;
use jetreel_domain::order::document::Document as _;
use jetreel_domain::order::state::{Order, Status, Video};
use jetreel_domain::words::failure::Failure;

use super::args::Args;
use crate::event::{Event, Reconciled, Repair};

/// Orders and uploads with records that are examined in one pass. The next pass continues with the others.
const RECORDS_PER_PASS: usize = 500;

/// Owner of records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Record {
    /// An order, with its ledger entries and claims.
    Order(OrderId),
    /// An upload, with its part log.
    Upload(VideoId),
}

/// Leftover records, found in this round and in the one before.
#[derive(Default)]
pub(super) struct Records {
    round: Vec<Record>,
    next_round: i64,
    seen: BTreeSet<Record>,
    before: BTreeSet<Record>,
}

impl Records {
    /// Examines some orders and uploads that have records.
    pub(super) async fn look(&mut self, args: &Args) -> Result<(), Failure> {
        let policy = &args.context.config.reconciler;
        let now = args.context.ports.environment.now();
        if self.round.is_empty() {
            if now < self.next_round {
                return Ok(());
            }
            // Listing them costs the broker work, and nothing depends on it.
            self.next_round = now + policy.sweep_seconds;
            self.before = std::mem::take(&mut self.seen);
            let orders = args.survey.orders_on_record().await?;
            let uploads = args.survey.uploads_on_record().await?;
            self.round = orders.into_iter().map(Record::Order).collect();
            self.round.extend(uploads.into_iter().map(Record::Upload));
        }
        let rest = self.round.len().saturating_sub(RECORDS_PER_PASS);
        for record in self.round.split_off(rest) {
            if let Err(failure) = self.look_at(args, record).await {
                args.pass_over(failure).await?;
            }
        }
        Ok(())
    }

    /// Removes records that were leftover in two rounds: the process that ended the order or upload did not clean up.
    async fn look_at(&mut self, args: &Args, record: Record) -> Result<(), Failure> {
        let ports = &args.context.ports;
        let id = match &record {
            Record::Order(order) => &order.video,
            Record::Upload(video) => video,
        };
        let found = ports.broker.video(id).await?.map(|found| found.value);
        if found.as_ref().is_some_and(Video::is_newer) || !is_over(found.as_ref(), &record) {
            return Ok(());
        }
        if !self.before.contains(&record) {
            self.seen.insert(record);
            return Ok(());
        }
        let order = match record {
            Record::Order(order) => {
                ports.broker.forget(&order).await?;
                order
            }
            Record::Upload(id) => {
                ports.broker.forget_parts(&id).await?;
                let first = found.as_ref().and_then(|video| video.orders.first());
                OrderId::new(id, first.map_or(1, |order| order.number))
            }
        };
        let repair = Repair::RecordsRemoved;
        ports.environment.emit(Event::Reconciled(Reconciled::Repaired { order, repair }));
        Ok(())
    }
}

/// Whether the records are not needed any more.
fn is_over(video: Option<&Video>, record: &Record) -> bool {
    match (record, video) {
        (Record::Order(order), Some(video)) => {
            let closed = video.order(order.number).is_some_and(Order::is_closed);
            closed && announce::due(video).is_empty()
        }
        (Record::Order(_), None) => false,
        (Record::Upload(_), Some(video)) => {
            video.orders.iter().all(|order| order.status != Status::Receiving)
        }
        // The state of a video is there before its first part: it was deleted since.
        (Record::Upload(_), None) => true,
    }
}
