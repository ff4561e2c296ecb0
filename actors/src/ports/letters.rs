//! Dead letters, and the webhook for them.

use std::time::Duration;

use bytes::Bytes;
use jetreel_domain::delivery::deadletter::{Buried, DeadLetter};

use super::call::{PortFuture, WriteOnce};
use super::delivery::Delivered;

/// Dead letters. The stages bury them; operators replay or discard them.
pub trait DeadLetters: Send + Sync {
    /// Buries a letter once for each original message. Returns its sequence.
    fn bury<'a>(&'a self, letter: &'a DeadLetter) -> PortFuture<'a, u64>;
    /// At most `limit` letters with a sequence above `after`, ascending.
    fn letters(&self, after: u64, limit: usize) -> PortFuture<'_, Vec<Buried>>;
    /// The letter with that sequence.
    fn letter(&self, sequence: u64) -> PortFuture<'_, Option<Buried>>;
    /// The next letter that the hook was not called about; waits up to `wait`. The sequence of the delivery is the letter's.
    fn next_letter(&self, wait: Duration) -> PortFuture<'_, Option<Delivered>>;
    /// Publishes the body to its original subject. `Taken` if it is queued there already. The letter stays.
    fn replay<'a>(&'a self, buried: &'a Buried) -> PortFuture<'a, WriteOnce>;
    /// Removes a letter. `false` if there is none with that sequence.
    fn discard(&self, sequence: u64) -> PortFuture<'_, bool>;
}

/// The operator's webhook for dead letters.
pub trait Hook: Send + Sync {
    /// Calls the webhook with a JSON document. `key` is the same for every call about one letter. An error means that the call failed.
    fn call<'a>(&'a self, key: &'a str, document: Bytes) -> PortFuture<'a, ()>;
}
