//! Queues: what stages pull from and publish to.

use std::time::Duration;

use async_nats::HeaderMap;
use jetreel_actors::ports::{Delivered, WriteOnce};
use jetreel_domain::delivery::dispatch::TaskQueue;
use jetreel_domain::delivery::message::{EncodeTask, Evaluate, Uploaded, VERSION};
use jetreel_domain::delivery::stage::Stage;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::OrderId;
use serde::Serialize;

use super::connection::Bus;
use super::delivery::JetDelivery;
use super::found::Found;
use super::names;
use super::request::{Outgoing, READ_BUDGET, WRITE_BUDGET, persist};
use super::sending::sent;
use super::severity::Fault;

impl Bus {
    pub(super) async fn next_delivery(
        &self,
        stream: &str,
        consumer: &str,
        wait: Duration,
    ) -> Result<Option<Delivered>, Fault> {
        let Some(message) = self.pull(stream, consumer, wait).await? else { return Ok(None) };
        let delivery = JetDelivery::new(&self.client, &self.context, message)?;
        Ok(Some(Box::new(delivery)))
    }

    pub(super) async fn pull_task(
        &self,
        queue: TaskQueue,
        wait: Duration,
    ) -> Result<Option<Delivered>, Fault> {
        let consumer = names::encode_consumer(queue.lane, queue.group);
        self.next_delivery(names::ENCODE, &consumer, wait).await
    }

    pub(super) async fn queue_task(&self, task: &EncodeTask) -> Result<WriteOnce, Fault> {
        let subject = subject::encode(task.lane, &task.order, task.task);
        self.queue(names::ENCODE, subject, task).await
    }

    pub(super) async fn queue_order(
        &self,
        stage: Stage,
        order: &OrderId,
    ) -> Result<WriteOnce, Fault> {
        let body = Evaluate { v: VERSION, order: order.clone() };
        self.queue(stage.about().stream, stage.subject_of(order), &body).await
    }

    /// Publishes one message per subject. Its header distinguishes it from a replay by hand, and this publish from another.
    async fn queue(
        &self,
        stream: &str,
        subject: String,
        body: &(impl Serialize + Sync),
    ) -> Result<WriteOnce, Fault> {
        let release = uuid::Uuid::new_v4().to_string();
        let mut headers = HeaderMap::new();
        headers.insert(names::RELEASE_HEADER, release.as_str());
        let mut message = Outgoing { subject, headers, body: encode(body)?.into() };
        let span = message.begin(stream, None);
        let mine = |there: &Found| {
            let found = there.headers.get(names::RELEASE_HEADER);
            found.is_some_and(|found| found.as_str() == release)
        };
        sent(span, self.queue_new(stream, message, mine)).await
    }

    /// Repeating this is harmless: messages are hints, and the state of the video decides.
    pub(super) async fn publish_upload(&self, upload: &Uploaded) -> Result<(), Fault> {
        let mut headers = HeaderMap::new();
        headers.insert(names::RELEASE_HEADER, uuid::Uuid::new_v4().to_string());
        let subject = subject::upload(&upload.video);
        let mut message = Outgoing { subject, headers, body: encode(upload)?.into() };
        let span = message.begin(names::UPLOADS, None);
        sent(span, persist(WRITE_BUDGET, || self.publish(&message))).await?;
        Ok(())
    }

    pub(super) async fn task_is_queued(&self, sequence: u64) -> Result<bool, Fault> {
        let read = persist(READ_BUDGET, || self.message_at(names::ENCODE, sequence)).await?;
        Ok(read.is_some())
    }
}

/// A body: MessagePack with named fields.
pub(super) fn encode(body: &impl Serialize) -> Result<Vec<u8>, Fault> {
    rmp_serde::to_vec_named(body).map_err(|error| Fault::Unreadable(error.to_string()))
}
