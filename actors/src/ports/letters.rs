//! Dead letters, and who is called about them.

use std::time::Duration;

use bytes::Bytes;
use jetreel_domain::delivery::deadletter::{Buried, DeadLetter};

use super::call::{PortFuture, WriteOnce};
use super::delivery::Delivered;

/// Dead letters: buried by the stages, replayed or discarded by people.
pub trait DeadLetters: Send + Sync {
    /// Buries a letter, once for each original message; gives its sequence.
    fn bury<'a>(&'a self, letter: &'a DeadLetter) -> PortFuture<'a, u64>;
    /// Letters with a sequence above `after`, ascending, at most `limit`.
    fn letters(&self, after: u64, limit: usize) -> PortFuture<'_, Vec<Buried>>;
    /// The letter with that sequence.
    fn letter(&self, sequence: u64) -> PortFuture<'_, Option<Buried>>;
    /// The next letter that the hook was not called about yet; waits up to `wait`. The sequence of the delivery is the letter's.
    fn next_letter(&self, wait: Duration) -> PortFuture<'_, Option<Delivered>>;
    /// Publishes the body to its original subject, as a person would. `Taken`: it waits there already. The letter stays.
    fn replay<'a>(&'a self, buried: &'a Buried) -> PortFuture<'a, WriteOnce>;
    /// Removes a letter. `false`: there is none with that sequence.
    fn discard(&self, sequence: u64) -> PortFuture<'_, bool>;
}

/// Whoever is called about dead letters, outside of Jetreel.
pub trait Hook: Send + Sync {
    /// Calls, with a document in JSON. `key` is the same in every call about one letter. An error means that the call was not taken.
    fn call<'a>(&'a self, key: &'a str, document: Bytes) -> PortFuture<'a, ()>;
}
