//! Pulls several messages with one request and hands each over as it arrives.

use std::time::Duration;

use async_nats::StatusCode;
use bytes::Bytes;
use jetreel_actors::ports::Delivered;
use serde::Serialize;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, timeout_at};

use super::connection::Bus;
use super::delivery::JetDelivery;
use super::severity::Fault;

/// Time added to a pull's own expiry, which the server keeps.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Pull {
    batch: usize,
    /// In nanoseconds.
    expires: u64,
}

impl Bus {
    /// Pulls up to `most` messages and hands each over as it arrives. Ends with the last one, after `wait`, or when the connection breaks.
    /// If the future is dropped, the server keeps the rest, and what is on its way is handed back.
    pub(super) async fn pull_many(
        &self,
        (stream, consumer): (&str, &str),
        most: usize,
        wait: Duration,
        into: &UnboundedSender<Delivered>,
    ) -> Result<(), Fault> {
        let expires = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        let body = serde_json::to_vec(&Pull { batch: most, expires });
        let body = body.map_err(|error| Fault::Malformed(error.to_string()))?;
        let mut breaks = self.breaks.clone();
        breaks.mark_unchanged();
        let mut inbox = self.inboxes.open().await?;
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        let sent = self.client.publish_with_reply(subject, inbox.subject(), Bytes::from(body));
        sent.await.map_err(|error| Fault::Connection(error.to_string()))?;
        let until = Instant::now() + wait + GRACE;
        for _ in 0..most {
            let next = tokio::select! {
                biased;
                next = timeout_at(until, inbox.answer()) => next,
                // The server drops the pull with the connection.
                _ = breaks.changed() => return Ok(()),
            };
            // The end of the pull was lost with a connection or a leader.
            let Ok(Ok(message)) = next else { return Ok(()) };
            let fault = match message.status {
                None | Some(StatusCode::OK) => {
                    let delivery = JetDelivery::new(&self.client, &self.context, message)?;
                    if into.send(Box::new(delivery)).is_err() {
                        return Ok(());
                    }
                    continue;
                }
                Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => break,
                Some(StatusCode::NO_RESPONDERS) => Fault::NoResponders,
                Some(status) => {
                    let (status, code) = (usize::from(status.as_u16()), 0);
                    let description = message.description.unwrap_or_default();
                    Fault::Refused { status, code, description }
                }
            };
            return Err(self.of_pull(stream, consumer, fault).await);
        }
        inbox.close();
        Ok(())
    }
}
