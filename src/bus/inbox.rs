//! Inboxes of pulls. An inbox is subscribed once and serves one pull after the other, of one message or of several.
//!
//! A delivery keeps the subject it was published to, so only the subscription that receives it tells which pull it answers. Therefore an
//! inbox has one open pull at most. A message of the server about a pull, such as "no messages", has the subject of the pull.
//!
//! Invariant: an inbox is used again only after the answer to its pull. A pull that is given up removes its inbox, so that the server
//! delivers nothing to it, and a message that was on its way is handed back at once.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Client, Message, Subject, Subscriber};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::severity::Fault;

/// Timeout of the removal of an inbox.
const REMOVAL_WAIT: Duration = Duration::from_secs(10);
/// Payload that hands a message back.
const NAK: Bytes = Bytes::from_static(b"-NAK");

/// Inboxes without a pull.
#[derive(Clone)]
pub(super) struct Inboxes {
    client: Client,
    idle: Arc<Mutex<Vec<Inbox>>>,
}

impl fmt::Debug for Inboxes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inboxes").finish_non_exhaustive()
    }
}

struct Inbox {
    /// Its subject without the number of the pull.
    name: String,
    /// Pulls so far.
    pulls: u64,
    received: Subscriber,
}

/// The inbox of an open pull.
pub(super) struct Open {
    inboxes: Inboxes,
    /// `None` once it was given back.
    inbox: Option<Inbox>,
    subject: Subject,
}

impl Inboxes {
    pub(super) fn new(client: &Client) -> Self {
        Self { client: client.clone(), idle: Arc::default() }
    }

    /// An inbox for one pull.
    pub(super) async fn open(&self) -> Result<Open, Fault> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut inbox = match idle {
            Some(inbox) => inbox,
            None => {
                let name = self.client.new_inbox();
                let received = self.client.subscribe(format!("{name}.*")).await;
                let received = received.map_err(|error| Fault::Connection(error.to_string()))?;
                Inbox { name, pulls: 0, received }
            }
        };
        inbox.pulls += 1;
        let subject = format!("{}.{}", inbox.name, inbox.pulls).into();
        Ok(Open { inboxes: self.clone(), inbox: Some(inbox), subject })
    }
}

impl Open {
    /// Where the server sends the answer.
    pub(super) fn subject(&self) -> Subject {
        self.subject.clone()
    }

    /// The answer. It may be awaited again if the future was dropped.
    pub(super) async fn answer(&mut self) -> Result<Message, Fault> {
        let closed = || Fault::Connection("the connection is closed".to_owned());
        let inbox = self.inbox.as_mut().ok_or_else(closed)?;
        loop {
            let message = inbox.received.next().await.ok_or_else(closed)?;
            // An earlier pull may have been answered twice.
            if message.status.is_none() || message.subject == self.subject {
                return Ok(message);
            }
        }
    }

    /// Ends the pull after its answer. The inbox may be used again.
    pub(super) fn close(mut self) {
        let Some(inbox) = self.inbox.take() else { return };
        self.inboxes.idle.lock().unwrap_or_else(PoisonError::into_inner).push(inbox);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(mut inbox) = self.inbox.take() else { return };
        // Before anything that this connection sends later, if there is room in the queue of the client.
        let removed = inbox.received.drain().now_or_never();
        let Ok(runtime) = Handle::try_current() else { return };
        let client = self.inboxes.client.clone();
        runtime.spawn(async move {
            let removed = match removed {
                Some(removed) => removed,
                None => inbox.received.drain().await,
            };
            if removed.is_ok() {
                // The server confirms the removal, unless the connection is lost.
                drop(timeout(REMOVAL_WAIT, hand_back_late(&client, inbox.received)).await);
            }
        });
    }
}

/// Hands back deliveries that arrive between the end of a pull and the removal of its inbox.
async fn hand_back_late(client: &Client, mut received: Subscriber) {
    while let Some(message) = received.next().await {
        let Some(reply) = message.reply.filter(|_| message.status.is_none()) else { continue };
        tracing::debug!(subject = %message.subject, "a message for a pull that was given up is handed back");
        if let Err(error) = client.publish(reply, NAK).await {
            tracing::debug!(%error, "it is delivered again when its lease ends");
        }
    }
}
