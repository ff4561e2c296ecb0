//! Ledger entries and claims that outlived their order: of a crash between the end of an order and its cleaning up, or written by
//! a worker that had not noticed the end.

use std::collections::BTreeSet;

use jetreel_domain::announce;
use jetreel_domain::document::Document as _;
use jetreel_domain::failure::Failure;
use jetreel_domain::id::OrderId;
use jetreel_domain::state::Order;

use super::actor::Args;
use crate::event::{Event, Reconciled, Repair};

/// Orders on record that are looked at in one pass; the next goes on with the others.
const ORDERS_PER_PASS: usize = 500;

/// Orders whose records were found to be left over, in the round before.
#[derive(Default)]
pub(super) struct Records {
    round: Vec<OrderId>,
    next_round: i64,
    seen: BTreeSet<OrderId>,
    before: BTreeSet<OrderId>,
}

impl Records {
    /// Looks at some orders that have records.
    pub(super) async fn look(&mut self, args: &Args) -> Result<(), Failure> {
        let policy = &args.context.config.reconciler;
        let now = args.context.ports.environment.now();
        if self.round.is_empty() {
            if now < self.next_round {
                return Ok(());
            }
            // To list them costs the broker, and nothing waits for them.
            self.next_round = now + policy.sweep_seconds;
            self.before = std::mem::take(&mut self.seen);
            self.round = args.survey.orders_on_record().await?.into_iter().collect();
        }
        let rest = self.round.len().saturating_sub(ORDERS_PER_PASS);
        for order in self.round.split_off(rest) {
            if let Err(failure) = self.look_at(args, order).await {
                args.pass_over(failure).await?;
            }
        }
        Ok(())
    }

    /// Left over in two rounds: whoever ended the order has not cleaned up, and will not.
    async fn look_at(&mut self, args: &Args, order: OrderId) -> Result<(), Failure> {
        let ports = &args.context.ports;
        let Some(found) = ports.broker.video(&order.video).await? else { return Ok(()) };
        if found.value.is_newer() {
            return Ok(());
        }
        let closed = found.value.order(order.number).is_some_and(Order::is_closed);
        if !closed || !announce::due(&found.value).is_empty() {
            return Ok(());
        }
        if !self.before.contains(&order) {
            self.seen.insert(order);
            return Ok(());
        }
        ports.broker.forget(&order).await?;
        ports.environment.emit(Event::Reconciled(Reconciled::Repaired {
            order,
            repair: Repair::RecordsRemoved,
        }));
        Ok(())
    }
}
