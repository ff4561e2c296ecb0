//! The basic requests: publish with confirmation, read from the leader, pull one message.
//!
//! Invariant: every request waits for an answer and has a deadline. Reads go to the stream's leader (`STREAM.MSG.GET`, never direct get),
//! because decisions rest on them.

use std::future::Future;
use std::time::Duration;

use async_nats::Request;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::RawMessage;
use async_nats::{HeaderMap, Message, StatusCode};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::connection::Bus;
use super::found::Found;
use super::patience::Patience;
use super::severity::Fault;

/// Timeout of one request. A server that syncs on every write answers well within it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Time added to a pull's own expiry, which the server keeps.
const PULL_GRACE: Duration = Duration::from_secs(5);
/// Time budget of reads: about one election.
pub(super) const READ_BUDGET: Duration = Duration::from_secs(12);
/// Time budget of writes: an election, a reconnect and some reserve.
pub(super) const WRITE_BUDGET: Duration = Duration::from_secs(40);

const NO_MESSAGE_FOUND: u64 = 10037;

#[derive(Serialize)]
struct GetLast<'a> {
    last_by_subj: &'a str,
}

#[derive(Serialize)]
struct GetNext<'a> {
    seq: u64,
    next_by_subj: &'a str,
}

#[derive(Serialize)]
struct GetAt {
    seq: u64,
}

#[derive(Deserialize)]
struct Got {
    message: RawMessage,
}

#[derive(Serialize)]
struct Pull {
    batch: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    no_wait: bool,
}

/// A message to publish.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) subject: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Bus {
    /// Sends one request.
    pub(super) async fn ask(&self, subject: String, request: Request) -> Result<Message, Fault> {
        let request = request.timeout(Some(REQUEST_TIMEOUT));
        let mut breaks = self.breaks.clone();
        breaks.mark_unchanged();
        tokio::select! {
            biased;
            answer = self.client.send_request(subject, request) => Ok(answer?),
            // The answer is lost with the connection. Other messages than the one that is asked for may break it.
            Ok(()) = breaks.changed() => Err(Fault::Connection("the connection broke".to_owned())),
        }
    }

    /// Sends one request to the JetStream API.
    pub(super) async fn api<T: DeserializeOwned>(
        &self,
        path: String,
        body: &impl Serialize,
    ) -> Result<T, Fault> {
        let body = serde_json::to_vec(body).map_err(|e| Fault::Malformed(e.to_string()))?;
        let request = Request::new().payload(body.into());
        let asked = self.ask(format!("$JS.API.{path}"), request).await;
        asked.and_then(|reply| answer(&reply)).inspect_err(|fault| self.suspect(fault))
    }

    /// Publishes once. Returns the sequence in the stream.
    pub(super) async fn publish(&self, message: &Outgoing) -> Result<u64, Fault> {
        let request = Request::new().headers(message.headers.clone()).payload(message.body.clone());
        let reply = self.ask(message.subject.clone(), request).await;
        let reply = reply.inspect_err(|fault| self.suspect(fault))?;
        answer::<PublishAck>(&reply).map(|ack| ack.sequence)
    }

    /// The last message of a subject.
    pub(super) async fn last_message(
        &self,
        stream: &str,
        subject: &str,
    ) -> Result<Option<Found>, Fault> {
        self.get(stream, &GetLast { last_by_subj: subject }).await
    }

    /// The first message of a subject filter at or after a sequence.
    pub(super) async fn next_message(
        &self,
        stream: &str,
        filter: &str,
        from: u64,
    ) -> Result<Option<Found>, Fault> {
        self.get(stream, &GetNext { seq: from, next_by_subj: filter }).await
    }

    /// The message with this sequence.
    pub(super) async fn message_at(
        &self,
        stream: &str,
        sequence: u64,
    ) -> Result<Option<Found>, Fault> {
        // Sequences start at 1, and the server refuses 0.
        if sequence == 0 {
            return Ok(None);
        }
        self.get(stream, &GetAt { seq: sequence }).await
    }

    async fn get(&self, stream: &str, wanted: &impl Serialize) -> Result<Option<Found>, Fault> {
        match self.api::<Got>(format!("STREAM.MSG.GET.{stream}"), wanted).await {
            Ok(got) => Found::of(got.message).map(Some),
            Err(Fault::Refused { code: NO_MESSAGE_FOUND, .. }) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Pulls one message. A zero `wait` takes only a message that is there.
    ///
    /// If the future is dropped, the pull ends, and a message that was on its way to it is handed back.
    pub(super) async fn pull(
        &self,
        stream: &str,
        consumer: &str,
        wait: Duration,
    ) -> Result<Option<Message>, Fault> {
        let no_wait = wait.is_zero();
        let expires = (!no_wait).then(|| u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX));
        let body = serde_json::to_vec(&Pull { batch: 1, expires, no_wait })
            .map_err(|error| Fault::Malformed(error.to_string()))?;
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        let mut breaks = self.breaks.clone();
        breaks.mark_unchanged();
        let mut inbox = self.inboxes.open().await?;
        let sent = self.client.publish_with_reply(subject, inbox.subject(), body.into()).await;
        sent.map_err(|error| Fault::Connection(error.to_string()))?;
        let answer = tokio::select! {
            answer = tokio::time::timeout(wait + PULL_GRACE, inbox.answer()) => answer,
            // The server drops the pull with the connection.
            _ = breaks.changed() => return Ok(None),
        };
        let answered = match answer {
            Ok(message) => message.and_then(delivered),
            // The server's "no message" was lost with a connection or a leader.
            Err(_) if !no_wait => return Ok(None),
            Err(_) => Err(Fault::Timeout),
        };
        match answered {
            Ok(message) => {
                inbox.close();
                Ok(message)
            }
            Err(fault) => {
                drop(inbox);
                Err(self.of_pull(stream, consumer, fault).await)
            }
        }
    }
}

/// The message in an answer to a pull; `None` if there was none.
fn delivered(message: Message) -> Result<Option<Message>, Fault> {
    match message.status {
        None | Some(StatusCode::OK) => Ok(Some(message)),
        Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => Ok(None),
        Some(StatusCode::NO_RESPONDERS) => Err(Fault::NoResponders),
        Some(status) => {
            let (status, code) = (usize::from(status.as_u16()), 0);
            let description = message.description.unwrap_or_default();
            Err(Fault::Refused { status, code, description })
        }
    }
}

fn answer<T: DeserializeOwned>(message: &Message) -> Result<T, Fault> {
    match serde_json::from_slice(&message.payload) {
        Ok(Response::Ok(value)) => Ok(value),
        Ok(Response::Err { error }) => Err(error.into()),
        Err(error) => Err(Fault::Malformed(error.to_string())),
    }
}

/// Repeats `attempt` while its fault is temporary and the budget lasts.
pub(super) async fn persist<T, F, A>(budget: Duration, mut attempt: F) -> Result<T, Fault>
where
    F: FnMut() -> A,
    A: Future<Output = Result<T, Fault>>,
{
    let mut patience = Patience::new(budget);
    loop {
        match attempt().await {
            Err(fault) if fault.is_passing() => {
                if !patience.pause().await {
                    return Err(fault);
                }
            }
            done => return done,
        }
    }
}
