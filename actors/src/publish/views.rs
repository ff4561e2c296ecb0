//! Cache of the ledger per order, so that an evaluation reads only new entries.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jetreel_domain::id::{OrderId, TaskId};
use jetreel_domain::order::ledger::{Entry, View};
use jetreel_domain::words::failure::Failure;
use tokio::sync::Mutex;

use crate::ports::Broker;

/// Orders kept in memory: enough for every order that is open at once on a busy node.
const ORDERS_KEPT: usize = 256;

/// A view with the stream sequence up to which it was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) view: View,
    /// Tasks that this node has released since it knows the order. They need no further request to the broker.
    pub(super) released: BTreeSet<TaskId>,
    sequence: u64,
}

/// Views by order. An evaluation locks the view, so a node runs one evaluation of an order at a time.
#[derive(Debug, Default)]
pub(crate) struct Views {
    by_order: Mutex<BTreeMap<OrderId, Arc<Mutex<Read>>>>,
}

impl Views {
    /// The view of an order, not yet locked.
    pub(super) async fn of(&self, order: &OrderId) -> Arc<Mutex<Read>> {
        let mut by_order = self.by_order.lock().await;
        if by_order.len() > ORDERS_KEPT {
            // A view that no evaluation holds can be read again at any time.
            by_order.retain(|_, read| Arc::strong_count(read) > 1);
        }
        Arc::clone(by_order.entry(order.clone()).or_default())
    }

    /// Adds an entry with its sequence. If the view was read past that sequence and lacks the entry, the ledger was created anew, and the
    /// view is void.
    pub(super) async fn meet(&self, entry: &Entry, sequence: u64) {
        let read = self.of(&entry.order).await;
        let mut read = read.lock().await;
        if sequence <= read.sequence && !read.view.knows(entry) {
            *read = Read::default();
        }
    }

    /// Forgets an order.
    pub(super) async fn forget(&self, order: &OrderId) {
        self.by_order.lock().await.remove(order);
    }
}

impl Read {
    /// Whether the view holds entries that the ledger lacks because they were removed.
    pub(super) async fn is_ahead(
        &self,
        broker: &dyn Broker,
        order: &OrderId,
    ) -> Result<bool, Failure> {
        let read = self.view.entries().count() as u64;
        Ok(read > 0 && broker.entry_count(order).await? < read)
    }

    /// Reads new entries.
    pub(super) async fn refresh(
        &mut self,
        broker: &dyn Broker,
        order: &OrderId,
    ) -> Result<(), Failure> {
        let (entries, sequence) = broker.entries(order, self.sequence).await?;
        for entry in entries {
            self.view.insert(entry);
        }
        self.sequence = self.sequence.max(sequence);
        Ok(())
    }
}
