//! Messages: delivered, and in their streams.

use std::time::Duration;

use bytes::Bytes;
use jetreel_domain::words::failure::Failure;

use super::call::PortFuture;

/// A delivered message. Settled exactly once, by one of `ack`, `hand_back` or `terminate`.
pub trait Delivery: Send + Sync {
    /// Body of the message.
    fn body(&self) -> &[u8];
    /// Subject that the message was published to.
    fn subject(&self) -> &str;
    /// Stream of the message.
    fn stream(&self) -> &str;
    /// Sequence in the stream.
    fn sequence(&self) -> u64;
    /// Number of deliveries of the message, this one included.
    fn delivered(&self) -> u64;
    /// Messages of the consumer that were not delivered yet.
    fn pending(&self) -> u64;
    /// Headers of the message.
    fn headers(&self) -> Vec<(String, String)>;
    /// Whether Jetreel published the message itself. `false` for a message that an operator replays by hand.
    fn is_released(&self) -> bool;
    /// Acknowledges the message. Sent as a request: `Ok` means that the server has it.
    fn ack(&self) -> PortFuture<'_, ()>;
    /// Asks for another delivery after this delay (a negative acknowledgement).
    fn hand_back(&self, after: Duration) -> PortFuture<'_, ()>;
    /// Ends all deliveries of the message.
    fn terminate(&self, reason: &str) -> PortFuture<'_, ()>;
    /// Renews the lease (an acknowledgement in progress). Sent as a request.
    fn renew(&self) -> PortFuture<'_, ()>;
}

/// A message in its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub stream: String,
    /// Sequence in the stream.
    pub sequence: u64,
    /// Subject that the message was published to.
    pub subject: String,
    pub body: Bytes,
    pub headers: Vec<(String, String)>,
    /// Whether Jetreel published the message itself. `false` for a message that an operator replays by hand.
    pub released: bool,
}

/// A consumer of a work queue that accounts for fewer messages than its queue holds: it lost messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostSight {
    /// Name of the consumer.
    pub name: String,
    /// Stream of the queue.
    pub stream: String,
    /// Messages that were delivered once and are still in the stream, ascending by sequence: the lost messages, and those in hand or
    /// waiting for another attempt.
    pub suspects: Vec<u64>,
    /// How many suspects are in hand or wait for another attempt.
    pub in_hand: u64,
}

/// A delivery in hand.
pub type Delivered = Box<dyn Delivery>;

/// A message in the ledger that contradicts its subject. It is no result, and it blocks the result on its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forged {
    pub stream: String,
    /// Sequence in the stream.
    pub sequence: u64,
    /// The contradiction.
    pub failure: Failure,
}
