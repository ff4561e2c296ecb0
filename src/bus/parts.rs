//! PARTS: the write-once log of open uploads.

use std::collections::BTreeSet;

use async_nats::HeaderMap;
use jetreel_actors::ports::WriteOnce;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::VideoId;
use jetreel_domain::order::parts::LoggedPart;

use super::connection::Bus;
use super::names;
use super::queue;
use super::request::{Outgoing, READ_BUDGET, persist};
use super::severity::Fault;
use super::write::is_of;

impl Bus {
    pub(super) async fn write_part(&self, part: &LoggedPart) -> Result<WriteOnce, Fault> {
        let mut headers = HeaderMap::new();
        headers.insert(names::WRITER_HEADER, uuid::Uuid::new_v4().to_string());
        let subject = subject::part(&part.video, part.index);
        let message = Outgoing { subject, headers, body: queue::encode(part)?.into() };
        let mine = message.clone();
        self.write_once(names::PARTS, message, |there| is_of(there, &mine)).await
    }

    pub(super) async fn purge_parts(&self, video: &VideoId) -> Result<(), Fault> {
        self.purge(names::PARTS, &subject::parts_filter(video)).await
    }

    pub(super) async fn newest_logged(&self, video: &VideoId) -> Result<Option<i64>, Fault> {
        let filter = subject::parts_filter(video);
        let last = persist(READ_BUDGET, || self.last_message(names::PARTS, &filter)).await?;
        Ok(last.map(|message| message.at))
    }

    pub(super) async fn uploads_logged(&self) -> Result<BTreeSet<VideoId>, Fault> {
        let video = |subject: String| subject::video_in_parts(&subject);
        self.subjects(names::PARTS, subject::PARTS_ALL, video).await
    }
}
