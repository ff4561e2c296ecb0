//! Write-once messages and compare-and-set.
//!
//! Invariant: an answer that leaves open whether the write took place is settled by reading back from the leader, never guessed. No message
//! carries `Nats-Msg-Id`: within its window the server confirms a repeat without storing it, even after a purge, and after the window it
//! protects nothing.

use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use jetreel_actors::ports::{Swap, WriteOnce};

use super::connection::Bus;
use super::found::Found;
use super::names::{DELETED, OPERATION_HEADER, WRITER_HEADER};
use super::patience::Patience;
use super::request::{Outgoing, WRITE_BUDGET};
use super::severity::Fault;

/// Answers of "store failed" in a row, with nothing at the subject, after which the stream counts as full. One could be a race with a
/// consumer.
const FULL_AFTER: u32 = 2;

impl Bus {
    /// Publishes to a subject that keeps one message for good. `mine` recognises this writer's message.
    pub(super) async fn write_once(
        &self,
        stream: &str,
        mut message: Outgoing,
        mine: impl Fn(&Found) -> bool + Send,
    ) -> Result<WriteOnce, Fault> {
        message.headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
        self.publish_once(stream, &message, mine).await
    }

    /// Publishes to a queue that holds one message per subject until it is settled.
    pub(super) async fn queue_once(
        &self,
        stream: &str,
        message: Outgoing,
        mine: impl Fn(&Found) -> bool + Send,
    ) -> Result<WriteOnce, Fault> {
        self.publish_once(stream, &message, mine).await
    }

    /// The same for a message with an id of its own: whatever is there at the first try is another's, and need not be looked at.
    pub(super) async fn queue_new(
        &self,
        stream: &str,
        message: Outgoing,
        mine: impl Fn(&Found) -> bool + Send,
    ) -> Result<WriteOnce, Fault> {
        match self.publish(&message).await {
            Ok(_) => Ok(WriteOnce::Mine),
            Err(fault) if fault.is_subject_taken() => Ok(WriteOnce::Taken),
            Err(_) => self.publish_once(stream, &message, mine).await,
        }
    }

    async fn publish_once(
        &self,
        stream: &str,
        message: &Outgoing,
        mine: impl Fn(&Found) -> bool + Send,
    ) -> Result<WriteOnce, Fault> {
        let mut patience = Patience::new(WRITE_BUDGET);
        let mut not_stored = 0;
        loop {
            let fault = match self.publish(message).await {
                Ok(_) => return Ok(WriteOnce::Mine),
                Err(fault) if fault.is_conflict() || fault.is_store_failed() => {
                    match self.last_message(stream, &message.subject).await {
                        Ok(Some(there)) if mine(&there) => return Ok(WriteOnce::Mine),
                        Ok(Some(_)) => return Ok(WriteOnce::Taken),
                        Ok(None) => {
                            not_stored += u32::from(fault.is_store_failed());
                            if not_stored >= FULL_AFTER {
                                return Err(fault);
                            }
                            fault
                        }
                        Err(unread) if unread.is_passing() => unread,
                        Err(unread) => return Err(unread),
                    }
                }
                Err(fault) if fault.is_passing() => fault,
                Err(fault) => return Err(fault),
            };
            if !patience.pause().await {
                return Err(fault);
            }
        }
    }

    /// Compare-and-set of the last message of a subject. Revision 0 means that there is none, or only a delete marker.
    ///
    /// After a conflict the message may still have been stored: unconfirmed, and replaced since.
    pub(super) async fn swap(
        &self,
        stream: &str,
        message: &Outgoing,
        revision: u64,
    ) -> Result<Swap, Fault> {
        let mut patience = Patience::new(WRITE_BUDGET);
        let mut message = message.clone();
        let mut expected = revision;
        let mut in_doubt = false;
        loop {
            message.headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
            let fault = match self.publish(&message).await {
                Ok(sequence) => return Ok(Swap::Done(sequence)),
                Err(fault) if fault.is_conflict() && !in_doubt && revision != 0 => {
                    return Ok(Swap::Conflict);
                }
                Err(fault) if fault.is_conflict() => {
                    match self.last_message(stream, &message.subject).await {
                        Ok(Some(there)) if is_marker(&there) && revision == 0 => {
                            expected = there.sequence;
                            fault
                        }
                        // An earlier try of this write had been stored.
                        Ok(Some(there)) if in_doubt && is_of(&there, &message) => {
                            return Ok(Swap::Done(there.sequence));
                        }
                        Ok(_) => return Ok(Swap::Conflict),
                        Err(unread) if unread.is_passing() => unread,
                        Err(unread) => return Err(unread),
                    }
                }
                Err(fault) if fault.is_passing() => {
                    in_doubt |= fault.is_ambiguous();
                    fault
                }
                Err(fault) => return Err(fault),
            };
            if !patience.pause().await {
                return Err(fault);
            }
        }
    }
}

/// Whether a stored message is this write. Two writers can write equal bodies, but not the same write id.
pub(super) fn is_of(there: &Found, write: &Outgoing) -> bool {
    let writer = write.headers.get(WRITER_HEADER);
    writer.is_some() && there.headers.get(WRITER_HEADER) == writer
}

/// Whether a message of a bucket is a delete marker.
pub(super) fn is_marker(message: &Found) -> bool {
    let operation = message.headers.get(OPERATION_HEADER).map(|value| value.as_str());
    matches!(operation, Some(DELETED | "PURGE"))
        || message.headers.get("Nats-Marker-Reason").is_some()
}
