//! Slots of a node at run time: how many may take tasks, and how much memory a task may need.

use std::sync::{Arc, Mutex, PoisonError};

use jetreel_domain::scale::wish::Budgets;
use tokio::sync::watch;
use tokio::time::Instant;

/// Slots of one node, shared by the dispatcher and by what sizes them.
#[derive(Clone)]
pub(crate) struct OpenSlots(Arc<Shared>);

struct Shared {
    open: watch::Sender<usize>,
    budgets: Mutex<Budgets>,
    started: Instant,
}

impl OpenSlots {
    /// `open` slots may take tasks.
    pub(crate) fn new(open: usize) -> Self {
        Self(Arc::new(Shared {
            open: watch::Sender::new(open),
            budgets: Mutex::default(),
            started: Instant::now(),
        }))
    }

    /// Slots that may take tasks.
    pub(crate) fn open(&self) -> usize {
        *self.0.open.borrow()
    }

    /// Changes their number. Returns whether it is another one.
    pub(crate) fn resize(&self, open: usize) -> bool {
        self.0.open.send_if_modified(|before| std::mem::replace(before, open) != open)
    }

    /// Follows their number.
    pub(crate) fn follow(&self) -> watch::Receiver<usize> {
        self.0.open.subscribe()
    }

    /// Records the memory budget of a task.
    pub(crate) fn note_budget(&self, bytes: u64) {
        let now = self.seconds();
        self.budgets(|budgets| budgets.note(now, bytes));
    }

    /// Memory that a slot may need, by the tasks of late.
    pub(crate) fn largest_budget(&self) -> u64 {
        let now = self.seconds();
        self.budgets(|budgets| budgets.largest(now))
    }

    fn seconds(&self) -> u64 {
        self.0.started.elapsed().as_secs()
    }

    fn budgets<T>(&self, with: impl FnOnce(&mut Budgets) -> T) -> T {
        with(&mut self.0.budgets.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
