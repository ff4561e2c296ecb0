//! Removes messages that no node can receive from the queues, and reports them, until it is dropped.

use std::sync::Arc;

use jetreel_actors::event::Event;
use jetreel_actors::ports::Environment;
use tokio::task::JoinHandle;

use crate::bus::{Bus, Removed, Sieve};

/// The background task. It ends when this is dropped.
#[derive(Debug)]
pub struct Sifting(JoinHandle<()>);

impl Sifting {
    /// Starts the task.
    #[must_use]
    pub fn start(bus: Arc<Bus>, environment: Arc<dyn Environment>) -> Self {
        Self(tokio::spawn(async move {
            let mut sieve = Sieve::default();
            loop {
                for Removed { stream, sequence, subject, why } in sieve.next(&bus).await {
                    environment.emit(Event::Undeliverable { stream, sequence, subject, why });
                }
            }
        }))
    }
}

impl Drop for Sifting {
    fn drop(&mut self) {
        self.0.abort();
    }
}
