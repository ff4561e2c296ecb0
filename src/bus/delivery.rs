//! A delivered message and its settlement. Settlements are requests, so `Ok` means that the server has it.
//!
//! An `+ACK` that is only published, or awaited by a subscription, returns `Ok` even if the consumer is gone. A request does not.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::Request;
use async_nats::{Client, Message, Subject, jetstream};
use bytes::Bytes;
use jetreel_actors::ports::{Delivery, PortFuture};
use jetreel_domain::upkeep::relations::LEASE;
use jetreel_domain::words::failure::Failure;

use super::deadletters::pairs;
use super::names;
use super::request::persist;
use super::severity::Fault;

/// Time budget of a settlement. An unsettled message is delivered again, which is harmless.
const SETTLE_BUDGET: Duration = Duration::from_secs(15);
/// Time budget of a renewal. It is short because the worker renews again with its next heartbeat.
const RENEW_BUDGET: Duration = Duration::from_secs(4);
/// Time without a renewal after which this worker must not settle the message. Shorter than the server's `ack_wait`.
const HELD_FOR: Duration = LEASE.lost_after;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Most bytes of a reason. The server puts it into an advisory and would refuse a long one.
const REASON_LENGTH_MAX: usize = 256;

/// A delivery of a durable consumer.
pub(super) struct JetDelivery {
    client: Client,
    message: Message,
    reply: Subject,
    stream: String,
    sequence: u64,
    delivered: u64,
    pending: u64,
    /// When the lease was last known to be held.
    held: Mutex<Instant>,
}

impl JetDelivery {
    /// Wraps a message that a consumer delivered.
    pub(super) fn new(
        client: &Client,
        context: &jetstream::Context,
        message: Message,
    ) -> Result<Self, Fault> {
        let message = jetstream::Message { message, context: context.clone() };
        let (stream, sequence, delivered, pending) = {
            let info = message.info().map_err(|error| Fault::Malformed(error.to_string()))?;
            let delivered = u64::try_from(info.delivered).unwrap_or_default();
            (info.stream.to_owned(), info.stream_sequence, delivered, info.pending)
        };
        let message = message.message;
        let reply = message.reply.clone().ok_or_else(|| Fault::Malformed("no reply".into()))?;
        Ok(Self {
            client: client.clone(),
            message,
            reply,
            stream,
            sequence,
            delivered,
            pending,
            held: Mutex::new(Instant::now()),
        })
    }

    /// Whether the server may have delivered the message to another worker. It accepts settlements from any client.
    fn may_be_anothers(&self) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= HELD_FOR
    }

    fn settle(&self, budget: Duration, word: String) -> PortFuture<'_, ()> {
        let word = Bytes::from(word);
        Box::pin(async move {
            let attempt = || async {
                let request = Request::new().payload(word.clone()).timeout(Some(ANSWER_TIMEOUT));
                self.client.send_request(self.reply.clone(), request).await?;
                Ok::<(), Fault>(())
            };
            persist(budget, attempt).await.map_err(|fault| fault.failure("settle a delivery"))
        })
    }
}

impl Delivery for JetDelivery {
    fn body(&self) -> &[u8] {
        &self.message.payload
    }

    fn subject(&self) -> &str {
        &self.message.subject
    }

    fn stream(&self) -> &str {
        &self.stream
    }

    fn sequence(&self) -> u64 {
        self.sequence
    }

    fn delivered(&self) -> u64 {
        self.delivered
    }

    fn pending(&self) -> u64 {
        self.pending
    }

    fn headers(&self) -> Vec<(String, String)> {
        self.message.headers.as_ref().map(pairs).unwrap_or_default()
    }

    fn is_released(&self) -> bool {
        let headers = self.message.headers.as_ref();
        headers.is_some_and(|headers| headers.get(names::RELEASE_HEADER).is_some())
    }

    fn ack(&self) -> PortFuture<'_, ()> {
        self.settle(SETTLE_BUDGET, "+ACK".into())
    }

    fn hand_back(&self, after: Duration) -> PortFuture<'_, ()> {
        if self.may_be_anothers() {
            return Box::pin(async { Ok(()) });
        }
        // Sent once. A repeat after a lost answer could take the message from its next worker. Without the settlement the lease expires.
        let once = Duration::ZERO;
        self.settle(once, format!("-NAK {{\"delay\": {}}}", after.as_nanos()))
    }

    fn terminate(&self, reason: &str) -> PortFuture<'_, ()> {
        self.settle(SETTLE_BUDGET, format!("+TERM {}", one_line(reason)))
    }

    fn renew(&self) -> PortFuture<'_, ()> {
        if self.may_be_anothers() {
            // A renewal now would make the lease look held again.
            return Box::pin(async {
                Err(Failure::dependency(
                    "lease-renewal",
                    "The lease ran out before it was renewed.",
                ))
            });
        }
        let asked = Instant::now();
        let renewed = self.settle(RENEW_BUDGET, "+WPI".into());
        Box::pin(async move {
            renewed.await?;
            *self.held.lock().unwrap_or_else(PoisonError::into_inner) = asked;
            Ok(())
        })
    }
}

fn one_line(reason: &str) -> String {
    reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON_LENGTH_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line() {
        assert_eq!(one_line("bad\r\nmedia"), "bad  media");
        assert_eq!(one_line(&"x".repeat(1000)).len(), REASON_LENGTH_MAX);
    }
}
