//! Messages, in hand and in their streams.

use std::time::Duration;

use bytes::Bytes;
use jetreel_domain::words::failure::Failure;

use super::call::PortFuture;

/// One message in hand. Settled exactly once, by one of `ack`, `hand_back`, `terminate`.
pub trait Delivery: Send + Sync {
    /// The body.
    fn body(&self) -> &[u8];
    /// The subject it was published to.
    fn subject(&self) -> &str;
    /// The stream it is in.
    fn stream(&self) -> &str;
    /// Its sequence in the stream.
    fn sequence(&self) -> u64;
    /// How often it was delivered, this time included.
    fn delivered(&self) -> u64;
    /// Messages behind it that were delivered to nobody yet.
    fn pending(&self) -> u64;
    /// Its headers.
    fn headers(&self) -> Vec<(String, String)>;
    /// Whether Jetreel published it itself; otherwise somebody replays it by hand.
    fn is_released(&self) -> bool;
    /// Done with it. Sent as a request: an `Ok` means that the server has it.
    fn ack(&self) -> PortFuture<'_, ()>;
    /// Deliver it again after a while.
    fn hand_back(&self, after: Duration) -> PortFuture<'_, ()>;
    /// Never deliver it again.
    fn terminate(&self, reason: &str) -> PortFuture<'_, ()>;
    /// Still at it: renews the lease. Sent as a request.
    fn renew(&self) -> PortFuture<'_, ()>;
}

/// A message as it lies in its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Stream.
    pub stream: String,
    /// Sequence there.
    pub sequence: u64,
    /// Subject it was published to.
    pub subject: String,
    /// Body.
    pub body: Bytes,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Whether Jetreel published it itself; otherwise somebody replays it by hand.
    pub released: bool,
}

/// A consumer of a work queue that accounts for fewer messages than its queue holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostSight {
    /// Name of the consumer.
    pub name: String,
    /// Stream of the queue.
    pub stream: String,
    /// Messages that were delivered once and are still there, ascending by sequence: the lost ones, and those in hand or waiting for
    /// their next attempt.
    pub suspects: Vec<u64>,
    /// How many of them are in hand or waiting.
    pub in_hand: u64,
}

/// A delivery in hand.
pub type Delivered = Box<dyn Delivery>;

/// A message in the ledger that does not belong on its subject: no result, and in the way of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forged {
    /// Stream.
    pub stream: String,
    /// Sequence there.
    pub sequence: u64,
    /// What contradicts.
    pub failure: Failure,
}
